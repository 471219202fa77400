"""Which shards train an adapter and a draft."""

from collections.abc import Iterable
from dataclasses import replace

from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.generation import ItemCodes
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import NextItemState
from recbole_apa.next_item.title_adapters import TitleAdapter, Trainer, lineage_of_shard
from recbole_apa.next_item.title_drafts import TitleDraft, lineage_of_draft


def with_adapters(
    state: NextItemState,
    data: NextItemData,
    train: Trainer,
    settings: NextItemSettings,
    shards: Iterable[int],
    codes: ItemCodes | None = None,
) -> NextItemState:
    """The state with adapters and drafts trained for some shards, from the common start, and those of all others as
    they are. A shard whose draft is missing is among them: a request took it away and was killed.

    Args:
        data: what the state was made from.
        codes: what ``train`` trains to write; None of titles.
        shards: those whose users' sequences changed; all, where there are no adapters yet.
    """
    learnt = state.learnt
    adapters, drafts = dict(enumerate(learnt.adapters)), dict(enumerate(learnt.drafts))
    digests = {user: told[0] for user, told in learnt.lineage.items()}
    for shard in sorted({*shards, *(shard for shard, draft in drafts.items() if draft is None)}):
        own = [s for s in data.sequences if learnt.shard_of.get(s.user) == shard]
        taught = train(shard, own)
        adapter = TitleAdapter.of(taught.pairs, lineage_of_shard(shard, digests, learnt.shard_of, codes))
        adapters[shard] = adapter
        drafts[shard] = TitleDraft(taught.draft, lineage_of_draft(shard, adapter, settings))
    order = sorted(adapters)
    both = (tuple(adapters[shard] for shard in order), tuple(drafts[shard] for shard in order))
    return replace(state, learnt=replace(learnt, adapters=both[0], drafts=both[1]), codes=codes)
