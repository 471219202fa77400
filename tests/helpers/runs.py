"""What the tests of unlearning share."""

import shutil
from pathlib import Path

from recbole_apa.core.files.whole import file_digest, read_json
from recbole_apa.runs.index_files import INDEX_JSON
from recbole_apa.runs.names import METRICS, REPORT
from recbole_apa.runs.store import MANIFEST, RunStore

TIMED = (METRICS, REPORT)
"""Files that say how long something took."""


def copy_run(finished, folder: Path) -> Path:
    """A finished run of one's own."""
    shutil.copytree(finished.run_dir, folder)
    return folder


def state(folder: Path) -> dict[str, object]:
    """Everything a state consists of, times apart: file -> digest, or content."""
    out: dict[str, object] = {}
    for name in RunStore(folder).state_files():
        if name.endswith("training.json"):
            out[name] = {k: v for k, v in read_json(folder / name).items() if k != "train_seconds"}
        elif name == INDEX_JSON:
            out[name] = without_source(folder)
        elif name not in TIMED:
            out[name] = file_digest(folder / name)
    if (folder / METRICS).is_file():  # a state that was left at once has no figures
        out[METRICS] = lasting(read_json(folder / METRICS))
    out["chosen"] = read_json(folder / MANIFEST)["chosen"]
    return out


def lasting(metrics):
    """Figures that are neither times nor sizes."""
    return {k: v for k, v in metrics.items() if not k.endswith(("_seconds", "_bytes"))}


def without_source(folder: Path) -> dict[str, object]:
    """``index.json`` without what depends on the run's salt or key: digests of the data files."""
    return {k: v for k, v in read_json(folder / INDEX_JSON).items() if k != "source"}


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder with its digest."""
    return {str(p.relative_to(folder)): file_digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def shown_interaction(finished) -> tuple[str, str]:
    """User and item of an interaction in the middle of the histories of training and validation samples, that is
    no target itself."""
    splits = finished.data[0]._dataset.splits
    targets = {s.sample_id for samples in splits.values() for s in samples}
    for sample in splits["valid"]:
        for entry in sample.history[1:]:
            if entry.interaction_id in targets:
                continue
            if any(entry.interaction_id in s.interaction_ids() for s in splits["train"]):
                return sample.user_id, entry.item_id
    raise AssertionError("the small dataset has no such interaction")
