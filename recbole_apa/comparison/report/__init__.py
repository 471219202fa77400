"""Tables, figures and the page of a comparison, made from its row records alone."""

from recbole_apa.comparison.report.forgetting import write_forgetting
from recbole_apa.comparison.report.table import write_comparison

__all__ = ["write_comparison", "write_forgetting"]
