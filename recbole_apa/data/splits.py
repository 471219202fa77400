"""Which interactions are targets for training, validation and test; pure numpy."""

from dataclasses import dataclass

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.data.draw import draw_rows
from recbole_apa.data.samples import Interactions, Windows

SPLITS = ("train", "valid", "test")
EVIDENCE = "evidence"
"""The draw of further rows of the validation period, which are no samples."""

TALLREC_MIN_HISTORY = 10
TALLREC_KEPT = 10_000
TALLREC_SHARES = (0.8, 0.1, 0.1)


@dataclass(frozen=True)
class Split:
    """Row numbers of the targets, in order, with the hash cutoffs used to draw them (``seeding.draw_cutoff``)."""

    rows: dict[str, np.ndarray]
    cutoffs: dict[str, str | None]


def tallrec_split(windows: Windows) -> dict[str, np.ndarray]:
    """TALLRec's movie split: users in order of first appearance, every position with 10 interactions before
    it, the last 10,000 of that list, the first 8/10 for training, 1/10 validation, 1/10 test.

    TALLRec's preprocessing (Bao et al., RecSys 2023). Smaller datasets keep the shares.
    """
    eligible = windows.order[windows.n_before[windows.order] >= TALLREC_MIN_HISTORY][-TALLREC_KEPT:]
    ends = np.cumsum([round(share * len(eligible)) for share in TALLREC_SHARES[:2]])
    return dict(zip(SPLITS, np.split(eligible, ends), strict=True))


def draw_split(
    candidates: dict[str, np.ndarray],
    rows: Interactions,
    windows: Windows,
    min_history: int,
    sizes: dict[str, int | None],
    seed: int | None = None,
) -> Split:
    """Keep the targets with enough history and draw ``sizes`` of them by hash of sample id, and of ``seed`` if there is
    one.

    Raises:
        DataError: a split is left empty, or all training labels are the same.
    """
    kept: dict[str, np.ndarray] = {}
    cutoffs: dict[str, str | None] = {}
    for name in SPLITS:
        eligible = candidates[name][windows.n_before[candidates[name]] >= min_history]
        drawn, cutoffs[name] = draw_rows(rows, eligible, sizes[name], seed)
        # the order in which a loaded run finds them again, whatever the order in the split
        kept[name] = drawn[np.argsort(windows.place[drawn])]
        if not len(kept[name]) and sizes[name] != 0:
            raise DataError(
                f"no {name} sample is left: found {len(candidates[name])} interactions in the {name} split, none with "
                f"{min_history} earlier ones of the same user; lower `min_history`, or loosen the dataset's filters"
            )
    labels = rows.labels[kept["train"]]
    if labels.min() == labels.max():
        raise DataError(
            f"all {len(labels)} training labels are {'Yes' if labels[0] else 'No'}: expected both answers; "
            "set `threshold` between the dataset's lowest and highest rating (if all ratings are the same, as where "
            "only likes were kept, there is nothing to learn to tell apart)"
        )
    return Split(kept, cutoffs)
