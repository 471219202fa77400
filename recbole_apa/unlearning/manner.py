"""A request that waits is carried out as it was made."""

from collections.abc import Callable, Sequence

from recbole_apa.core.errors import RequestError
from recbole_apa.data.forgotten import Forgotten
from recbole_apa.evidence.exactness import INHERITED
from recbole_apa.runs.ledger import Entry
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.requests.demands import Demand
from recbole_apa.unlearning.requests.scopes import covers


def refuse_other_manner(
    demands: Sequence[Demand],
    waiting: Sequence[Entry],
    asked: tuple[str, str],
    served: Callable[[Sequence[Entry]], Sequence[Forgotten]],
) -> None:
    """A demand that asks for more than a waiting request for the same would be taken for done.

    Args:
        waiting: requests that wait, or were just finished.
        asked: exactness and method that are given.
        served: what requests named.

    Raises:
        RequestError: a waiting request for the same data has another exactness or method; or there is no demand, and a
            waiting request has another exactness or method than those given.
    """
    for entry in waiting:
        manner = entry.content["exactness"], entry.content.get("method", EXACT)
        covered = [d for d in demands if any(covers(d, part) for part in served([entry]))]
        alone = not demands and asked != (INHERITED, EXACT)
        if manner != asked and (covered or alone):
            raise RequestError(
                f"the request in line {entry.position} of the ledger is waiting, or was just finished, with "
                f"exactness {manner[0]} and method {manner[1]}; found {asked[0]} and {asked[1]}. Finish it with "
                "--resume alone; what it forgets cannot be requested again"
            )
