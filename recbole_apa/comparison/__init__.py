"""Every method on the same rows: fit, score, forget, record.

It may not know the search for options beside it, nor the command line.
"""

from recbole_apa.comparison.forget_task import ForgetRequest
from recbole_apa.comparison.forgetting import Forgetting, compare_forgetting
from recbole_apa.comparison.method import Method
from recbole_apa.comparison.registry import make_methods, row_names
from recbole_apa.comparison.run_methods import Comparison, compare

__all__ = [
    "Comparison",
    "ForgetRequest",
    "Forgetting",
    "Method",
    "compare",
    "compare_forgetting",
    "make_methods",
    "row_names",
]
