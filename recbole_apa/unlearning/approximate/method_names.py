"""An approximate method by name, optionally with settings: ``NPO``, ``NPO:rate_share=0.3+beta=0.5``."""

from dataclasses import Field, dataclass, fields, replace

from recbole_apa.core.errors import SettingsError
from recbole_apa.unlearning.approximate.method import APPROXIMATE_METHODS, ApproximateMethod, Setting
from recbole_apa.unlearning.approximate.unlearner import ApproximateSettings


@dataclass(frozen=True)
class Choice:
    """What :class:`~recbole_apa.unlearning.approximate.unlearner.ApproximateUnlearner` needs: a method and settings."""

    method: ApproximateMethod
    settings: ApproximateSettings

    @property
    def told(self) -> dict[str, Setting]:
        """All settings by name, for the record."""
        return self.method.told(self.settings)


def is_approximate(text: str) -> bool:
    """Whether a name, with or without settings, is that of an approximate method."""
    return text.partition(":")[0] in APPROXIMATE_METHODS


def parse_choice(text: str) -> Choice:
    """``METHOD`` or ``METHOD:option=number+option=number``: options of every method (``rate_share``, ``most_epochs``,
    ``batch_size``), or of the method's own (``beta``, ``retain_weight``).

    Raises:
        SettingsError: an option that the method does not have, or a value that is not a number.
    """
    name, _, given = text.partition(":")
    options = dict(_option(text, pair) for pair in given.split("+") if pair)
    method = APPROXIMATE_METHODS.find(name)()
    of_all = {f.name for f in fields(ApproximateSettings)}
    own = _numbers(method)
    unknown = sorted(set(options) - of_all - own)
    if unknown:
        raise SettingsError(f"{text}: found option {unknown[0]!r}, expected {', '.join(sorted(of_all | own))}")
    settings = replace(ApproximateSettings(), **{k: v for k, v in options.items() if k in of_all})  # type: ignore[arg-type]
    return Choice(replace(method, **{k: v for k, v in options.items() if k in own}), settings)  # type: ignore[type-var]


def _numbers(method: ApproximateMethod) -> set[str]:
    known: tuple[Field[object], ...] = fields(method)  # type: ignore[arg-type]
    return {f.name for f in known if isinstance(getattr(method, f.name), (int, float))}


def _option(text: str, pair: str) -> tuple[str, int | float]:
    key, _, value = pair.partition("=")
    try:
        return key, int(value) if value.isdigit() else float(value)
    except ValueError:
        raise SettingsError(f"{text}: found {pair!r}, expected option=number, e.g. NPO:rate_share=0.3") from None
