"""Forgotten at once: each affected shard serves its adapter from before the first slice that saw what is forgotten, and
nothing is trained until the run catches up."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from recbole_apa.core.errors import SettingsError
from recbole_apa.evidence.exactness import INHERITED
from recbole_apa.runs.ledger import Request
from recbole_apa.runs.names import FIGURES, METRICS, REPORT
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.machines import RETRAIN

if TYPE_CHECKING:
    from recbole_apa.model.contracts import FitInputs

AT_ONCE = "at_once"
"""The entry of a request's line in the ledger."""
MADE_LATER = (METRICS, REPORT, FIGURES)
"""What a state that was left at once lacks."""


def is_at_once(requests: Sequence[Request]) -> bool:
    """Whether requests that are carried out together train nothing: if all of them asked for that."""
    return bool(requests) and all(e.content.get(AT_ONCE, False) for e in requests)


def without_training(inputs: "FitInputs") -> "FitInputs":
    """The inputs of a state that is made of what an earlier training left."""
    return replace(inputs, serves_prefixes=True, trains_models=False, writes_board=False)


def refuse_with(exactness: str, method: str, other_machine: str) -> None:
    """
    Raises:
        SettingsError: a request that has to train cannot be carried out at once.
    """
    given = {"exactness": exactness, "unlearn_method": method, "other_machine": other_machine}
    allowed = {"exactness": (INHERITED,), "unlearn_method": (EXACT,)}
    for name, value in given.items():
        if value not in allowed.get(name, (value,)) or value == RETRAIN:
            expected = allowed[name][0] if name in allowed else "refuse or accept"
            raise SettingsError(f"at_once needs {name}: {expected}, found {value}: nothing is trained at once")
