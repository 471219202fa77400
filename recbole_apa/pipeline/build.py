"""Build dataset, loaders, model and trainer: for a new run, or for one on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import FileHandler, getLogger
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.core.system.devices import here
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import KeyRing, key_ring
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.pipeline.manifest_options import options_of
from recbole_apa.pipeline.option_names import TRUST, refuse_fixed
from recbole_apa.pipeline.plugins import PLUGINS, import_plugins, refuse_missing
from recbole_apa.pipeline.stored_data import stored_data
from recbole_apa.runs.ledger import Ledger, refuse_gap, refuse_pending, served_by, visible_without
from recbole_apa.runs.log_places import open_log
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import EMBEDDINGS, EVALUATED, MEMORY, METRICS
from recbole_apa.runs.pinned_run import PinnedStore, read_settled
from recbole_apa.runs.plain_ids import has_plain_ids
from recbole_apa.runs.store import RunStore, knows_no_scopes
from recbole_apa.runs.trunk_activations import kept_as

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.model.abstract_recommender import AbstractRecommender

    from recbole_apa.data.loaders import Loaders
    from recbole_apa.model.apa import APA, NumberedItems
    from recbole_apa.model.trainer import APATrainer
    from recbole_apa.pipeline.config import APAConfig
    from recbole_apa.pipeline.evidence_models import EvidenceModel


@dataclass
class RunResult:
    """A run in RAM; ``metrics`` has the same figures as ``metrics.json``."""

    metrics: dict[str, float]
    run_dir: Path | None
    config: "APAConfig"
    model: "APA"
    trainer: "APATrainer"
    data: "Loaders"
    """RecBole's loaders: train, valid, test."""
    keys: KeyRing = field(default_factory=key_ring, repr=False)
    """Holds the keys for everything that the run has forgotten, and will forget."""
    table: str = ""
    """The figures, for a terminal; empty if there are none."""
    served: tuple[object, ...] = ()
    """The requests and additions that led to this state, as its manifest lists them."""
    evidence_models: "dict[str, EvidenceModel]" = field(default_factory=dict, repr=False)
    """RecBole models of the run's evidence that a prediction has trained again, by name."""
    n_waiting: int = 0
    """Requests that waited when an old state was opened with ``allow_pending``."""

    @property
    def store(self) -> RunStore:
        """The run folder that the trainer writes to, or was loaded from."""
        assert self.trainer.store is not None
        return self.trainer.store


def start_logging(config: "APAConfig") -> None:
    """Start the run's log and set RecBole's seeds."""
    from recbole.utils import init_seed

    open_log(config)
    init_seed(config["seed"], config["reproducibility"])
    getLogger().info(f"{config['model']} on {config['dataset']}, device {config['device']}")


def log_files() -> list[str]:
    """Files that the log is written to, including the calling program's own."""
    return [handler.baseFilename for handler in getLogger().handlers if isinstance(handler, FileHandler)]


def build(config: "APAConfig", visible_data: VisibleData | None = None) -> "tuple[AbstractRecommender, Loaders]":
    """Model and loaders, found by RecBole's own lookups."""
    data = build_data(config, visible_data)
    return build_model(config, data), data


def build_model(config: "APAConfig", data: "Loaders") -> "AbstractRecommender":
    """The configuration's model for the training samples."""
    return model_for(config, data.train_set)


def model_for(config: "APAConfig", dataset: "Dataset | NumberedItems") -> "AbstractRecommender":
    """The configuration's model, found by RecBole's lookup.

    Args:
        dataset: RecBole's; for APA, anything that tells the texts of its items.
    """
    from recbole.utils import get_model, init_seed

    # RecBole models may draw their initial weights from the global generators
    init_seed(config["seed"], config["reproducibility"])
    return get_model(config["model"])(config, dataset).to(config["device"])


def open_run(
    store: RunStore,
    changes: Mapping[str, object] | None = None,
    allow_pending: bool = False,
    keys: KeyRing | None = None,
) -> RunResult:
    """Load a finished run with its data.

    Args:
        changes: where things are now, e.g. ``{"data_path": ...}``; the settings are the run's own.
        allow_pending: load the old state even if a request is waiting to be carried out.
        keys: the key ring, if the caller already has one.

    Raises:
        RunError: damaged, unfinished, or made with other data or another backbone.
        KeyFileError: the run has forgotten something, has grown or keeps an order of users, and its key is missing.
        SettingsError: an option that would change what the run computes.
    """
    keys = keys or key_ring(changes)
    return read_settled(store, lambda pinned: _open(pinned, store, changes or {}, allow_pending, keys))


