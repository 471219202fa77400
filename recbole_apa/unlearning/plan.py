"""Find the samples, shards and memory rows that forgotten interactions affect, by comparing lineages."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from recbole_apa.core.errors import RequestError
from recbole_apa.core.places import Place, Places
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import key_of
from recbole_apa.evidence.exactness import FRESH, INHERITED, definition
from recbole_apa.partition.assignment import Assignment
from recbole_apa.runs.manifest import TrainingCost
from recbole_apa.runs.names import EMBEDDINGS, MEMORY, METRICS
from recbole_apa.unlearning.plan_slices import SliceCount, restarts_of, slices_text
from recbole_apa.unlearning.requests.demands import printable

DROPPED, REWRITTEN, ADDED, LEFT_OUT = "dropped", "rewritten", "added", "left out"
CHANGES = (DROPPED, REWRITTEN, ADDED, LEFT_OUT)
TARGET, SHOWN, JUDGED, FILTERED, TOO_SHORT, TAKEN_IN, REDRAWN = (
    "its target is forgotten",
    "its history showed a forgotten interaction",
    "its history shows a validation or test sample's target, as that sample is dropped",
    "its history changes, as the dataset's filters drop or let in other interactions",
    "its history is now shorter than min_history, or the dataset's filters drop it",
    "the new split and draw include it",
    "the new split and draw leave it out",
)
ARTEFACTS = dict(zip(SPLITS, (EMBEDDINGS, MEMORY, METRICS), strict=True))


@dataclass(frozen=True)
class Affected:
    """One sample that a request changes."""

    sample_id: str
    split: str
    change: str
    """``dropped`` or ``rewritten``; ``added`` or ``left out`` if split and draw are repeated."""
    reason: str
    shard: int | None = None


@dataclass
class Plan:
    """What a request changes and costs, before anything is done."""

    n_interactions: int
    affected: list[Affected] = field(default_factory=list)
    shards: list[int] = field(default_factory=list)
    """Shards to be trained again, or switched off."""
    moved: list[int] = field(default_factory=list)
    """Shards whose adapters an approximate method moved; an exact request trains them again, whatever it names."""
    n_shards: int = 0
    n_train_samples: int = 0
    """Training samples to be trained on again, of ``n_kept`` that remain."""
    n_kept: int = 0
    slices: dict[int, SliceCount] = field(default_factory=dict)
    """Of the shards to be trained again. Empty if split, draw or partition are made anew: then the request tells."""
    n_slices_of_run: int = 0
    """Of all shards after the request; a shard without slices counts as one."""
    seconds: float | None = None
    """Estimate from how long training took, without evaluation; None if that was not recorded."""
    full_seconds: float | None = None
    models_seconds: float | None = None
    """What training the RecBole models of the evidence took, which every request does again; None without them."""
    exactness: str = INHERITED
    means: str = ""
    """What state the request leaves, in one line."""

    @property
    def n_slices(self) -> int:
        """Slices to be trained again."""
        return sum(count.total - count.kept for count in self.slices.values())

    def retrain_all(self) -> None:
        """Every shard is trained again from its start, or may be."""
        self.shards, self.n_train_samples = list(range(self.n_shards)), self.n_kept
        self.slices, self.n_slices_of_run = {}, 0

    def count(self, split: str, change: str) -> int:
        """Affected samples of one kind."""
        return sum(a.split == split and a.change == change for a in self.affected)


@dataclass(frozen=True)
class Trained:
    """What a run records of its training."""

    lineage: Mapping[str, Mapping[str, str]]
    """Artefact -> sample id -> digest."""
    assignment: Assignment
    cost: TrainingCost
    """The manifest's ``full_training``."""
    samples: Mapping[str, Sequence[Sample]]
    """The samples by split, as the run's data gave them."""
    places: Places = field(default_factory=Places)
    """When each training sample is trained."""
    prefixes: Mapping[int, Place] = field(default_factory=dict)
    """Shard -> the first place that its adapter lacks."""


