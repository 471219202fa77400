"""A run in RAM: options, data, state, and the backbone once it is needed."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from recbole_apa.backbone.load import load_backbone
from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.execution import PlacementSettings
from recbole_apa.core.settings import BackboneSettings
from recbole_apa.core.system.devices import VISIBLE, check_device
from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import KeyRing, key_ring
from recbole_apa.next_item.backbone_states import HistoryStates
from recbole_apa.next_item.counts import Scores, scores_of
from recbole_apa.next_item.data import NextItemData, read_next_data
from recbole_apa.next_item.options import NextItemOptions
from recbole_apa.next_item.run.added_files import read_added
from recbole_apa.next_item.run.figures import told_of_repeats
from recbole_apa.next_item.run.state_files import read_figures, read_state
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.title_rows import title_rows, told_of_drawn
from recbole_apa.next_item.run.to_make import ends_in, text_of_later
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import NextItemState
from recbole_apa.next_item.user_rows import RowReader
from recbole_apa.runs.ledger import visible_without
from recbole_apa.runs.names import TO_MAKE

CHANGES = frozenset({"data_path", "backbone", "device", "key_file", "show_progress", "trust_remote_code"})
"""Options that may be given for a finished run: where things are now, and who is trusted."""


@dataclass
class NextItemRun:
    """A run of APANext."""

    options: NextItemOptions
    data: NextItemData
    state: NextItemState
    folder: Path | None
    """None for a state that is not on disk."""
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    """Row of the table -> figures under RecBole's names, e.g. ``{"APANext": {"test.ndcg@10": 0.08}}``."""
    table: str = ""
    of_titles: dict[str, dict[str, float]] = field(default_factory=dict)
    """The rows of drawn users alone: computed where adapters are trained, kept with the state."""
    seconds: dict[str, float] = field(default_factory=dict)
    backbone_digest: str | None = None
    """What the run's states come from; None for a run that is being trained."""
    is_whole: bool = True
    """False after a request at once: rows of titles are missing, and adapters of ``state.learnt.ends``."""

    @cached_property
    def reader(self) -> RowReader:
        """Reads histories; the backbone is loaded when this is asked for.

        Raises:
            RunError: the backbone is not the run's.
        """
        states, digest = load_states(self.options)
        refuse_other_backbone(self.options.backbone.backbone, digest, self.backbone_digest)
        return RowReader(states, self.data.catalogue, self.state.grid)

    @property
    def later(self) -> str:
        """What a request at once has left for later, for people; empty if the run is whole."""
        return "" if self.is_whole else text_of_later(self.state, self.options.settings)

    @property
    def notes(self) -> list[str]:
        """Lines under the table, for people."""
        told = (told_of_repeats(self.data), told_of_drawn(self.of_titles, self.data), self.later)
        return [line for line in told if line]

    @property
    def without_adapter(self) -> list[int]:
        """The shards that have none, after a request at once."""
        return [shard for shard, end in sorted(self.state.learnt.ends.items()) if not end]

    @cached_property
    def counts(self) -> Scores | None:
        """What is derived from the run's counts."""
        counts = self.state.learnt.counts
        return None if counts is None else scores_of(counts)


def load_states(options: NextItemOptions) -> tuple[HistoryStates, str]:
    """The backbone, ready to read histories, and the digest of its weights."""
    backbone = load_backbone(options.backbone, torch.device(options.device), options.placement)
    return HistoryStates(backbone, options.settings.history_length), backbone.digest


def refuse_other_backbone(name: str, digest: str, known: str | None) -> None:
    """
    Raises:
        RunError: not the backbone that the run was trained on.
    """
    if known is not None and digest != known:
        raise RunError(
            f"the backbone {name!r} is not the one that the run was trained on (its digest differs); use the same "
            "model and dtype"
        )


def told_options(options: NextItemOptions) -> dict[str, object]:
    """The options as a manifest holds them."""
    return {
        "dataset": options.dataset,
        "folder": options.folder,
        "settings": options.settings.plain(),
        "backbone": asdict(options.backbone),
        "data": options.data.to_json(),
        "metrics": list(options.metrics),
        "topk": list(options.topk),
    }


