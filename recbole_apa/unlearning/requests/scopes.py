"""What demands name, as scopes and digests; and whether earlier requests already covered it."""

from collections.abc import Callable, Sequence

import numpy as np

from recbole_apa.data.forgotten import ITEM, PAIR, ROW, USER, Digester, Forgotten, Scope, digests_of
from recbole_apa.data.samples import Interactions
from recbole_apa.unlearning.requests.demands import Demand
from recbole_apa.unlearning.requests.lookup import Found


def scopes_of(demand: Demand, hits: np.ndarray, rows: Interactions) -> list[Scope]:
    """What a demand names: a user, an item, a pair, or a pair at the times that were found."""
    if demand.kind != "interaction":
        return [Scope(demand.kind, demand.user, demand.item)]
    if demand.time is None or rows.times is None:
        return [Scope(PAIR, demand.user, demand.item)]
    return [Scope(ROW, demand.user, demand.item, time) for time in set(rows.times[hits].tolist())]


def covers(demand: Demand, served: Forgotten, added: int = 0) -> bool:
    """Whether earlier requests named the same as a demand, or more; then nothing of it can be left.

    Args:
        added: position in the ledger of an addition: whether nothing of it can be left in that, or before it.
    """
    return _last_named(demand, served) > added


def covered_by(earlier: Sequence[Forgotten]) -> Callable[[Demand], bool]:
    """Whether any of these requests named the same as a demand, or more."""
    return lambda demand: any(covers(demand, part) for part in earlier)


def _last_named(demand: Demand, served: Forgotten) -> int:
    """Position in the ledger of the last request that named the same as a demand, or more; 0 if there is none."""
    scopes = []
    if demand.user is not None:
        scopes.append(Scope(USER, demand.user))
    if demand.item is not None:
        scopes.append(Scope(ITEM, None, demand.item))
    # requests from before run format 3; the pairs that they recorded may be those of single rows
    found = {served.digester.of(" ".join(scope.names())) for scope in scopes} & served.old_names
    if demand.kind == "interaction":
        scopes.append(Scope(PAIR, demand.user, demand.item))
        if demand.time is not None:
            scopes.append(Scope(ROW, demand.user, demand.item, demand.time))
    found |= {served.digester.of(*scope.names()) for scope in scopes} & served.scopes
    return max(map(served.last, found), default=0)


def request_digests(found: Found, rows: Interactions, digester: Digester) -> dict[str, list[str]]:
    """What the ledger records of demands that were found: digests of the rows, and of what was named."""
    asked = zip(found.demands, found.hits, strict=True)
    scopes = {scope for demand, hits in asked for scope in scopes_of(demand, hits, rows)}
    keys = {digester.of(key) for key in rows.row_keys(np.array(found.rows))}
    return {"interactions": sorted(keys), "hides": sorted(digests_of(scopes, digester))}
