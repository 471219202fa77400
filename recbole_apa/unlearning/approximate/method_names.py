"""An approximate method by name, with settings of its own: ``NPO``, ``NPO:rate_share=0.3+beta=0.5``."""

from dataclasses import dataclass, fields, replace
from typing import Any

from recbole_apa.core.errors import SettingsError
from recbole_apa.unlearning.approximate.losses import OBJECTIVES, Objective
from recbole_apa.unlearning.approximate.unlearner import NAMES, ApproximateSettings


@dataclass(frozen=True)
class Choice:
    """What :class:`~recbole_apa.unlearning.approximate.unlearner.ApproximateUnlearner` needs to know of a method."""

    name: str
    """One of :data:`~recbole_apa.unlearning.approximate.unlearner.NAMES`."""
    settings: ApproximateSettings
    objective: Objective | None
    """None for the method that takes a single step."""


def is_approximate(text: str) -> bool:
    """Whether a name, with or without settings, is an approximate method's."""
    return text.partition(":")[0] in NAMES


def parse_choice(text: str) -> Choice:
    """``METHOD`` or ``METHOD:option=number+option=number``: options of the step (``rate_share``, ``most_epochs``) or of
    the method's own loss (``beta``, ``retain_weight``).

    Raises:
        SettingsError: an option that the method does not have, or one that is no number.
    """
    name, _, given = text.partition(":")
    options = dict(_option(text, pair) for pair in given.split("+") if pair)
    objective: Any = OBJECTIVES.get(name)
    of_step = {f.name for f in fields(ApproximateSettings)}
    of_loss = _numbers(objective) if objective else set()
    unknown = sorted(set(options) - of_step - of_loss)
    if unknown:
        raise SettingsError(f"{text}: found option {unknown[0]!r}, expected {', '.join(sorted(of_step | of_loss))}")
    settings = replace(ApproximateSettings(), **{k: v for k, v in options.items() if k in of_step})
    own = {k: v for k, v in options.items() if k in of_loss}
    return Choice(name, settings, replace(objective, **own) if own else objective)


def _numbers(objective: Any) -> set[str]:
    return {f.name for f in fields(objective) if isinstance(getattr(objective, f.name), (int, float))}


def _option(text: str, pair: str) -> tuple[str, Any]:
    key, _, value = pair.partition("=")
    try:
        return key, int(value) if value.isdigit() else float(value)
    except ValueError:
        raise SettingsError(f"{text}: found {pair!r}, expected option=number, e.g. NPO:rate_share=0.3") from None
