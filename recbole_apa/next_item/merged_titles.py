"""Titles or codes with a user's own adapter: those of all shards, merged once with the weights that his heads have.

Shapes: m items of the catalogue, d hidden size.
"""

from collections.abc import Sequence

from torch import Tensor

from recbole_apa.adapters.merging import merged_changes
from recbole_apa.core.errors import RunError
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.exit_map import merged_map
from recbole_apa.next_item.generation import NodeChances
from recbole_apa.next_item.state import NextItemState
from recbole_apa.next_item.title_adapters import SCALE
from recbole_apa.next_item.titles import EarlyExit, TitleModel


class MergedTitles:
    """What the language model writes for users of a run with adapters.

    Args:
        model: with the frozen language model.
        n_below: how many layers are below those with adapters: there the early exit is.

    Raises:
        RunError: no adapter is left, after requests at once.
    """

    def __init__(self, model: TitleModel, state: NextItemState, n_below: int) -> None:
        weights = state.title_weights
        if weights is None:
            raise RunError(
                "no adapter is left to write with, after a request at once: train what is missing, --catch_up"
            )
        self.model, self._state, self._n_below, self._weights = model, state, n_below, weights
        self._there = [k for k, adapter in enumerate(state.learnt.adapters) if adapter is not None]
        self._pairs = [adapter.pairs for adapter in state.learnt.adapters if adapter is not None]

    def of(self, user: str, state: Tensor) -> TitleModel:
        """The model with the user's merged adapter.

        Args:
            state: the user's latest, on the grid, (d + 1,).

        Raises:
            BackboneError: the adapters are of another backbone.
        """
        with one_thread():
            weights = self._weights(state[None], self._state.own_rows([user]))[0, self._there].tolist()
            return self.model.merged(merged_changes(self._pairs, weights, SCALE), self._exit(weights))

    def _exit(self, weights: Sequence[float]) -> EarlyExit | None:
        """The shards' drafts as one; None where there is nothing below the adapters, or that of one is gone."""
        drafts = [self._state.learnt.drafts[k] for k in self._there]
        maps = [draft.exit_map for draft in drafts if draft is not None]
        if not self._n_below or len(maps) < len(self._pairs):
            return None
        return EarlyExit(self._n_below, merged_map(maps, weights))

    def after(self, user: str, state: Tensor, columns: Sequence[int]) -> NodeChances:
        """What is written for a user after some items, oldest first; see :meth:`TitleModel.after`."""
        return self.of(user, state).after(columns)