def make_plan(
    n_interactions: int,
    trained: Trained,
    after: Mapping[str, Sequence[Sample]],
    hidden: Callable[[str], bool],
    elsewhere: Collection[str] = (),
) -> Plan:
    """Compare what the run saw with what it may see now.

    Args:
        trained: the run before the request, without the samples in ``elsewhere``.
        after: the samples of each split without the forgotten interactions.
        hidden: whether the interaction with a key is forgotten.
        elsewhere: ids of the training samples that are not compared, because the request cannot have changed them.

    Raises:
        RequestError: no training sample would be left.
    """
    assignment = trained.assignment
    plan = Plan(n_interactions, n_shards=assignment.n_shards)
    for split in SPLITS:
        plan.affected += _affected_of(split, trained, after, hidden)
    train = {*(s.sample_id for s in after["train"]), *elsewhere}
    if not train:
        raise RequestError("without what is to be forgotten there is no data to train on; nothing was changed")
    plan.n_kept = len(train)
    _settle_restarts(plan, trained, train)
    return plan


def _settle_restarts(plan: Plan, trained: Trained, left: Collection[str], anew: Collection[int] = ()) -> None:
    """Where the affected shards restart.

    Args:
        left: ids of all training samples after the request.
        anew: shards of which no slice is kept.
    """
    changed = [(a.shard, a.sample_id) for a in plan.affected if a.shard is not None]
    found = restarts_of(changed, left, trained.assignment, trained.places, trained.prefixes, anew)
    plan.shards = sorted(found.slices)
    plan.n_train_samples, plan.slices, plan.n_slices_of_run = found
    estimate(plan, trained.cost)


def settle_meaning(plan: Plan, exactness: str, pieces: Mapping[str, int]) -> None:
    """Say in the plan of an exact request what state it leaves.

    Args:
        pieces: sample id -> number of its piece, above 0, in the run before the request.
    """
    dropped = {a.sample_id for a in plan.affected if a.change == DROPPED}
    plan.exactness = exactness
    plan.means = definition(exactness, exactness != FRESH and bool(pieces.keys() - dropped))


def add_moved(plan: Plan, moved: Sequence[int], after: Sequence[Sample], trained: Trained) -> None:
    """Add to the plan of an exact request the shards that an approximate method moved.

    Args:
        after: the training samples without the forgotten interactions.
        trained: as in :func:`make_plan`.
    """
    plan.moved = list(moved)
    _settle_restarts(plan, trained, [s.sample_id for s in after], plan.moved)


def settle_moves(plan: Plan, after: Sequence[Sample], trained: Trained) -> None:
    """Let the plan be of an approximate request, which moves adapters as wholes.

    Args:
        after, trained: as in :func:`add_moved`.
    """
    _settle_restarts(plan, trained, [s.sample_id for s in after], plan.shards)
    plan.slices, plan.n_slices_of_run = {}, 0


def settle_shards(plan: Plan, sizes: Sequence[int], shards: Sequence[int], cost: TrainingCost) -> None:
    """Update a plan with the result of a new partition.

    Args:
        sizes: samples of each shard.
        shards: those to be trained again, or switched off.
        cost: the manifest's ``full_training``.
    """
    plan.n_shards, plan.shards = len(sizes), list(shards)
    plan.n_train_samples, plan.slices, plan.n_slices_of_run = sum(sizes[k] for k in shards), {}, 0
    estimate(plan, cost)


def _affected_of(
    split: str, trained: Trained, after: Mapping[str, Sequence[Sample]], hidden: Callable[[str], bool]
) -> list[Affected]:
    now = {s.sample_id: s for s in after[split]}
    changed = [
        name
        for name, digest in trained.lineage[ARTEFACTS[split]].items()
        if name not in now or now[name].digest() != digest
    ]
    before = {s.sample_id: s for s in trained.samples[split]} if changed else {}
    judged = _targets_no_more(trained, after) if changed else frozenset()
    out = []
    for name in changed:
        if name in now:
            change, reason = REWRITTEN, _why_rewritten(before.get(name), now[name], judged, hidden)
        else:
            change, reason = DROPPED, TARGET if hidden(key_of(name)) else TOO_SHORT
        shard = trained.assignment.shard_of[name] if split == SPLITS[0] else None
        out.append(Affected(name, split, change, reason, shard))
    return out


def _targets_no_more(trained: Trained, after: Mapping[str, Sequence[Sample]]) -> frozenset[str]:
    """Targets of validation and test samples that are gone: histories of added training samples passed over them."""
    was, stays = ({s.sample_id for split in SPLITS[1:] for s in samples[split]} for samples in (trained.samples, after))
    return frozenset(was - stays)


