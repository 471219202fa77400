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


def plan_of(opened: "RunResult", grown: Grown, incoming: Incoming) -> AdditionPlan:
    """What an addition brings, and what it trains; the frozen model reads its training samples for that."""
    before: RunData = opened.data.train_set.run_data
    made, assignment = grown.made, opened.store.load_assignment()
    assert assignment is not None
    rows = made.index_rows()
    roles = rows.roles[rows.since == len(made.additions)]
    counts = np.bincount(roles, minlength=NO_ROLE + 1).tolist()
    known = {name: {s.sample_id for s in before.samples[name]} for name in SPLITS}
    samples = {name: [s.sample_id for s in made.samples[name] if s.sample_id not in known[name]] for name in SPLITS}
    shards = _shards_of(opened, grown, samples[SPLITS[0]], assignment)
    cost = opened.store.manifest().get("full_training", {})
    return AdditionPlan(
        n_rows=len(incoming),
        n_readmitted=grown.n_readmitted,
        n_users=len(set(incoming.users.names) - set(before.raw.users.names)),
        n_items=len(set(incoming.items.names) - set(before.raw.items.names)),
        roles=dict(zip(SPLITS, counts, strict=False)),
        samples={name: len(found) for name, found in samples.items()},
        piece=grown.addition.piece,
        shards=shards,
        n_shards=assignment.n_shards,
        estimated_seconds=seconds_for(sum(shards.values()), len(shards), assignment.n_shards, cost),
    )


def _shards_of(opened: "RunResult", grown: Grown, added: list[str], known: "Assignment") -> dict[int, int]:
    """Shard -> how many of the added training samples it gets."""
    if not added:
        return {}
    from recbole_apa.model.contracts import FitInputs
    from recbole_apa.model.embed_samples import embed_samples
    from recbole_apa.model.fit_context import FitContext
    from recbole_apa.partition.growth import assign_added

    part = grown.data.train_set
    opened.model.use_dataset(part)
    fit = FitContext(opened.model, inputs=FitInputs(reuse=ReusableState(opened.store)))
    embeddings = embed_samples(fit, part, SPLITS[0], "Read added prompts")
    opened.model.use_dataset(opened.data.train_set)
    ids, users = [s.sample_id for s in part.samples], [s.user_id for s in part.samples]
    found = assign_added(ids, users, embeddings, grown.made.pieces, known)
    return dict(sorted(Counter(found.shard_of[name] for name in added).items()))
