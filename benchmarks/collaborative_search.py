"""Constants of the terms of collaborative statistics: one after another is tried on development rows."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from benchmarks.development_rows import Development
from recbole_apa.collaborative import DEFAULT_TERMS, TermOptions

GRID: dict[str, tuple[float, ...]] = {
    "item_strength": (2, 5, 10, 20),
    "user_strength": (1, 3, 10),
    "recency": (0.7, 0.8, 0.9, 0.95),
    "bias_strength": (1, 5, 20),
    "pair_shrinkage": (5, 10, 20, 50, 100),
    "neighbors": (20, 30, 50, 100, 1000),
    "neighbor_strength": (0.1, 0.3, 1, 3),
    "years": (5, 10, 20, 40),
    "content_strength": (0.5, 2, 8),
}


def search(development: Development) -> Iterator[dict[str, Any]]:
    """One constant after another, each at the value of least LogLoss on the development test rows, twice over."""
    names, best = DEFAULT_TERMS, TermOptions()
    least = development.figures(best, names)["log_loss"]
    for _ in range(2):
        for field, values in GRID.items():
            for value in values:
                tried = replace(best, **{field: value})
                figures = development.figures(tried, names)
                yield {"options": asdict(tried), **figures}
                if figures["log_loss"] < least:
                    least, best = figures["log_loss"], tried
