"""The plan of an addition: which shards get its samples."""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from recbole_apa.data.index.rows import NO_ROLE
from recbole_apa.data.run_data import RunData
from recbole_apa.data.splits import SPLITS
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.unlearning.additions.grow import Grown
from recbole_apa.unlearning.additions.incoming import Incoming
from recbole_apa.unlearning.additions.result import AdditionPlan
from recbole_apa.unlearning.plan import seconds_for

if TYPE_CHECKING:
    from recbole_apa.partition.assignment import Assignment
    from recbole_apa.pipeline.build import RunResult


def plan_of(opened: "RunResult", grown: Grown, incoming: Incoming, retrains: bool) -> AdditionPlan:
    """What an addition brings, and what it trains; the frozen model reads its training samples for that.

    Args:
        retrains: whether all shards are trained again, as the run comes from another kind of machine.
    """
    before: RunData = opened.data.train_set.run_data
    made, assignment = grown.made, opened.store.load_assignment()
    assert assignment is not None
    rows = made.index_rows()
    roles = rows.roles[rows.since == len(made.additions)]
    counts = np.bincount(roles, minlength=NO_ROLE + 1).tolist()
    before_users, before_items = (set(column.compact().names) for column in (before.raw.users, before.raw.items))
    known = {name: {s.sample_id for s in before.samples[name]} for name in SPLITS}
    samples = {name: [s.sample_id for s in made.samples[name] if s.sample_id not in known[name]] for name in SPLITS}
    asked = [s.sample_id for s in made.samples[SPLITS[0]]] if retrains else samples[SPLITS[0]]
    shards = _shards_of(opened, grown, asked, assignment, retrains)
    cost = opened.store.manifest().get("full_training", {})
    seconds = seconds_for(sum(shards.values()), len(shards), assignment.n_shards, cost)
    return AdditionPlan(
        n_rows=len(incoming),
        n_readmitted=grown.n_readmitted,
        n_users=len(set(incoming.users.names) - before_users),
        n_items=len(set(incoming.items.names) - before_items),
        roles=dict(zip(SPLITS, counts, strict=False)),
        samples={name: len(found) for name, found in samples.items()},
        piece=grown.addition.piece,
        shards=shards,
        n_shards=assignment.n_shards,
        estimated_seconds=seconds,
    )


def _shards_of(
    opened: "RunResult", grown: Grown, asked: list[str], known: "Assignment", retrains: bool
) -> dict[int, int]:
    """Shard -> how many of some training samples it has after the addition."""
    if not asked:
        return {}
    from recbole_apa.model.contracts import FitInputs
    from recbole_apa.model.embed_samples import embed_samples
    from recbole_apa.model.fit_context import FitContext
    from recbole_apa.partition import PARTITIONERS
    from recbole_apa.partition.growth import assign_added

    part = grown.data.train_set
    if retrains:
        opened.model.engine.keep_only([])  # the run's frozen passes come from the other kind of machine
    fit = FitContext(opened.model, inputs=FitInputs(reuse=None if retrains else ReusableState(opened.store)))
    opened.model.use_dataset(part)
    try:
        embeddings = embed_samples(fit, part, SPLITS[0], "Read added prompts")
    finally:
        opened.model.use_dataset(opened.data.train_set)
    ids, users = [s.sample_id for s in part.samples], [s.user_id for s in part.samples]
    whole = PARTITIONERS[opened.model.settings.partition.partition].keeps_users_whole
    found = assign_added(ids, users, embeddings, grown.made.pieces, known, whole)
    return dict(sorted(Counter(found.shard_of[name] for name in asked).items()))
