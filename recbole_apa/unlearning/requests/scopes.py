"""What demands name, as scopes and digests; and whether earlier requests already covered it."""

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


def covers(demand: Demand, served: Forgotten) -> bool:
    """Whether earlier requests named the same as a demand, or more; then nothing of it can be left."""
    scopes = []
    if demand.user is not None:
        scopes.append(Scope(USER, demand.user))
    if demand.item is not None:
        scopes.append(Scope(ITEM, None, demand.item))
    # requests from before run format 3; the pairs that they recorded may be those of single rows
    if any(served.digester.of(" ".join(scope.names())) in served.old_names for scope in scopes):
        return True
    if demand.kind == "interaction":
        scopes.append(Scope(PAIR, demand.user, demand.item))
        if demand.time is not None:
            scopes.append(Scope(ROW, demand.user, demand.item, demand.time))
    return any(served.digester.of(*scope.names()) in served.scopes for scope in scopes)


def request_digests(found: Found, rows: Interactions, digester: Digester) -> dict[str, list[str]]:
    """What the ledger records of demands that were found: digests of the rows, and of what was named."""
    asked = zip(found.demands, found.hits, strict=True)
    scopes = {scope for demand, hits in asked for scope in scopes_of(demand, hits, rows)}
    keys = {digester.of(key) for key in rows.row_keys(np.array(found.rows))}
    return {"interactions": sorted(keys), "hides": sorted(digests_of(scopes, digester))}
