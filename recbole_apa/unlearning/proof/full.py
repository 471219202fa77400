"""The full proof: train everything from scratch on what remains, and compare every file, bit for bit."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path

import torch

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import file_digest, read_json
from recbole_apa.data.loaders import Loaders
from recbole_apa.evidence.exactness import EARLIER, THIS_DATA, definition, level_of
from recbole_apa.model.contracts import FitInputs
from recbole_apa.partition import Partition
from recbole_apa.partition.inherited import assignment_alone
from recbole_apa.pipeline.build import RunResult, open_run
from recbole_apa.pipeline.plugins import registered_by
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.runs.ledger import refuse_pending
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import (
    COLLABORATIVE,
    EMBEDDINGS,
    LINEAGE,
    MEMORY,
    PARTITION,
    PIECES,
    PREFIXES,
    STATES,
    TO_MAKE,
)
from recbole_apa.runs.remote.working_copy import open_place
from recbole_apa.runs.slice_order import listed_of
from recbole_apa.runs.store import RunStore
from recbole_apa.runs.trunk_activations import wrong_activations
from recbole_apa.unlearning.checks import reachable
from recbole_apa.unlearning.machines import machines_of
from recbole_apa.unlearning.proof.collaborative import items_of, keep_test_scores
from recbole_apa.unlearning.redraw import data_anew, draw_differences

SCORED = ("valid", "test")
_PASSING = ("train_seconds", "machine", "base_model_name_or_path")
TRAINING, DESCRIPTION = "training.json", "adapter_config.json"


@dataclass
class VerifyResult:
    """What differs from training from scratch; it holds where nothing does."""

    differences: list[str] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    means: str = ""
    """What it was compared with, if something was forgotten or added:
    :func:`~recbole_apa.evidence.exactness.definition`."""
    seconds: float = 0.0
    """Training from scratch, without scoring."""
    machines: str = ""
    """Where the run was computed and where it is verified, if these are different kinds of machine or not known."""
    comparable: bool = True
    """Whether this kind of machine is expected to give the run's bits; if not, a difference means nothing."""

    plugins: str = ""
    """If something differs: modules outside the package that the run uses, and what a change in them means."""

    @property
    def holds(self) -> bool:
        """Whether everything is equal, bit for bit."""
        return not self.differences


@own_log()
def verify(run_dir: str | Path, config_dict: Mapping[str, object] | None = None) -> VerifyResult:
    """Train the run's state again, in a temporary folder, reusing only what its exactness allows
    (:data:`~recbole_apa.evidence.exactness.PARTS`), and compare partition, embeddings, adapters, memory,
    collaborative statistics, lineage, tau, n and scores; not ``metrics.json``, the report and its figures. A run that
    has grown is trained piece by piece, and its points are compared as well.

    Raises:
        RunError: not a finished run, or in use.
    """
    with open_place(run_dir, "verifying", writes=False) as place:
        return _verify(RunStore(place), config_dict)


def _verify(store: RunStore, config_dict: Mapping[str, object] | None) -> VerifyResult:
    manifest = store.manifest()
    refuse_pending(store)
    try:
        store.check()
    except RunError as error:
        return VerifyResult([str(error)], ["files against the manifest's digests"])
    with (
        run_lock(store.folder, "verifying", writes=False),
        tempfile.TemporaryDirectory(prefix="recbole-apa-verify-") as name,
    ):
        opened = open_run(store, config_dict)
        show = opened.config["show_progress"]
        machines = machines_of(store, opened.model.engine.decoder.device)
        if machines.others:
            getLogger().warning(f"verified on another kind of machine, which gives other bits:\n  {machines.text()}")
        served = _scores(opened)
        opened.model.engine.keep_only([])  # nothing computed before may be reused
        out, data = _data_again(opened, store, manifest)
        fresh = RunStore(Path(name) / "run")
        trainer = make_trainer(opened.config, opened.model, fresh, _inputs_again(opened, manifest))
        if manifest.get("partition_of") == EARLIER:
            fresh.begin(trainer.identity(data.train_set, fresh.salt), {})
            fresh.save_partition(_inherited(store, manifest))
        trainer.fit(data.train, data.valid, show_progress=show)
        result = RunResult({}, None, opened.config, opened.model, trainer, data)
        again = _scores(result)
        keep_test_scores(store, result, fresh)
        _compare(store, fresh, out)
        out.machines, out.comparable = "" if machines.one_kind else machines.text(), not machines.others
        out.compared += [f"scores of the {split} samples" for split in SCORED]
        out.differences += [
            f"scores of the {split} samples: {_n_different(served[split], again[split])} of {len(again[split])} differ"
            for split in SCORED
            if not torch.equal(served[split], again[split])
        ]
        out.compared.append("the raw files' rows of what was forgotten, by keyed digests, against data and state")
        out.differences += [
            f"what was forgotten can be reached: {found}" for found in reachable(store, opened.data, opened.keys)
        ]
        prompts = [p for part in opened.data.parts[:2] for p in opened.model.prompts_of(part)]
        wrong = wrong_activations(store, opened.model.engine.cache, prompts)
        if wrong:
            out.differences.append(f"{STATES}: {wrong} of its activations are not those of the run's samples")
        modules = registered_by(opened.config, opened.model.engine.decoder.family)
        if out.differences and modules:
            out.plugins = (
                f"the run uses {', '.join(sorted(set(modules.values())))}, of which no copy is kept: what was trained "
                "again is what the module says now; if it was changed since, verify with the module as it was"
            )
        out.seconds = sum(trainer.record.seconds.values())
        return out