def _open(
    pinned: PinnedStore, store: RunStore, changes: Mapping[str, object], allow_pending: bool, keys: KeyRing
) -> RunResult:
    """One consistent state of a run."""
    from recbole_apa.model.trainer import APATrainer

    refuse_pending(pinned, allow_pending)
    refuse_gap(pinned, keys)
    manifest = pinned.check()
    refuse_fixed(changes)
    config = run_config(pinned, {"keep_states": kept_as(pinned), **changes})
    start_logging(config)
    data = stored_data(pinned, config, stored_visible_data(pinned, keys), keys)
    model = build_model(config, data)
    _check_backbone(manifest, model)
    trainer = APATrainer(config, model, pinned)
    trainer.load(pinned, allow_pending)
    trainer.load_combined(data.valid_set)
    trainer.load_activations(data.train, data.valid)
    trainer.store = store
    n_waiting = len(Ledger(pinned.storage, manifest["salt"]).waiting())
    served = tuple(manifest.get("served_requests", ()))
    return RunResult({}, store.folder, config, model, trainer, data, keys, served=served, n_waiting=n_waiting)


def run_config(store: RunStore, changes: Mapping[str, object]) -> "APAConfig":
    """The options of a run.

    Args:
        changes: where things are now; a run that keeps its activations still keeps them (``keep_states``).

    Raises:
        RunError: the manifest has options that no run has, or the backbone's own code was not trusted again.
        MissingPluginError: it uses a name that a module registered which is not imported here.
    """
    from recbole_apa.pipeline.config import APAConfig

    manifest = store.manifest()
    own = options_of(manifest, store.place)
    refuse_remote_code(manifest, changes)
    import_plugins(changes.get(PLUGINS))
    refuse_missing(manifest, own)
    options = {**_as_evaluated(store), **here(own), **changes}
    return APAConfig("APA", options.pop("dataset"), None, options)


def _as_evaluated(store: RunStore) -> dict[str, object]:
    """``variants: all`` if the run's table has them: they are evaluated again as they were."""
    manifest = store.manifest()
    if EVALUATED in manifest:
        return {"variants": manifest[EVALUATED]}
    figures = read_json(store.folder / METRICS) if store.has(METRICS) else {}
    return {"variants": "all"} if any(name.startswith("test.adapters.") for name in figures) else {}


def refuse_remote_code(manifest: Manifest, changes: Mapping[str, object]) -> None:
    """A backbone's own code runs only if whoever opens the run says so each time, never because the run says so.

    Raises:
        RunError: the run was trained with ``trust_remote_code``, and it was not given again.
        SettingsError: it was given, but the run was trained without it.
    """
    wanted = bool(manifest["options"].get(TRUST) or manifest["settings"].get(TRUST))
    if wanted and not changes.get(TRUST):
        name = manifest["settings"]["backbone"]
        raise RunError(
            f"the run's backbone {name!r} comes with its own code; if you trust it, give --trust_remote_code=True again"
        )
    if changes.get(TRUST) and not wanted:
        raise SettingsError(f"{TRUST}: found True, but the run was trained without it; leave it out")


def stored_visible_data(store: RunStore, keys: KeyRing) -> VisibleData:
    """What the run may see of its dataset: its samples in their splits, without what it has forgotten.

    Raises:
        KeyFileError: the ring does not have the key of one of its requests.
    """
    manifest, seen = store.manifest(), store.lineage()
    artefacts = dict(zip(SPLITS, (EMBEDDINGS, MEMORY, METRICS), strict=True))
    roles = {name: frozenset(seen[artefact]) for name, artefact in artefacts.items()}
    served = served_by(manifest, Ledger(store.storage, manifest["salt"]).requests())
    once_a_pair = manifest["options"].get("rm_dup_inter") is not None
    # before format 3 each cutoff was the digest of one sample's id
    drawn = dict.fromkeys(SPLITS) if knows_no_scopes(manifest) else manifest["draw"]
    bare = VisibleData(once_a_pair=once_a_pair, plain_ids=has_plain_ids(manifest), roles=roles, cutoffs=drawn)
    return bare.without(visible_without(served, manifest["salt"], keys))


def _check_backbone(manifest: Manifest, model: "APA") -> None:
    if model.engine.backbone.digest != manifest["backbone"]:
        raise RunError(
            f"the backbone {model.engine.backbone.name!r} is not the one that the run was trained on "
            "(its digest differs); use the same model and dtype"
        )
