"""Titles or codes with a user's own adapter: those of all shards, merged once with the weights that his heads have.

Shapes: m items of the catalogue, d hidden size.
"""

from collections.abc import Sequence

from torch import Tensor

from recbole_apa.adapters.merging import merged_changes
from recbole_apa.core.errors import RunError
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.exit_map import merged_map
from recbole_apa.next_item.generation import HeadGuess, NodeChances
from recbole_apa.next_item.generation.item_network import ItemNetwork
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
        if state.title_weights is None:
            raise RunError(
                "no adapter is left to write with, after a request at once: train what is missing, --catch_up"
            )
        self.model, self._state, self._n_below, self._weights = model, state, n_below, state.title_weights
        self._there = [k for k, adapter in enumerate(state.learnt.adapters) if adapter is not None]
        self._pairs = [adapter.pairs for adapter in state.learnt.adapters if adapter is not None]
        known = [draft for draft in (state.learnt.drafts[k] for k in self._there) if draft is not None]
        has_all = len(known) == len(self._pairs)  # with one of them gone there is no draft
        self._maps = [draft.exit_map for draft in known if has_all and draft.exit_map is not None]
        self._networks = [ItemNetwork.of(draft.tensors) for draft in known if has_all and draft.exit_map is None]

    def of(self, user: str, state: Tensor) -> TitleModel:
        """The model with the user's merged adapter.

        Args:
            state: the user's latest, on the grid, (d + 1,).

        Raises:
            BackboneError: the adapters are of another backbone.
        """
        with one_thread():
            weights = self._of_shards(user, state)
            return self.model.merged(merged_changes(self._pairs, weights, SCALE), self._exit(weights))

    def drafted(self, user: str, state: Tensor, columns: Sequence[int]) -> HeadGuess:
        """What the shards' draft models guess for a user after some items, oldest first: their chances of items, with
        the weights that his heads have.

        Chances are merged and not parameters, as networks with hidden layers, trained apart, do not meet between their
        parameters; and what a shard drafts with weight w then has at least w times its chance.

        Raises:
            ValueError: the run has other drafts, or one of them is gone.
        """
        if not self._networks:
            raise ValueError("this run has no draft models, or one is gone; expected draft_kind: model")
        with one_thread():
            pairs = zip(self._of_shards(user, state), self._networks, strict=True)
            chances = sum(weight * network.chances(columns) for weight, network in pairs if weight)
        assert isinstance(chances, Tensor)
        return HeadGuess(self.model.trie, self.model.trie.sums_below(chances.tolist()))

    def _of_shards(self, user: str, state: Tensor) -> list[float]:
        """The user's weights of the adapters that are there."""
        found: list[float] = self._weights(state[None], self._state.own_rows([user]))[0, self._there].tolist()
        return found

    def _exit(self, weights: Sequence[float]) -> EarlyExit | None:
        """The shards' maps as one; None where there is nothing below the adapters, or one of them is gone."""
        return EarlyExit(self._n_below, merged_map(self._maps, weights)) if self._n_below and self._maps else None

    def after(self, user: str, state: Tensor, columns: Sequence[int]) -> NodeChances:
        """What is written for a user after some items, oldest first; see :meth:`TitleModel.after`."""
        return self.of(user, state).after(columns)
