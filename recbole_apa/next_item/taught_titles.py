"""Which shards train an adapter and a draft, from which slice on, and what a request at once leaves of them."""

from collections.abc import Mapping
from dataclasses import replace

from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import Learnt, NextItemState
from recbole_apa.next_item.title_adapters import RestartPoint, Span, TitleAdapter, lineage_of_shard
from recbole_apa.next_item.title_drafts import TitleDraft, lineage_of_draft
from recbole_apa.next_item.title_slices import begin_of, lineage_of_prefix, members_before
from recbole_apa.next_item.title_training import TitleTrainer


def with_adapters(
    state: NextItemState,
    data: NextItemData,
    trainer: TitleTrainer,
    first: Mapping[int, int],
    ends: Mapping[int, int],
) -> NextItemState:
    """The state with adapters and drafts trained for some shards, each from the restart point before the first slice
    that changed, and those of all others as they are. A shard whose adapter or draft is missing, or that was left at
    once, is among them.

    Args:
        data: what the state was made from.
        first: shard -> the first slice that changed; 0 of all, where there are no adapters yet.
        ends: where the training of shards is to end, as :attr:`~recbole_apa.next_item.state.Learnt.ends`.
    """
    learnt = state.learnt
    shards = _Shards(learnt)
    digests = {user: told[0] for user, told in learnt.lineage.items()}
    lacking = {shard for shard, draft in shards.drafts.items() if draft is None}
    for shard in sorted({*first, *lacking}):
        end = ends.get(shard)
        if end == 0:
            shards.adapters[shard], shards.drafts[shard], shards.points[shard] = None, None, ()
            continue
        begin = begin_of(shard, learnt, first)
        kept = learnt.points[shard][:begin] if begin else ()
        own = [s for s in data.sequences if learnt.shard_of.get(s.user) == shard]
        taught = trainer(shard, own, Span(begin, end, kept[-1] if kept else None))
        points = [
            RestartPoint.of(left, lineage_of_prefix(shard, cut, learnt, trainer.settings, trainer.codes))
            for cut, left in enumerate(taught.left, start=begin + 1)
        ]
        shards.points[shard] = (*kept, *points)
        if taught.draft is None:
            shards.adapters[shard], shards.drafts[shard] = points[-1].adapter, None
            continue
        adapter = TitleAdapter.of(taught.pairs, lineage_of_shard(shard, digests, learnt.shard_of, trainer.codes))
        shards.adapters[shard] = adapter
        shards.drafts[shard] = TitleDraft(taught.draft, lineage_of_draft(shard, adapter, trainer.settings))
    return replace(state, learnt=shards.within(learnt, ends), codes=trainer.codes)


def left_at_once(state: NextItemState, first: Mapping[int, int], settings: NextItemSettings) -> NextItemState:
    """The state in which each shard's training has ended before the first slice that changed: nothing is trained, its
    draft is gone, and so are its later restart points. A shard in which nobody is left before that has no adapter.

    Args:
        first: shard -> the first slice that changed.
    """
    learnt = state.learnt
    if not learnt.adapters:
        return state
    shards, ends = _Shards(learnt), dict(learnt.ends)
    for shard, cut in first.items():
        end = min(cut, learnt.ends.get(shard, settings.shard_slices))
        ends[shard] = end if members_before(shard, end, learnt.shard_of, settings) else 0
        shards.drafts[shard], shards.points[shard] = None, learnt.points[shard][: ends[shard]]
        shards.adapters[shard] = shards.points[shard][-1].adapter if ends[shard] else None
    return replace(state, learnt=shards.within(learnt, dict(sorted(ends.items()))))


class _Shards:
    """Adapters, drafts and restart points by shard, to be changed."""

    def __init__(self, learnt: Learnt) -> None:
        self.adapters = dict(enumerate(learnt.adapters))
        self.drafts = dict(enumerate(learnt.drafts))
        self.points = dict(enumerate(learnt.points))

    def within(self, learnt: Learnt, ends: Mapping[int, int]) -> Learnt:
        """What is learnt, with these."""
        order = sorted(self.adapters)
        return replace(
            learnt,
            adapters=tuple(self.adapters[shard] for shard in order),
            drafts=tuple(self.drafts[shard] for shard in order),
            points=tuple(self.points[shard] for shard in order),
            ends=dict(ends),
        )
