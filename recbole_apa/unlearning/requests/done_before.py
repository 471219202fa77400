"""Request files of which nothing is to be done: they were carried out before, since a nightly job is given the same
folder again, or say what an earlier file of the same night says."""

from collections.abc import Callable, Sequence

from recbole_apa.data.samples import Interactions
from recbole_apa.unlearning.requests.demands import Demand
from recbole_apa.unlearning.requests.index import RequestIndex


def without_done(
    groups: Sequence[Sequence[Demand]],
    rows_of: Callable[[Sequence[Demand]], Interactions],
    served: Callable[[Demand], bool],
) -> tuple[list[Sequence[Demand]], list[str]]:
    """Requests that are to be carried out, and those that were before, in words.

    Args:
        rows_of: as ``rows`` of :func:`is_done`.
        served: likewise.
    """
    done = [is_done(demands, rows_of(demands), served) for demands in groups]
    new = [demands for demands, was in zip(groups, done, strict=True) if not was]
    left = "forgotten before, nothing of it is left in the run"
    return new, [f"{named_shortly(demands)}: {left}" for demands, was in zip(groups, done, strict=True) if was]


def repeated(demands: Sequence[Demand], rows: Interactions, served: Callable[[Demand], bool]) -> str | None:
    """Of a request that says nothing but what accepted ones of the same call say: that, in words; None of another.

    Args:
        rows: what the accepted ones leave.
        served: whether they named the same as a demand, or more.
    """
    if not demands or not is_done(demands, rows, served):
        return None
    return f"{named_shortly(demands)}: earlier files of this call name it, and their certificates are of it, too"


def is_done(demands: Sequence[Demand], rows: Interactions, served: Callable[[Demand], bool]) -> bool:
    """Whether earlier requests forgot all that a request names, and nothing of it has come back since.

    Args:
        rows: what the run may see, at least all rows that the demands name.
        served: whether earlier requests named the same as a demand, or more.
    """
    index = RequestIndex(rows, demands)
    return all(served(demand) and not _has_rows(demand, index, rows) for demand in demands)


def _has_rows(demand: Demand, index: RequestIndex, rows: Interactions) -> bool:
    hits = index.rows(demand)
    if demand.time is None or rows.times is None:
        return bool(len(hits))
    return bool((rows.times[hits] == demand.time).any())


def named_shortly(demands: Sequence[Demand]) -> str:
    """A request by its first line."""
    more = f" and {len(demands) - 1} more" if len(demands) > 1 else ""
    return f"{demands[0].where}{more}"
