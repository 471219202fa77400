"""What a run's figures say about RecBole's models beside it, in sentences."""

from collections.abc import Mapping

from recbole_apa.evaluation.scored_split import BASELINES

_STOPPING = ".n_stopping_rows"


def baseline_lines(figures: Mapping[str, float]) -> list[str]:
    """By how many rows each model chose its epoch; nothing for a run without such models, or of before it was told."""
    keys = sorted(key for key in figures if key.startswith(f"{BASELINES}.") and key.endswith(_STOPPING))
    return [
        f"{key.split('.')[1]} chose its epoch by the AUC on {figures[key]:,.0f} rows of the validation split, drawn or "
        "not; its figures in the table are of the validation samples."
        for key in keys
    ]