def read_told(told: Mapping[str, Any], changes: Mapping[str, object]) -> NextItemOptions:
    """The options of a finished run, with what has changed since.

    Raises:
        RunError: not what :func:`told_options` wrote.
        SettingsError: a change that would decide what the run computes, or a device that is not here; or the backbone's
            own code is not trusted again.
    """
    others = sorted(set(changes) - CHANGES)
    if others:
        raise SettingsError(
            f"{', '.join(others)}: a finished run keeps its own settings; expected only {', '.join(sorted(CHANGES))}"
        )
    try:
        backbone = BackboneSettings(**told["backbone"])
        options = NextItemOptions(
            dataset=str(told["dataset"]),
            folder=str(told["folder"]),
            settings=NextItemSettings(**told["settings"]),
            backbone=backbone,
            data=DataOptions.from_json(told["data"]),
            metrics=tuple(told["metrics"]),
            topk=tuple(told["topk"]),
            device="cpu",
            placement=PlacementSettings(),
            show_progress=True,
            checkpoint_dir="saved",
        )
    except (KeyError, TypeError) as error:
        raise RunError(f"the run's options are damaged ({error}); restore the run folder from a copy") from None
    if backbone.trust_remote_code and not changes.get("trust_remote_code"):
        raise RunError(
            f"the run's backbone {backbone.backbone!r} comes with its own code; if you trust it, give "
            "--trust_remote_code=True again"
        )
    return _changed(options, changes)


def _changed(options: NextItemOptions, changes: Mapping[str, object]) -> NextItemOptions:
    if "data_path" in changes:
        folder = Path(str(changes["data_path"])) / options.dataset
        options = replace(options, folder=str(folder.resolve()))
    if "backbone" in changes:
        options = replace(options, backbone=replace(options.backbone, backbone=str(changes["backbone"])))
    if "device" in changes:
        device = check_device(str(changes["device"]), os.environ.get(VISIBLE), by_gpu_id=False)
        options = replace(options, device=str(device))
    if "show_progress" in changes:
        options = replace(options, show_progress=bool(changes["show_progress"]))
    return options


def visible_of(store: NextItemStore, manifest: Mapping[str, Any], keys: KeyRing) -> VisibleData:
    """What the run may see: everything but what its requests hide.

    Raises:
        KeyFileError: the ring does not have the key of one of them.
        RunError: the ledger does not have a request that the state has served.
    """
    served = set(manifest["served"])
    requests = [entry for entry in store.ledger(manifest).requests() if entry.digest in served]
    if len(requests) != len(served) or sum(len(e.content["interactions"]) for e in requests) != manifest["n_forgotten"]:
        raise RunError(
            f"{store.folder}: the requests in the ledger do not add up to what the manifest says is forgotten; lines "
            "were lost, or the manifest was edited: restore both from a copy"
        )
    return visible_without(requests, str(manifest["salt"]), keys)


def open_state(
    store: NextItemStore, changes: Mapping[str, object] | None = None, keys: KeyRing | None = None
) -> NextItemRun:
    """A finished run with its data; the caller has finished what a kill interrupted, or refused it.

    Raises:
        RunError: damaged, or the data is not what the run has read.
    """
    changes = changes or {}
    manifest = store.check()
    options = read_told(manifest["options"], changes)
    ring = keys or key_ring(changes)
    visible = visible_of(store, manifest, ring)
    folder = store.state_folder(manifest)
    added = read_added(folder)
    data = read_next_data(options.data, options.stem, visible, added)
    if len(data.added) != len(added):
        raise RunError(f"{store.folder}: rows that joined the run were forgotten and are still in its state")
    state = read_state(folder, options.settings, ends_in(manifest, options.settings))
    _refuse_other_data(options, manifest, data, state)
    run = NextItemRun(options, data, state, store.folder, backbone_digest=str(manifest["backbone_digest"]))
    run.seconds = dict(manifest["seconds"])
    run.of_titles = title_rows(read_figures(folder))
    run.is_whole = TO_MAKE not in manifest
    return run


def _refuse_other_data(
    options: NextItemOptions, manifest: Mapping[str, Any], data: NextItemData, state: NextItemState
) -> None:
    if data.catalogue.digest != manifest["catalogue"]:
        raise RunError(
            f"{options.stem}.item is not what the run was trained on: items or their texts differ; set --data_path to "
            "the files of then"
        )
    lineage = state.learnt.lineage
    now = {user: sequence.digest for user, sequence in data.of_user.items()}
    n_other = sum(now.get(user) != told[0] for user, told in lineage.items()) + len(now.keys() - lineage.keys())
    if n_other:
        raise RunError(
            f"{options.stem}.inter: {n_other} users have other rows than the run has read, or rows of equal times in "
            "another order; to take rows out, forget them first; new rows join with --add. Set --data_path to the "
            "files of then"
        )
