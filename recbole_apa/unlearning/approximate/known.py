"""The approximate methods by name, without importing them: what every request needs of them."""

from typing import TYPE_CHECKING

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.registry import Registry

if TYPE_CHECKING:
    from recbole_apa.unlearning.approximate.method import ApproximateMethod

EXACT = "exact"
"""The value of ``unlearn_method`` that is no approximate method."""
_METHODS = {
    "grad_ascent": ("GradAscent",),
    "grad_diff": ("GradDiff",),
    "npo": ("NPO", "SimNPO"),
    "rapidun": ("RapidUn",),
    "bad_teacher": ("BadT", "BadT-base", "BadT-random_label", "BadT-flip"),
    "e2urec": ("E2URec",),
    "llmeraser": ("LLMEraser",),
}
APPROXIMATE_METHODS: "Registry[ApproximateMethod]" = Registry(
    "approximate method",
    {name: f"recbole_apa.unlearning.approximate.methods.{file}" for file, names in _METHODS.items() for name in names},
)


def check_method(name: str) -> None:
    """
    Raises:
        SettingsError: neither ``exact`` nor one of :data:`~recbole_apa.unlearning.approximate.APPROXIMATE_METHODS`.
    """
    problem = APPROXIMATE_METHODS.problem(name, "unlearn_method", EXACT)
    if name != EXACT and problem:
        raise SettingsError(problem)
