"""Which seeds the figures of a table are of."""

from collections.abc import Sequence

from recbole_apa.comparison.row import DONE, REFERENCE, Row


def of_asked_seeds(rows: Sequence[Row]) -> list[Row]:
    """Without the rows of the reference in seeds that no other row has.

    One more seed of it is trained if a single one is asked for, to show what the seed alone changes. In a line of the
    table it would be another mean than the one that the others' differences are from.
    """
    asked = {row.seed for row in rows if row.method != REFERENCE}
    return [row for row in rows if row.method != REFERENCE or not asked or row.seed in asked]


def seeds_notes(rows: Sequence[Row]) -> list[str]:
    """Which seeds the lines are of, and which lines lack some of them.

    Args:
        rows: all, with those of the reference that are in the last line alone.
    """
    kept = of_asked_seeds(rows)
    seeds = {row.seed for row in kept}
    said = [f"Lines are of {seeds_told(seeds)}."]
    others = {row.seed for row in rows} - seeds
    if others:
        said[0] = f"Lines are of {seeds_told(seeds)}; {REFERENCE} with {seeds_told(others)} is in the last line alone."
    done = {name: {r.seed for r in kept if r.method == name and r.status == DONE} for name in _methods(kept)}
    reference = done.get(REFERENCE, set())
    for name, found in done.items():
        if found and found != seeds:
            said.append(f"{name} is of {seeds_told(found)} alone, the others having failed.")
        if name != REFERENCE and found & reference and not found <= reference:
            said.append(f"{name}: the difference from {REFERENCE} is of {seeds_told(found & reference)} alone.")
    return said


def _methods(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.method for row in rows))


def seeds_told(seeds: set[int]) -> str:
    """``seeds 1, 2``."""
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, sorted(seeds)))}"
