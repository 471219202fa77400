"""One command, every method on the same rows: fit, score, unlearn, record."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from logging import getLogger
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np

from recbole_apa.comparison.context import ComparisonContext, context_in
from recbole_apa.comparison.measured import failed_row, measure
from recbole_apa.comparison.method import Method
from recbole_apa.comparison.methods.recbole import model_of
from recbole_apa.comparison.older_rows import with_labels
from recbole_apa.comparison.registry import (
    REFERENCE,
    check_names,
    is_baseline,
    make_methods,
    options_of_row,
    reads_language,
    rests_on_evidence,
    row_names,
)
from recbole_apa.comparison.report.judging import JudgedSamples, Judging
from recbole_apa.comparison.report.model_adds import ModelAdds, model_adds
from recbole_apa.comparison.report.seeds import of_asked_seeds
from recbole_apa.comparison.report.slices import Slice, slice_figures
from recbole_apa.comparison.report.table import write_comparison
from recbole_apa.comparison.row import (
    DONE,
    UNLEARN_SECONDS,
    Row,
    RowStore,
    code_digest,
    deciding_options,
    problems,
    row_key,
)
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.files.whole import write_json
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.data.baseline_rows import BaselineData, baseline_rows
from recbole_apa.evaluation.metrics import auc
from recbole_apa.pipeline.evidence_models import models_of
from recbole_apa.pipeline.evidence_option import COLUMNS, CONTENT, FIT, MODELS, TEXT, VALUES
from recbole_apa.pipeline.plugins import import_plugins_of
from recbole_apa.pipeline.recbole_models import check_baseline_options
from recbole_apa.pipeline.recbole_names import find_model, learns_labelled_sequences
from recbole_apa.runs.log import own_log

SAMPLES = "samples.json"
_SHOWN = 5e-5
"""Half a unit of the last place of an AUC in the table."""


@dataclass
class Comparison:
    """Result of :func:`compare`."""

    rows: list[Row]
    folder: Path
    table: str
    """For a terminal."""
    slices: Sequence[Slice] = ()
    """Parts of the test samples."""
    model_adds: Sequence[ModelAdds] = ()
    """What the language model adds to evidence, if there are rows with both and a row with evidence alone."""

    @property
    def problems(self) -> list[str]:
        """What went wrong, in a line each: rows that failed, and measures that could not be taken."""
        return problems(self.rows)


@own_log()
def compare(
    names: Sequence[str],
    dataset: str = "ml-100k",
    config_file_list: Sequence[str] = (),
    config_dict: Mapping[str, object] | None = None,
    seeds: int = 1,
    folder: str | Path | None = None,
    baseline_options: Mapping[str, Mapping[str, object]] | None = None,
    slices: bool = False,
    redraw: bool = False,
    baseline_data: BaselineData = "all",
    all_test_rows: bool = False,
    time_requests: bool = True,
    only_read: bool = False,
) -> Comparison:
    """Train and score methods on the same test samples; those with adapters have the same training and validation ones.

    Args:
        names: rows or groups (``paper``, ``recbole``, ``rules``, ``evidence``, ``ablations``, ``all``), any RecBole
            model, ``APA:option=value``. APA's two rows and ``Retraining`` are always included.
        config_dict: APA's options; ``seed`` is the first of the seeds.
        seeds: how many; ``Retraining`` is trained with at least two, to show what the seed alone changes.
        folder: where rows, tables and the report go (default ``saved/compare-<dataset>``); rows already there with the
            same settings and data are not computed again.
        baseline_options: RecBole model -> its own options.
        baseline_data: what RecBole's models learn from: ``all`` rows of the training period, those of them that some
            training or validation prompt ``shown``, or the targets that were ``drawn`` for training.
        slices: also show tables of cold and warm users, short and long histories, rare and popular items.
        all_test_rows: a second table has the rows that need no language model on every row of the test split, drawn or
            not.
        redraw: each seed draws other samples, so that differences between seeds are not those of training alone.
        time_requests: each row also forgets one interaction, to time it; most models are trained once more for that.
        only_read: show the rows that ``folder`` has, and write nothing there.

    Raises:
        APAError: options, names or data that APA rejects. If a method fails, only its own row does, with the reason.
        RunError: a row would have to be computed, and rows are only to be read.
    """
    if seeds < 1:
        raise SettingsError(f"seeds: found {seeds}, expected at least 1")
    _check_options(baseline_options or {}, baseline_data)
    import_plugins_of(config_file_list, config_dict or {})
    rows_asked = row_names(names)
    check_names(rows_asked, baseline_options or {})
    for row, given in (baseline_options or {}).items():
        check_baseline_options(model_of(row), given)
    target = Path(folder) if folder else Path("saved") / f"compare-{dataset}"
    options = dict(config_dict or {})
    with ExitStack() as stack:
        place = Path(stack.enter_context(TemporaryDirectory())) if only_read else target
        opened = stack.enter_context(context_in(place, dataset, config_file_list, options, redraw, baseline_data))
        context = opened.testing_all_rows() if all_test_rows else opened
        context = replace(context, time_requests=time_requests and not only_read)
        rows, judging = _all_rows(context, rows_asked, seeds, RowStore(target, only_read), baseline_options or {})
        rows = [judging.completed(row) for row in rows]
        _write_samples(place, judging)
        table = write_comparison(place, rows, judging, slices)
        if judging.too_few_users():
            getLogger().warning(judging.notes()[0])
    return Comparison(rows, target, table, slice_figures(of_asked_seeds(rows), judging), model_adds(rows, judging))


def _write_samples(folder: Path, judging: Judging) -> None:
    """What the rows are judged on; of further seeds if they draw other samples."""
    for seed, samples in judging.samples.items():
        if seed == min(judging.samples):
            write_json(folder / SAMPLES, samples)
        elif judging.redrawn:
            write_json(folder / f"samples-{seed}.json", samples)


def _check_options(baseline_options: object, baseline_data: str) -> None:
    if baseline_data not in get_args(BaselineData):
        known = ", ".join(get_args(BaselineData))
        raise SettingsError(f"baseline_data: found {baseline_data!r}, expected one of {known}")
    if not isinstance(baseline_options, Mapping) or not all(isinstance(v, Mapping) for v in baseline_options.values()):
        raise SettingsError(
            f"baseline_options: found {baseline_options!r}, expected options by model, e.g. {{BPR: {{epochs: 20}}}}"
        )


def _all_rows(
    context: ComparisonContext,
    names: Sequence[str],
    seeds: int,
    store: RowStore,
    baseline_options: Mapping[str, Mapping[str, object]],
) -> tuple[list[Row], Judging]:
    """All rows, and what they are judged on."""
    out: list[Row] = []
    judged: dict[int, JudgedSamples] = {}
    users: dict[str, int] = {}
    first = context.config["seed"]
    for seed in range(first, first + max(2, seeds)):
        drawn = context.drawn_for(seed)
        judged[seed] = _describe(drawn, users)
        # if one seed is asked for, the second is only for the reference
        asked = names if seed < first + seeds else [REFERENCE]
        for method in make_methods(drawn, asked, baseline_options):
            out += _rows_of(drawn, method, seed, store, baseline_options)
    return out, Judging(judged, context.config["intervals"] == "users", context.redraw)


def _rows_of(
    context: ComparisonContext,
    method: Method,
    seed: int,
    store: RowStore,
    baseline_options: Mapping[str, Mapping[str, object]],
) -> list[Row]:
    """The rows that one training serves: from the store, or measured now."""
    keys = {row: _key(context, row, baseline_options) for row in method.rows}
    known = {row: found for row, key in keys.items() if (found := _found(context, store.find(row, seed, key)))}
    if len(known) == len(keys):
        return [with_labels(method, row) for row in known.values()]
    missing = [row for row in method.rows if row not in known]
    store.refuse_missing(missing, seed)
    title = ", ".join(method.rows)
    getLogger().info(f"{title}: seed {seed}")
    try:
        rows = measure(context, method, missing, seed)
    except Exception as error:  # whatever a method raises becomes its row's reason and does not stop the table
        rows = [failed_row(row, seed, error) for row in missing]
    digests = {"data": context.rows_digest, "code": code_digest()}
    machine = machine_kind(context.config["device"]).text()
    for row in rows:
        known[row.method] = replace(row, digests={"settings": keys[row.method], **digests}, machine=machine)
        if row.status == DONE or store.find(row.method, seed, keys[row.method]) is None:  # one that was not timed stays
            store.save(known[row.method], keys[row.method])
    return [with_labels(method, known[row]) for row in method.rows]


def _found(context: ComparisonContext, row: Row | None) -> Row | None:
    """A stored row, if its scores are those that were judged. Older versions rounded them to six places, which made
    ties where a model's scores are small: such a row is measured again. So is one whose request is wanted, and was not
    timed."""
    if row is None or (context.time_requests and UNLEARN_SECONDS not in row.figures):
        return None
    if context.ranking or "auc" not in row.figures:
        return row
    if len(row.all_scores) and _is_rounded(np.array(row.all_scores)):
        return None
    value = auc(context.labels("test"), np.array(row.scores))
    return row if value is not None and abs(value - row.figures["auc"]) < _SHOWN else None


def _is_rounded(scores: np.ndarray) -> bool:
    """Whether scores have six places, and not fewer, as shares of a few rows may have."""
    return bool((scores.round(6) == scores).all() and (scores.round(3) != scores).any())


def _key(context: ComparisonContext, row: str, baseline_options: Mapping[str, Mapping[str, object]]) -> str:
    options = deciding_options(context.config.plain_options())
    settings: dict[str, Any] = {"row": row, "options": options, "baseline": baseline_options.get(row, {})}
    if is_baseline(row):
        settings["baseline"] = options_of_row(row, context.baseline_data, baseline_options)
        settings["baseline_data"] = context.baseline_data
        if context.baseline_data == "all":  # rows of before chose it on the validation samples
            settings["epoch_chosen_on"] = "validation split"
        if learns_labelled_sequences(find_model(model_of(row))):  # rows of before learnt from likes alone
            settings["learns_from"] = "labels"
    if rests_on_evidence(row):
        settings[COLUMNS] = context.config[COLUMNS]
        if context.config[CONTENT] != "columns":  # rows of before knew nothing else
            settings |= {name: context.config[name] for name in (CONTENT, TEXT)}
        if context.config[VALUES] != "labels":
            settings[VALUES] = context.config[VALUES]
        if models_of(context.config):
            settings[MODELS] = list(models_of(context.config))
        if reads_language(row):
            # rows of before had the costs of the model alone, or drew requests that cost a single model nothing
            settings["costs"] = "with evidence, requests of the prompts"
            if context.config[FIT] != "merged":
                settings[FIT] = context.config[FIT]
    if context.ranking:
        settings["ranking"] = context.ranking_metrics
    if context.all_test_rows and not reads_language(row):
        settings["all_test_rows"] = True
    return row_key(settings, context.rows_digest)


def _describe(context: ComparisonContext, users: dict[str, int]) -> JudgedSamples:
    """What intervals and slices need of each test sample: label, user, history, how often its user and item are
    training targets, and whether the rows that RecBole's models learn from have them.

    Args:
        users: user -> number; new users of test samples are added.
    """
    train_users: dict[str, int] = {}
    for sample in context.splits["train"]:
        train_users[sample.user_id] = train_users.get(sample.user_id, 0) + 1
    items: dict[str, int] = {}
    for item, _ in context.train_rows:
        items[item] = items.get(item, 0) + 1
    data, tested = context.run_data, context.judged_rows
    learnt = data.rows.take(baseline_rows(data, context.baseline_data))
    known_users, known_items = set(learnt.users.texts()), set(learnt.items.texts())
    described: JudgedSamples = {
        "label": [int(s.label) for s in tested],
        "user": [users.setdefault(s.user_id, len(users)) for s in tested],
        "n_history": [len(s.history) for s in tested],
        "n_train_samples_of_user": [train_users.get(s.user_id, 0) for s in tested],
        "n_train_rows_of_item": [items.get(s.item_id, 0) for s in tested],
        "user_seen": [int(s.user_id in known_users) for s in tested],
        "item_seen": [int(s.item_id in known_items) for s in tested],
        "baseline_data": context.baseline_data,
    }
    if context.all_test_rows:
        everybody = dict(users)  # of whom some have no drawn sample, and are not resampled with those who have
        described["all_label"] = [int(s.label) for s in context.tested.samples]
        described["all_user"] = [everybody.setdefault(s.user_id, len(everybody)) for s in context.tested.samples]
    if context.ranking:
        described["metrics"] = context.ranking_metrics
        described["n_candidates"] = context.ranking.n_candidates - 1
    return described
