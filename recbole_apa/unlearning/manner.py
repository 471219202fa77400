"""How the requests of a call are made; a request that waits is carried out as it was made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recbole_apa.core.errors import RequestError
from recbole_apa.data.forgotten import Forgotten
from recbole_apa.evidence.exactness import INHERITED
from recbole_apa.runs.ledger import Entry
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.requests.demands import Demand
from recbole_apa.unlearning.requests.scopes import covers


@dataclass(frozen=True)
class Manner:
    """How the requests of one call are made.

    Args:
        exactness: one of :data:`~recbole_apa.evidence.exactness.LEVELS`.
        method: ``exact``, or one of :data:`~recbole_apa.unlearning.approximate.APPROXIMATE_METHODS`.
        skip_unknown: whether what is not found is listed, instead of rejecting the whole request.
        at_once: whether a new request trains nothing.
        passes_over: whether requests that were carried out before are listed, instead of being rejected.
    """

    exactness: str = INHERITED
    method: str = EXACT
    skip_unknown: bool = False
    at_once: bool = False
    passes_over: bool = False

    @property
    def is_default(self) -> bool:
        """Whether affected adapters are trained again, on shards that stay."""
        return (self.exactness, self.method) == (INHERITED, EXACT)


PLAIN = Manner()


def refuse_other_manner(
    demands: Sequence[Demand],
    waiting: Sequence[Entry],
    asked: Manner,
    served: Callable[[Sequence[Entry]], Sequence[Forgotten]],
) -> None:
    """A demand that asks for more than a waiting request for the same would be taken for done.

    Args:
        waiting: requests that wait, or were just finished.
        asked: what is given.
        served: what requests named.

    Raises:
        RequestError: a waiting request for the same data has another exactness or method; or there is no demand, and a
            waiting request has another exactness or method than those given.
    """
    for entry in waiting:
        manner = entry.content["exactness"], entry.content.get("method", EXACT)
        covered = [d for d in demands if any(covers(d, part) for part in served([entry]))]
        alone = not demands and not asked.is_default
        if manner != (asked.exactness, asked.method) and (covered or alone):
            raise RequestError(
                f"the request in line {entry.position} of the ledger is waiting, or was just finished, with "
                f"exactness {manner[0]} and method {manner[1]}; found {asked.exactness} and {asked.method}. Finish it "
                "with --resume alone; what it forgets cannot be requested again"
            )
