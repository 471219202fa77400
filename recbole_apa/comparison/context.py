"""What all methods of a comparison share: the rows, a scratch folder, the frozen activations."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_apa.backbone.activation_cache import ActivationCache
from recbole_apa.comparison.scratch_log import nothing_said_of
from recbole_apa.comparison.tested_rows import TestedRows
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.seeding import digest_of, hash_order
from recbole_apa.data.baseline_rows import BaselineData, baseline_rows, past_likes, presplit_rows, stopping_rows
from recbole_apa.data.forgotten import PAIR, Digester, Forgotten, Scope, digests_of
from recbole_apa.data.loaders import Loaders
from recbole_apa.data.presplit_files import AnyRows, Layout, write_presplit
from recbole_apa.data.run_data import RunData
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evaluation.candidates import CandidateLists, candidates_asked, draw_candidates
from recbole_apa.pipeline.build import start_logging
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.idle_options import say_idle
from recbole_apa.pipeline.recbole_models import NAME
from recbole_apa.runs.lock import run_lock

if TYPE_CHECKING:
    from recbole_apa.comparison.methods.evidence import TimedModel
    from recbole_apa.data.dataset import APADataset

SCRATCH = ".scratch"
DRAW = "draw_seed"
"""The option that draws other samples."""
_BY_LABELS = {"metrics": ["AUC", "LogLoss"], "valid_metric": "AUC"}
"""How methods train and choose when candidates are ranked."""


@dataclass
class ComparisonContext:
    """The rows that every method is trained and scored on."""

    dataset: str
    config_files: Sequence[str]
    options: Mapping[str, Any]
    """APA's options; random splits are drawn with their ``seed``."""
    folder: Path
    """Scratch: runs and pre-split files; deleted at the end."""
    config: APAConfig
    data: Loaders
    ranking: CandidateLists | None = None
    """What is ranked; None if test samples are judged by their labels."""
    ranking_config: APAConfig | None = None
    """Its options name the ranking metrics."""
    baseline_data: BaselineData = "all"
    """Which rows RecBole's models learn from."""
    caches: dict[tuple[Any, ...], ActivationCache] = field(default_factory=dict)
    """Frozen activations, by the settings they depend on: computed once for all methods and seeds."""
    redraw: bool = False
    """Whether each seed draws other samples."""
    text_states: dict[str, np.ndarray] = field(default_factory=dict)
    """States of items' texts, by text: as ``caches``."""
    n_labels: dict[str, int] = field(default_factory=dict)
    """Labels that adapters learn from, by what differs in training."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The options as they were given."""
    models: "dict[tuple[str, int], TimedModel]" = field(default_factory=dict)
    """RecBole models of the evidence by name and seed, trained on all rows of the training period."""
    all_test_rows: bool = False
    """Whether methods without a language model score every row of the test split, drawn or not."""
    time_requests: bool = True
    """Whether methods also forget, to time it."""

    def drawn_for(self, seed: int) -> "ComparisonContext":
        """The context of a seed: this one, or one with samples that the seed draws."""
        if not self.redraw:
            return self
        options = {**self.asked, DRAW: seed}
        drawn = open_context(self.dataset, self.config_files, options, self.folder / f"draw{seed}", self.baseline_data)
        kept = ("caches", "text_states", "all_test_rows", "time_requests")
        return replace(drawn, **{name: getattr(self, name) for name in kept})

    @property
    def splits(self) -> dict[str, list[Sample]]:
        """Samples of the train, valid and test parts."""
        return self.data.train_set.splits

    @property
    def run_data(self) -> RunData:
        """All rows, and what is known of them."""
        return self.data.train_set.run_data

    @property
    def train_rows(self) -> Sequence[tuple[str, int]]:
        """Item and label of every training target, drawn or not."""
        return self.data.train_set.train_rows

    @property
    def item_columns(self) -> list[str]:
        """Columns of the ``.item`` file besides the id."""
        columns = (self.config["load_col"] or {"item": "*"}).get("item") or []
        if columns == "*":  # every column that was read
            frame = self.data.train_set.item_feat
            columns = [] if frame is None else list(frame.columns)
        return [name for name in columns if name != self.config["ITEM_ID_FIELD"]]

    @property
    def layout(self) -> Layout:
        """How the dataset's files are written."""
        return Layout.of(self.config)

    @property
    def rows_digest(self) -> str:
        """SHA-256 over the data and over every sample of each part, so that two draws of one dataset differ."""
        told = (part for name in SPLITS for part in (name, *(s.digest() for s in self.splits[name])))
        lists = [part for items in self.ranking.items for part in items] if self.ranking else []
        return digest_of(self.data.train_set.old_digest, *told, *lists).hex()

    def judged(self, samples: Sequence[Sample]) -> list[Sample]:
        """What a method scores: the test samples, in the method's own version, or their candidates."""
        return self.ranking.expand(samples) if self.ranking else list(samples)

    def testing_all_rows(self) -> "ComparisonContext":
        """The same, with ``all_test_rows``.

        Raises:
            SettingsError: candidates are ranked.
        """
        if self.ranking:
            raise SettingsError(
                "all_test_rows: found True with eval_args.mode: uniN, expected labeled: lists are ranked of the drawn "
                "test samples alone; drop one"
            )
        return replace(self, all_test_rows=True)

    @cached_property
    def tested(self) -> TestedRows:
        """What methods without a language model score."""
        return TestedRows(self.run_data, self.all_test_rows)

    @property
    def judged_rows(self) -> list[Sample]:
        """The test samples that the figures describe: all, or those whose item is ranked."""
        tested = self.splits["test"]
        return [tested[row] for row in self.ranking.rows] if self.ranking else tested

    @property
    def ranking_metrics(self) -> list[str]:
        """Ranking figures by RecBole's names, NDCG at the smallest k first."""
        assert self.ranking_config is not None
        ks = sorted(self.ranking_config["topk"])
        names = [f"{metric.lower()}@{k}" for metric in self.ranking_config["metrics"] for k in ks]
        first = f"ndcg@{ks[0]}"
        return [first, *(name for name in names if name != first)]

    def labels(self, split: str) -> np.ndarray:
        """(n,), 0 or 1."""
        return np.array([s.label for s in self.splits[split]])

    def presplit(self) -> Path:
        """The folder of the pre-split files, written once."""
        folder = self.folder / "rows"
        if not folder.exists():
            self._write(folder, self.run_data, self.tested.samples)
        return folder

    def _write(self, folder: Path, data: RunData, tested: Sequence[Sample]) -> None:
        learnt = presplit_rows(data, baseline_rows(data, self.baseline_data))
        parts: dict[str, AnyRows] = {
            "train": learnt,
            "valid": presplit_rows(data, stopping_rows(data, self.baseline_data)),
            "test": tested,
        }
        write_presplit(folder, NAME, parts, Path(self.config["data_path"]), self.layout)

    def pasts(self) -> list[list[str]]:
        """The liked items that each scored sample's user may be judged by, in order of the samples: all before the
        target; under TALLRec's protocol, whose users are new, those of the prompt."""
        if self.run_data.options.split is None and self.run_data.options.files.presplit is None:
            return [[entry.item_id for entry in s.history if entry.label] for s in self.tested.samples]
        return [past_likes(self.run_data, row) for row in self.tested.targets.tolist()]

    def request(self) -> tuple[str, str]:
        """The interaction that methods without shards forget: a training target, chosen by hash."""
        samples = self.splits["train"]
        first = samples[hash_order([s.sample_id for s in samples], 0, "request")[0]]
        return first.user_id, first.item_id

    def presplit_without(self, user: str, item: str) -> Path:
        """Pre-split files of :meth:`data_without`."""
        folder = self.folder / "rows_without"
        shutil.rmtree(folder, ignore_errors=True)
        left = self.data_without(user, item)
        self._write(folder, left, left.samples["test"])
        return folder

    def data_without(self, user: str, item: str) -> RunData:
        """The same samples without one interaction: dropped as a target, removed from histories."""
        dataset = self.data.train_set
        roles = {name: frozenset(s.sample_id for s in self.splits[name]) for name in SPLITS}
        hidden = Forgotten(scopes=digests_of([Scope(PAIR, user, item)], Digester()))
        config = APAConfig("APA", self.dataset, list(self.config_files), dict(self.options))
        left = build_data(config, VisibleData((hidden,), roles=roles, cutoffs=dataset.cutoffs)).train_set.run_data
        # each row keeps its split, though there is one row less to divide
        notes = replace(left.notes, roles=self.run_data.notes.roles[left.notes.places])
        return replace(left, notes=notes)


