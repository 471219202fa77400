"""Which shards train an adapter and a draft, and which lose theirs."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.state import NextItemState
from recbole_apa.next_item.title_adapters import TitleAdapter, lineage_of_shard
from recbole_apa.next_item.title_drafts import TitleDraft, lineage_of_draft
from recbole_apa.next_item.title_training import TitleTrainer


def with_adapters(
    state: NextItemState, data: NextItemData, trainer: TitleTrainer, shards: Iterable[int], ends: Mapping[int, int]
) -> NextItemState:
    """The state with adapters and drafts trained for some shards, from the common start, and those of all others as
    they are. A shard whose adapter or draft is missing is among them: a request at once dropped it, or a request took
    the draft away and was killed.

    Args:
        data: what the state was made from.
        shards: those whose users' sequences changed; all, where there are no adapters yet.
        ends: shards that are to be without adapter and draft, as :attr:`~recbole_apa.next_item.state.Learnt.ends`.
    """
    learnt = state.learnt
    adapters, drafts = dict(enumerate(learnt.adapters)), dict(enumerate(learnt.drafts))
    digests = {user: told[0] for user, told in learnt.lineage.items()}
    for shard in sorted({*shards, *(shard for shard, draft in drafts.items() if draft is None)}):
        if shard in ends:
            adapters[shard], drafts[shard] = None, None
            continue
        own = [s for s in data.sequences if learnt.shard_of.get(s.user) == shard]
        taught = trainer(shard, own)
        adapter = TitleAdapter.of(taught.pairs, lineage_of_shard(shard, digests, learnt.shard_of, trainer.codes))
        adapters[shard] = adapter
        drafts[shard] = TitleDraft(taught.exit_map, lineage_of_draft(shard, adapter, trainer.settings))
    order = sorted(adapters)
    both = (tuple(adapters[shard] for shard in order), tuple(drafts[shard] for shard in order))
    learnt = replace(learnt, adapters=both[0], drafts=both[1], ends=dict(ends))
    return replace(state, learnt=learnt, codes=trainer.codes)


def without_adapters(state: NextItemState, shards: Iterable[int]) -> NextItemState:
    """The state without adapters and drafts of some shards, nor of those that lack them already; nothing is trained."""
    learnt = state.learnt
    if not learnt.adapters:
        return state
    gone = {*learnt.ends, *shards}
    return replace(
        state,
        learnt=replace(
            learnt,
            adapters=tuple(None if k in gone else adapter for k, adapter in enumerate(learnt.adapters)),
            drafts=tuple(None if k in gone else draft for k, draft in enumerate(learnt.drafts)),
            ends=dict.fromkeys(sorted(gone), 0),
        ),
    )
