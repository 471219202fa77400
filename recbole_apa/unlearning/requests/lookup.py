"""Find in the data what a request asks to forget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from recbole_apa.core.errors import RequestError
from recbole_apa.data.samples import Interactions
from recbole_apa.unlearning.requests.demands import Demand, named_demands, shortened
from recbole_apa.unlearning.requests.files import read_demands
from recbole_apa.unlearning.requests.index import RequestIndex

__all__ = ["Demand", "Found", "find", "named_demands", "read_demands"]

MAX_SHOWN = 20


@dataclass
class Found:
    """The interactions that a request refers to."""

    rows: list[int] = field(default_factory=list)
    """Row numbers, sorted, each once."""
    demands: list[Demand] = field(default_factory=list)
    """The accepted demands."""
    hits: list[np.ndarray] = field(default_factory=list)
    """Rows of each of them, in the order of ``demands``."""
    left: list[str] = field(default_factory=list)
    """What was left out, and why (``skip_unknown``)."""


def find(
    demands: Sequence[Demand], rows: Interactions, served: Callable[[Demand], bool], skip_unknown: bool = False
) -> Found:
    """Find each demand in the data that the run may still see.

    Args:
        rows: may have ``values``, the ratings as in the file, (n,); a rating in a demand is compared with them.
        served: whether a demand that is not in the data was forgotten by an earlier request.
        skip_unknown: leave out what cannot be found instead of rejecting everything.

    Raises:
        RequestError: names every demand that is unknown, repeated, contradicts the data or was already served; or
            nothing is left to forget.
    """
    index = RequestIndex(rows, demands)
    chosen = np.zeros(len(rows), dtype=bool)
    out, problems = Found(), list[str]()
    seen: dict[tuple[object, ...], tuple[str, int]] = {}
    for demand in demands:
        if len(problems) >= MAX_SHOWN and not skip_unknown and not index.knows(demand):
            problems.append("")  # counted, but not shown
            continue
        hits, problem = _hits(demand, index, rows, served)
        key = (demand.user, demand.item, demand.time, demand.value)
        first, times = seen.get(key, (demand.where, 0))
        seen[key] = first, times + 1
        # an interaction that the data has several times may be asked for that many times
        if times and (demand.time is None or times >= len(hits)):
            problem = f"the same as {first}"
        if problem:
            problems.append(f"{demand.where}: {problem}")
        else:
            chosen[hits] = True
            out.demands.append(demand)
            out.hits.append(hits)
    if problems and not skip_unknown:
        raise RequestError(_list_of(problems, "--skip_unknown forgets the rest"))
    if not chosen.any():
        raise RequestError(_list_of(problems, "nothing is left to forget"))
    out.rows, out.left = np.flatnonzero(chosen).tolist(), problems
    return out


def _hits(
    demand: Demand, index: RequestIndex, rows: Interactions, served: Callable[[Demand], bool]
) -> tuple[np.ndarray, str]:
    """A demand's rows, and what is wrong with it."""
    hits = index.rows(demand)
    if not len(hits):
        was = "was forgotten before" if served(demand) else f"no such {demand.kind} in the data"
        return hits, f"{was} ({demand}){_blanks(demand)}"
    if demand.time is not None:
        hits, problem = _at_time(demand, hits, rows.times, served)
        if problem:
            return hits, problem
    if demand.unread and len(hits) > 1 and demand.kind == "interaction":
        names = ", ".join(demand.unread)
        return hits, (
            f"the data has {len(hits)} rows of it ({demand}), but the file has columns that were not read ({names}): "
            "name them in --unlearn_columns as timestamp or rating, or list them there as ignore to forget all rows"
        )
    return hits, _contradiction(demand, hits, getattr(rows, "values", None))


def _blanks(demand: Demand) -> str:
    names = [name for name in (demand.user, demand.item) if name is not None and name != name.strip()]
    return f"; {shortened(names[0])} has blanks around it" if names else ""


def _at_time(
    demand: Demand, hits: np.ndarray, times: np.ndarray | None, served: Callable[[Demand], bool]
) -> tuple[np.ndarray, str]:
    if times is None:
        many = len(hits) > 1
        return hits, f"the data has no times to choose one of {len(hits)} rows by ({demand})" if many else ""
    found = hits[times[hits] == np.float64(demand.time or 0.0)]
    if len(found):
        return found, ""
    was = "was forgotten before" if served(demand) else "no such interaction in the data"
    return found, f"{was} ({demand}); the data has it at {_numbers(times[hits])}"


def _contradiction(demand: Demand, hits: np.ndarray, values: np.ndarray | None) -> str:
    """What is wrong with the rating that a demand names. It has to be that of all its rows: ratings do not select
    among an interaction's rows, so the others would be forgotten with it."""
    if demand.value is None or values is None:
        return ""
    known = np.asarray(values)[hits]
    same = known == (known.dtype.type(demand.value) if known.dtype.kind == "f" else demand.value)
    if same.all():
        return ""
    named = Demand("", demand.user, demand.item, demand.time)
    hint = "; give the timestamp of the one that is meant" if same.any() else ""
    return f"found rating {demand.value:g} for {named}, the data has {_numbers(known)}{hint}"


def _numbers(values: np.ndarray) -> str:
    """The first few different ones; whole numbers without a decimal point."""
    different = list(dict.fromkeys(float(v) for v in values))
    shown = ["none" if np.isnan(v) else str(int(v)) if v.is_integer() else repr(v) for v in different[:5]]
    return ", ".join(shown) + (", ..." if len(different) > 5 else "")


def _list_of(problems: Sequence[str], hint: str) -> str:
    shown = "; ".join(problems[:MAX_SHOWN])
    more = f"; and {len(problems) - MAX_SHOWN} more" if len(problems) > MAX_SHOWN else ""
    return f"{shown}{more}. Nothing was changed; {hint}"
