"""What tests of runs with evidence share."""

from pathlib import Path

from recbole_apa.collaborative import ItemCodes
from recbole_apa.runs.collaborative_files import load_collaborative
from recbole_apa.runs.store import RunStore

WITH_FM = {"evidence": ["counts", "FM"], "variants": "chosen", "baselines": [], "epochs": 1}
"""Options of a run with a RecBole model among its evidence."""

_MODE = {"valid": "labeled", "test": "labeled"}
FEW = {
    "valid_samples": 6,
    "eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": _MODE},
}
"""Options of a run that leaves rows of the validation period for evidence to be fitted on."""


def fitted_of(folder: Path):
    """The statistics that a run keeps, and what is fitted on them."""
    store = RunStore(folder)
    return load_collaborative(store, ItemCodes(store.open_index().items.names))
