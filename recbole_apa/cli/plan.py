"""``--plan``: what a stream of requests costs."""

from recbole_apa.cli.arguments import Words, refuse_near_misses, take, values_of
from recbole_apa.cli.option_facts import Use
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import PlanOptions, names_for
from recbole_apa.core.errors import SettingsError


def is_asked(words: Words) -> bool:
    """Whether ``--plan`` is given."""
    return "plan" in words


def serve(words: Words, out: Output) -> int:
    """Make the plan, and tell its table and where it is.

    Raises:
        SettingsError: meaningless numbers, or a model other than APA.
    """
    from recbole_apa.unlearning.capacity import Stream
    from recbole_apa.unlearning.capacity_plan import plan_capacity

    asked, others = take(PlanOptions, words)
    numbers = {name: getattr(asked, name) for name in names_for(Use.STREAM, PlanOptions)}
    missing = [name for name, number in numbers.items() if number is None]
    if missing:
        raise SettingsError(f"--plan: found no {missing[0]}, expected a number above 0, e.g. --{missing[0]}=500")
    if asked.model != "APA":
        raise SettingsError("--plan: expected --model=APA; other models have no shards")
    minutes = numbers.pop("interval_minutes")
    sizes = [asked.shard_size] if isinstance(asked.shard_size, int) else asked.shard_size or []
    refuse_near_misses(others)
    stream = Stream(
        **numbers,
        samples_per_request=asked.samples_per_request,
        interval=60.0 * minutes,
        n_interactions=asked.dataset_interactions,
    )
    made = plan_capacity(
        stream,
        sizes,
        asked.run,
        asked.dataset,
        values_of(others),
        asked.plan_dir,
    )
    told = f"{made.table}\nplan and figure: {asked.plan_dir}"
    out.tell(told, capacity=lambda: {"folder": made.folder, **made.fields()})
    return 0
