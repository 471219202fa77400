"""Find in a run's data what requests ask to forget, and what the ledger records of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recbole_apa.data.forgotten import Digester, Forgotten
from recbole_apa.data.samples import Interactions
from recbole_apa.evidence import KeyRing
from recbole_apa.next_item.run.opened import NextItemRun, visible_of
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.runs.ledger import visible_without
from recbole_apa.runs.names import KEY
from recbole_apa.unlearning.at_once import AT_ONCE
from recbole_apa.unlearning.manner import Manner
from recbole_apa.unlearning.requests.done_before import repeated, without_done
from recbole_apa.unlearning.requests.lookup import Demand, Found, find
from recbole_apa.unlearning.requests.scopes import covered_by, covers, request_digests

Groups = Sequence[Sequence[Demand]]
"""The demands of each request."""


@dataclass(frozen=True)
class NewRequest:
    """A request that is not in the ledger yet; looks like a line of it."""

    content: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What was found."""

    requests: list[NewRequest]
    n_interactions: int
    left: list[str]
    """What was left out, and why."""


@dataclass(frozen=True)
class Asking:
    """Finds what the requests of one call name."""

    store: NextItemStore
    keys: KeyRing
    manner: Manner

    def ask(self, opened: NextItemRun, groups: Groups) -> Asked:
        """Each request in what those before it leave.

        Raises:
            RequestError: of any request; nothing was changed.
        """
        if not self.manner.passes_over:
            return self._all(opened, groups)
        new, passed = without_done(groups, lambda demands: opened.data.raw, self._is_served)
        asked = self._all(opened, new)
        return replace(asked, left=[*passed, *asked.left])

    def _all(self, opened: NextItemRun, groups: Groups) -> Asked:
        rows, out = opened.data.raw, Asked([], 0, [])
        n_found, salt = 0, str(self.store.manifest()["salt"])
        asked: list[Forgotten] = []

        def served(demand: Demand) -> bool:
            return any(covers(demand, part) for part in asked) or self._is_served(demand)

        for demands in groups:
            if asked and self.manner.passes_over and (told := repeated(demands, rows, covered_by(asked))):
                out.left.append(told)
                continue
            found = find(demands, rows, served, self.manner.skip_unknown)
            out.requests.append(NewRequest(self._content(opened, found, rows)))
            out.left.extend(found.left)
            n_found += len(found.rows)
            hidden = visible_without(out.requests[-1:], salt, self.keys)
            rows = rows.take(np.flatnonzero(hidden.visible(rows)))
            asked += hidden.forgotten
        return Asked(out.requests, n_found, out.left)

    def _is_served(self, demand: Demand) -> bool:
        manifest = self.store.manifest()
        return any(covers(demand, part) for part in visible_of(self.store, manifest, self.keys).forgotten)

    def _content(self, opened: NextItemRun, found: Found, rows: Interactions) -> dict[str, Any]:
        key = self.keys.newest()
        digester = Digester(str(self.store.manifest()["salt"]), key)
        content = {**request_digests(found, rows, digester), KEY: key.name}
        content |= {"exactness": self.manner.exactness, "method": self.manner.method}
        return {**content, AT_ONCE: True} if self.manner.at_once and opened.state.learnt.adapters else content