def open_context(
    dataset: str,
    config_files: Sequence[str],
    options: Mapping[str, object],
    folder: Path,
    baseline_data: BaselineData = "all",
) -> ComparisonContext:
    """Read the data. With ``eval_args.mode: uniN`` every liked test sample's item is ranked among N others;
    methods still train and choose by labels.

    Raises:
        APAError: options or data that APA rejects.
    """
    asked = APAConfig("APA", dataset, list(config_files), dict(options))
    n = candidates_asked(asked["eval_args"]["mode"])
    if n is None:
        data = build_data(asked)
        return ComparisonContext(
            dataset, config_files, options, folder, asked, data, baseline_data=baseline_data, asked=options
        )
    by_labels = {key: value for key, value in options.items() if not key.startswith("eval_args.")} | _BY_LABELS
    by_labels["eval_args"] = {**asked["eval_args"], "mode": "labeled"}
    config = APAConfig("APA", dataset, list(config_files), by_labels)
    data = build_data(config)
    if "NDCG" not in map(str.upper, asked["metrics"]):
        asked["metrics"] = [*asked["metrics"], "NDCG"]
    lists = _draw(data.train_set, n, config["seed"])
    return ComparisonContext(
        dataset,
        config_files,
        by_labels,
        folder,
        config,
        data,
        lists,
        ranking_config=asked,
        baseline_data=baseline_data,
        asked=options,
    )


@contextmanager
def context_in(
    target: Path,
    dataset: str,
    config_files: Sequence[str],
    options: Mapping[str, object],
    redraw: bool = False,
    baseline_data: BaselineData = "all",
) -> Iterator[ComparisonContext]:
    """A context whose scratch folder is in ``target``, which stays locked meanwhile; RecBole's logger is started.

    Args:
        redraw: each seed draws other samples (:meth:`ComparisonContext.drawn_for`).

    Raises:
        SettingsError: a draw is given that each seed would replace.
        RunError: another process is running a comparison there.
        APAError: options or data that APA rejects.
    """
    if redraw and options.get(DRAW) is not None:
        raise SettingsError(
            f"{DRAW}: found {options[DRAW]!r} with redraw, for which each seed is its own draw; drop one"
        )
    with run_lock(target, "comparing"):
        scratch = target / SCRATCH
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            context = replace(open_context(dataset, config_files, options, scratch, baseline_data), redraw=redraw)
            start_logging(context.config)
            say_idle(context.config)
            with nothing_said_of(scratch):
                yield context
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _draw(dataset: "APADataset", n: int, seed: int) -> CandidateLists:
    rows = dataset.interactions
    rated: dict[str, set[str]] = {}
    for user, item in zip(rows.users.texts(), rows.items.texts(), strict=True):
        rated.setdefault(user, set()).add(item)
    return draw_candidates(dataset.splits["test"], rated, dataset.item_tokens(), n, seed)
