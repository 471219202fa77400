"""Whether data is what a run was made of, and what to say if it is not."""

from logging import getLogger
from typing import TYPE_CHECKING

from recbole_apa.evidence import Key, KeyRing, secret_of
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import KEY
from recbole_apa.runs.store import is_old_format

if TYPE_CHECKING:
    from recbole_apa.data.dataset import APADataset
    from recbole_apa.pipeline.config import APAConfig


def is_same_data(manifest: Manifest, dataset: "APADataset", keys: KeyRing) -> bool:
    """Whether a dataset is the one that a run was made with, by its digest.

    Raises:
        KeyFileError: the run's key is not in the ring.
    """
    name = manifest.get(KEY)
    key = keys.key(name) if name else None
    if not is_old_format(manifest):
        return bool(dataset.digest(secret_of(manifest["salt"], key)).hex() == manifest["dataset"])
    return _old(dataset.old_digest, key) == manifest["dataset"]


def _old(digest: str, key: Key | None) -> str:
    """A digest as in a run from before format 4, which a later version may have keyed."""
    return key.keyed(digest) if key else digest


def other_data(manifest: Manifest, config: "APAConfig", dataset: "APADataset", keys: KeyRing) -> str:
    """Why the data is not what the run was made with, and what to do."""
    other = (
        f"the dataset in {dataset.dataset_path} is not the one that the run was made of (its digest differs); "
        "name the right folder with --data_path"
    )
    if not is_old_format(manifest):
        return other
    from recbole_apa.data.old_reading import Reading, differences, read_as_before

    item_text = manifest["settings"]["item_text"]
    config["val_interval"] = manifest["options"].get("val_interval")  # book-crossing's own came later
    try:
        before = read_as_before(config, dataset.visible_data, item_text)
    except Exception:  # of any kind; what RecBole's loader cannot read did not make the run
        getLogger().debug("the dataset cannot be read as it was before", exc_info=True)
        return other
    name = manifest.get(KEY)
    if _old(before.digest, keys.key(name) if name else None) != manifest["dataset"]:
        return other
    tokens = map(str, dataset.field2id_token[dataset.iid_field])
    texts = dict(zip(tokens, dataset.item_texts, strict=True))
    differing = differences(before, Reading(dataset.interactions, texts, dataset.old_digest))
    return (
        f"the run was made of {dataset.dataset_path} as an older version read it, which was wrong:\n  "
        + "\n  ".join(differing)
        + "\nthe run's results depend on that; train a new run (CHANGELOG.md lists these cases)"
    )
