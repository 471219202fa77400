"""What two states, one of them made anew, may differ in."""

from recbole_apa.core.files.whole import file_digest, read_json
from recbole_apa.runs.index_files import INDEX_JSON
from recbole_apa.runs.names import METRICS
from recbole_apa.runs.store import MANIFEST, RunStore
from tests.helpers.runs import lasting, without_source

EXEMPT = {
    "report.html",  # times, served requests; its figures are compared where they are read from
    "metrics.json: *_seconds, *_bytes",
    "training.json: train_seconds",
    "index/index.json: source",  # keyed digests of the data files
    "manifest.json: salt",
    "manifest.json: key",
    "manifest.json: dataset",  # keyed; compared under one secret
    "manifest.json: dataset_sums",
    "manifest.json: identity_digest",  # of the digest above; what else it is of is compared by itself
    "manifest.json: options.data_path",
    "manifest.json: full_training",  # times
    "manifest.json: outside",  # paths
    "manifest.json: boards",  # paths of tensorboard logs, each with a name of its own
    "manifest.json: counted.digest",  # keyed, like that of the dataset
    "manifest.json: counted.sums",
    "manifest.json: check",  # of the manifest's other entries, those here among them
    "manifest.json: code",  # of a first training alone
    "manifest.json: files",  # digests of the files above; the files are compared themselves
    "manifest.json: forgotten",
    "manifest.json: served",
    "manifest.json: served_requests",
    "manifest.json: exactness",
    "manifest.json: partition_of",
    "manifest.json: draw_of",
    "manifest.json: centres_of",
    "manifest.json: ready",
}
"""What may differ. Ledger and certificates are no part of a state at all."""


PARTS = ("train", "valid", "test")


def state(folder):
    """Everything of a run but what is exempt: file, or entry of the manifest -> digest, or content."""
    assert len(EXEMPT) == 26  # each of them is spelt out below or is an entry of the manifest
    out = {}
    for name in RunStore(folder).state_files():
        content = read_json(folder / name) if name.endswith((METRICS, "training.json")) else None
        if name.endswith("training.json"):
            out[name] = {k: v for k, v in content.items() if f"training.json: {k}" not in EXEMPT}
        elif name == INDEX_JSON:
            out[name] = without_source(folder)
        elif name == METRICS:
            out[name] = lasting(content)
        elif name not in EXEMPT:
            out[name] = file_digest(folder / name)
    manifest = read_json(folder / MANIFEST)
    manifest["counted"] = {k: v for k, v in manifest.get("counted", {}).items() if k in ("rows", "users")}
    manifest["options"] = {k: v for k, v in manifest["options"].items() if f"{MANIFEST}: options.{k}" not in EXEMPT}
    return out | {k: v for k, v in manifest.items() if f"{MANIFEST}: {k}" not in EXEMPT}


def differences(one, other):
    return {k: (one.get(k), other.get(k)) for k in one.keys() | other.keys() if one.get(k) != other.get(k)}


def sample_ids(made):
    return {name: [s.sample_id for s in part] for name, part in made.data[0]._dataset.splits.items()}


def dataset_digest(made):
    return made.data[0]._dataset.digest(b"one secret").hex()


def scores(made):
    """Aggregated scores of validation and test samples."""
    prompts = [made.model.prompts(loader._dataset.labelled) for loader in made.data[1:]]
    return [made.model.aggregate(some, made.model.weights(some)).tolist() for some in prompts]
