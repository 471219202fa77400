"""Figures that rows of older versions lack, and that the samples alone give."""

from dataclasses import replace
from logging import getLogger

from recbole_apa.comparison.method import Method
from recbole_apa.comparison.methods.rules import RuleMethod
from recbole_apa.comparison.methods.sharded import AdapterMethod
from recbole_apa.comparison.row import Row
from recbole_apa.core.errors import APAError

N_LABELS = "n_labels"


def with_labels(method: Method, row: Row) -> Row:
    """A row that was read, with the number of labels that it learnt from, if nothing has to be trained to know it:
    rows of adapters and rules. Its file stays as it is."""
    if not row.figures or N_LABELS in row.figures:
        return row
    try:
        if isinstance(method, AdapterMethod):
            n = method.count_labels(row.method)
        else:
            n = method.fit(row.seed).n_labels if isinstance(method, RuleMethod) else None
    except APAError as error:  # e.g. the backbone's folder is gone; the row has been measured nonetheless
        getLogger().debug(f"labels of {row.method}: {error}")
        return row
    return row if n is None else replace(row, figures={**row.figures, N_LABELS: n})