def _why_rewritten(before: Sample | None, now: Sample, judged: Collection[str], hidden: Callable[[str], bool]) -> str:
    """
    Args:
        before: the sample as it was, if that is known.
        judged: targets that histories may show now.
    """
    was = {entry.interaction_id for entry in before.history} if before else set()
    if any(hidden(key_of(name)) for name in was):
        return SHOWN
    new = {entry.interaction_id for entry in now.history} - was
    return JUDGED if new & set(judged) else FILTERED


def estimate(plan: Plan, cost: TrainingCost) -> None:
    """Estimate how long a plan takes; nothing if the first training's cost was not recorded."""
    plan.seconds = seconds_for(plan.n_train_samples, len(plan.shards), plan.n_shards, cost)
    plan.full_seconds = None if plan.seconds is None else cost["seconds"]
    plan.models_seconds = cost.get("models_seconds")


def seconds_for(n_samples: int, n_trained: int, n_shards: int, cost: TrainingCost) -> float | None:
    """Training time scales with the samples of a shard, scoring the memory with the adapters to score; RecBole models
    of the evidence are trained again whatever is asked. None if the first training's cost was not recorded.

    Args:
        n_samples: samples to train on, in ``n_trained`` of ``n_shards`` shards.
        cost: the manifest's ``full_training``.
    """
    if not cost.get("seconds") or not sum(cost["shard_seconds"]):
        return None
    per_sample = sum(cost["shard_seconds"]) / sum(cost["shard_samples"])
    of_models = cost.get("models_seconds", 0.0)
    return round(per_sample * n_samples + cost["memory_seconds"] * n_trained / n_shards + of_models, 1)


def plan_text(plan: Plan, most: int = 30) -> str:
    """The plan for a person: it names samples, so it is printed and never logged."""
    lines = [
        f"{plan.n_interactions} interactions to forget affect "
        + ", ".join(
            f"{plan.count(split, DROPPED)} {split} samples dropped and {plan.count(split, REWRITTEN)} rewritten"
            for split in SPLITS
        )
    ]
    if plan.means:
        lines.insert(0, f"exactness: {plan.exactness}, {plan.means}")
    if plan.exactness == FRESH:
        counts = (f"{plan.count(s, ADDED)} {s} samples in and {plan.count(s, LEFT_OUT)} out" for s in SPLITS)
        lines.append("the new split and draw take " + ", ".join(counts))
    for a in plan.affected[:most]:
        shard = "" if a.shard is None else f", shard {a.shard:03d}"
        lines.append(f"  {a.change:<9}  {printable(a.sample_id)}  ({a.split}{shard}): {a.reason}")
    if len(plan.affected) > most:
        lines.append(f"  ... and {len(plan.affected) - most} more")
    shards = ", ".join(f"{k:03d}" for k in plan.shards) or "none"
    lines.append(
        f"shards to train again: {shards} ({len(plan.shards)} of {plan.n_shards}); {plan.n_train_samples} of "
        f"{plan.n_kept} training samples"
    )
    if plan.n_slices_of_run > plan.n_shards:
        lines.append(slices_text(plan.slices, plan.n_slices_of_run))
    moved = [k for k in plan.moved if k in plan.shards]
    if moved:
        names = ", ".join(f"{k:03d}" for k in moved)
        lines.append(f"  {names}: moved by an approximate method before; an exact request trains it again")
    n_rows = sum(plan.count("valid", change) for change in CHANGES)
    if plan.affected:
        rows = f"{n_rows} row{'' if n_rows == 1 else 's'} added, dropped or computed again"
        errors = ", the retrained adapters' errors on all rows" if plan.shards else ""
        lines.append(f"memory: {rows}{errors}; then tau and n, figures, report and exports")
    if plan.models_seconds is not None:
        lines.append(
            f"evidence: its RecBole models are trained again, as on every request ({plan.models_seconds:.1f} s at the "
            "first training)"
        )
    if plan.seconds is not None and plan.full_seconds:
        lines.append(
            f"estimated time of training, evaluation apart: {plan.seconds:.0f} s; the first training of everything "
            f"that this run holds took {plan.full_seconds:.0f} s"
        )
    return "\n".join(lines)