def _inputs_again(opened: RunResult, manifest: Mapping[str, object]) -> FitInputs:
    """What decides how the run's samples were trained, besides its options."""
    store = opened.store
    return FitInputs(
        writes_index=False,
        writes_board=False,
        pieces=store.load_pieces(),
        prefixes=store.load_prefixes(),
        listed=listed_of(store, opened.keys),
        trains_models=TO_MAKE not in manifest,
        items=items_of(store),
    )


def _data_again(opened: RunResult, store: RunStore, manifest: Manifest) -> tuple[VerifyResult, Loaders]:
    """The data to train on: the run's samples, or those of a new split and draw if the run claims to have one."""
    means = definition(level_of(manifest), bool(store.load_pieces()))
    if store.load_prefixes():
        means += f"; in some shards it ends early, before the slices that {PREFIXES} names, until --catch_up"
    out = VerifyResult(means=means)
    if manifest.get("draw_of") != THIS_DATA:
        return out, opened.data
    data = data_anew(opened.data.train_set)
    opened.model.use_dataset(data.train_set)
    out.compared.append("split and draw")
    out.differences += draw_differences(manifest, store, data)
    return out, data


def _inherited(store: RunStore, manifest: Manifest) -> Partition:
    """The assignment that the run took over, with its centres if an older version kept them."""
    partition = store.load_partition()
    assert partition is not None
    computed_anew = manifest.get("centres_of") == THIS_DATA
    return assignment_alone(partition, partition.shard_of.keys()) if computed_anew else partition


def _n_different(one: torch.Tensor, other: torch.Tensor) -> int:
    return int((one != other).sum()) if len(one) == len(other) else len(other)


def _scores(result: RunResult) -> dict[str, torch.Tensor]:
    """Aggregated scores of the validation and test samples."""
    out = {}
    for split, part in zip(SCORED, result.data.parts[1:], strict=True):
        prompts = result.model.prompts_of(part)
        weights = result.model.weights(prompts)
        out[split] = result.trainer.aggregate(part, weights, _how(result), f"Score {split}", False)
    return out


def _how(result: RunResult) -> str:
    how: str = result.model.settings.aggregation.aggregation
    return how


def _compare(store: RunStore, fresh: RunStore, out: VerifyResult) -> None:
    here, there = set(store.state_files()), set(fresh.state_files())
    state = {PARTITION, PIECES, PREFIXES, "partition.safetensors", EMBEDDINGS, MEMORY, LINEAGE}
    names = sorted(n for n in here | there if n in state or n.startswith(("shards/", f"{COLLABORATIVE}/")))
    for name in names:
        out.compared.append(name)
        if name not in there:
            out.differences.append(f"{name}: training from scratch leaves no such file")
        elif name not in here:
            out.differences.append(f"{name} is missing: training from scratch makes it")
        elif name.endswith((TRAINING, DESCRIPTION)):
            if _lasting(store.folder / name) != _lasting(fresh.folder / name):
                out.differences.append(f"{name} differs")
        elif file_digest(store.folder / name) != file_digest(fresh.folder / name):
            out.differences.append(f"{name} differs")
    out.compared.append("tau and n")
    chosen = [s.manifest()["chosen"] for s in (store, fresh)]
    if chosen[0] != chosen[1]:
        out.differences.append(f"tau and n: found {chosen[0]}, training from scratch chooses {chosen[1]}")


def _lasting(path: Path) -> dict[str, object]:
    """A shard's record without its time and machine, and without the backbone's location."""
    return {k: v for k, v in read_json(path).items() if k not in _PASSING}
