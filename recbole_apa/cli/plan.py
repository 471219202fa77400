"""``--plan``: what a stream of requests costs."""

from collections.abc import Mapping

from recbole_apa.cli.arguments import Words, take, values_of
from recbole_apa.cli.stages import PlanOptions
from recbole_apa.core.errors import SettingsError

_NUMBERS = ("requests_per_day", "n_samples", "samples_per_request", "workers", "interval_minutes")


def is_asked(words: Words) -> bool:
    """Whether ``--plan`` is given."""
    return "plan" in words


def serve(words: Words) -> int:
    """Make the plan, print its table, and say where it is.

    Raises:
        SettingsError: meaningless numbers, or a model other than APA.
    """
    from recbole_apa.unlearning.capacity import Stream
    from recbole_apa.unlearning.capacity_plan import plan_capacity

    asked, others = take(PlanOptions, words)
    numbers = _numbers({name: getattr(asked, name) for name in _NUMBERS})
    if asked.model != "APA":
        raise SettingsError("--plan: expected --model=APA; other models have no shards")
    minutes = numbers.pop("interval_minutes")
    sizes = asked.shard_size if isinstance(asked.shard_size, (list, tuple)) else [asked.shard_size]
    stream = Stream(**numbers, interval=60.0 * minutes)  # type: ignore[arg-type]
    _, table = plan_capacity(
        stream,
        sizes,  # type: ignore[arg-type]  # what is not a number is rejected there
        asked.run,
        asked.dataset,
        values_of(others),
        asked.plan_dir,
    )
    print(table)
    print(f"plan and figure: {asked.plan_dir}")
    return 0


def _numbers(given: Mapping[str, object]) -> dict[str, int | float]:
    from recbole_apa.data.recbole_checks import is_number

    numbers = {name: v for name, v in given.items() if is_number(v) and v > 0}
    wrong = [name for name in given if name not in numbers]
    if wrong:
        raise SettingsError(
            f"--plan: found {wrong[0]} {given[wrong[0]]!r}, expected a number above 0, e.g. --{wrong[0]}=500"
        )
    return numbers
