"""The comparison's names -> methods. Every row of the table has one name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from recbole_apa.adapters.weight_rules import WEIGHT_RULES
from recbole_apa.comparison.context import ComparisonContext
from recbole_apa.comparison.method import Method
from recbole_apa.comparison.methods.evidence import EVIDENCE_ROWS, EvidenceMethod
from recbole_apa.comparison.methods.history import HistoryMethod
from recbole_apa.comparison.methods.recbole import HISTORY, RecBoleMethod, model_of
from recbole_apa.comparison.methods.rules import RuleMethod
from recbole_apa.comparison.methods.sharded import LEARNED, AdapterMethod, Serving, ServingWithEvidence
from recbole_apa.comparison.row import REFERENCE
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.options import check_given
from recbole_apa.core.settings import AggregationSettings
from recbole_apa.core.yaml import parse_value
from recbole_apa.data.baseline_rows import BaselineData
from recbole_apa.evaluation.simple_rules import RULES
from recbole_apa.pipeline.item_similarity import TABLES
from recbole_apa.pipeline.patience import STOPPING_ROWS
from recbole_apa.pipeline.recbole_names import baseline_defaults, find_model, reads_graph, wants_disliked_lists
from recbole_apa.unlearning.approximate.method_names import is_approximate

if TYPE_CHECKING:
    from recbole.model.abstract_recommender import AbstractRecommender

APA_ROWS = ("APA(D)", "APA(ND)")
WITH_EVIDENCE = "APA(D)+Evidence"

_MEAN = Serving("prediction", "average")
_ADAPTIVE = "sample_adaptive"
# name -> (what differs in training, how it is served)
ADAPTERS: dict[str, tuple[dict[str, Any], Serving]] = {
    "APA(D)": ({}, Serving("decomposition", _ADAPTIVE)),
    "APA(ND)": ({}, Serving("non_decomposition", _ADAPTIVE)),
    WITH_EVIDENCE: ({}, ServingWithEvidence("decomposition", _ADAPTIVE)),
    REFERENCE: ({"n_shards": 1, "shard_size": None, "shard_slices": 1}, Serving("decomposition", "average")),
    "SISA": ({"partition": "random"}, _MEAN),
    "RecEraser": ({"partition": "user"}, _MEAN),
    "RecEraser-attention": ({"partition": "user"}, Serving("prediction", LEARNED)),
    "RecEraser-IBP": ({"partition": "item"}, _MEAN),
    "RecEraser-InBP": ({"partition": "interaction"}, _MEAN),
    "GraphEraser": ({"partition": "bekm"}, _MEAN),
    "GraphEraser-BLPA": ({"partition": "blpa"}, _MEAN),
}
GROUPS: dict[str, tuple[str, ...]] = {
    "paper": (REFERENCE, "SISA", "RecEraser", "GraphEraser", *RULES),
    "recbole": (
        *("Pop", "ItemKNN", "BPR", "LightGCN", "NeuMF", "LR", "FM", "DeepFM", "SASRec", "GRU4Rec"),
        *(f"{model}{HISTORY}" for model in TABLES),
    ),
    "rules": RULES,
    "evidence": (*EVIDENCE_ROWS, WITH_EVIDENCE),
    "ablations": (
        "APA:partition=random",
        "APA:partition=user",
        "APA:partition=bekm",
        "APA:weight_rule=average",
        "APA:weight_rule=major",
        "APA:weight_rule=semantic",
        "APA:aggregation=prediction",
        "APA:shard_size=512",
        "APA:shard_size=128",
        "APA:shard_size=64",
    ),
}
OWN = frozenset((*RULES, *EVIDENCE_ROWS, *ADAPTERS))
"""Rows that are not RecBole's models."""
_VARIANTS = ("RecEraser-attention", "RecEraser-IBP", "RecEraser-InBP", "GraphEraser-BLPA")
GROUPS["all"] = tuple(dict.fromkeys([*GROUPS["paper"], *_VARIANTS, *GROUPS["evidence"], *GROUPS["recbole"]]))
ABLATION = "APA:"
"""``APA:option=value+option=value`` is APA(D) with other options."""


def row_names(asked: Sequence[str]) -> list[str]:
    """Groups expanded, each name once; APA's two rows and the reference are always included.

    Raises:
        SettingsError: an ablation that is not ``APA:option=value``.
    """
    names = [*APA_ROWS, REFERENCE]
    for name in asked:
        if name.startswith(ABLATION):
            _ablation(name)
        names += GROUPS.get(name, (name,))
    return list(dict.fromkeys(name for name in names if name != "APA"))


def make_methods(
    context: ComparisonContext, names: Iterable[str], baseline_options: Mapping[str, Mapping[str, object]] | None = None
) -> list[Method]:
    """Methods that serve the named rows; rows with the same training share it.

    A name that is not ours is taken to be a RecBole model.

    Args:
        baseline_options: RecBole model, or row, -> its options.
    """
    out: list[Method] = []
    shared: dict[str, AdapterMethod] = {}
    for name in names:
        if name in RULES:
            out.append(RuleMethod(context, name))
        elif name in EVIDENCE_ROWS:
            out.append(EvidenceMethod(context, name))
        elif name in ADAPTERS or name.startswith(ABLATION):
            changes, serving = ADAPTERS[name] if name in ADAPTERS else _ablation(name)
            method = shared.get(repr(sorted(changes.items())))
            if method is None:
                method = shared[repr(sorted(changes.items()))] = AdapterMethod(context, {}, changes)
                out.append(method)
            method.servings[name] = serving
        else:
            kind = HistoryMethod if name.endswith(HISTORY) else RecBoleMethod
            out.append(kind(context, name, options_of_row(name, context.baseline_data, baseline_options or {})))
    return out


def options_of_row(
    row: str, baseline_data: BaselineData, given: Mapping[str, Mapping[str, object]]
) -> dict[str, object]:
    """The options of a RecBole model's row: those given for it or its model, and below them those that
    ``properties/comparison/baselines.yaml`` has for what it learns from.

    Args:
        given: row or RecBole model -> its options.
    """
    own = {**given.get(model_of(row), {}), **given.get(row, {})}
    usual = baseline_defaults(model_of(row), baseline_data)
    if "stopping_step" in own:  # a patience that was asked for is not shortened
        usual.pop(STOPPING_ROWS, None)
    return {**usual, **own}


def is_baseline(row: str) -> bool:
    """Whether a row is of a RecBole model."""
    return not (row in OWN or row.startswith(ABLATION))


def rests_on_evidence(row: str) -> bool:
    """Whether collaborative statistics are in a row's predictions."""
    return row in GROUPS["evidence"]


def reads_language(row: str) -> bool:
    """Whether a row's predictions come from the language model."""
    return row in ADAPTERS or row.startswith(ABLATION)


def check_names(names: Iterable[str], with_options: Iterable[str] = ()) -> None:
    """Look up every name before anything is read or trained.

    Args:
        names: rows, as :func:`row_names` gives them.
        with_options: models that options are given for; they need not be among the rows.

    Raises:
        SettingsError: neither ours nor a model of RecBole's, or a model that needs other files than a comparison has.
    """
    for name in names:
        if not is_baseline(name):
            continue
        if is_approximate(name):
            raise SettingsError(
                f"--compare: {name} forgets approximately; expected together with something to forget, e.g. "
                "--forget_users_ratio=0.05"
            )
        if name.endswith(HISTORY) and model_of(name) not in TABLES:
            known = ", ".join(f"{model}{HISTORY}" for model in TABLES)
            raise SettingsError(f"--compare: found {name}, expected one of {known}: models of item similarities")
        model = _recbole_model(model_of(name))
        if wants_disliked_lists(model):
            raise SettingsError(
                f"--compare: {name} reads lists of items drawn as not chosen, which RecBole makes of files that it "
                "splits itself; expected another model, e.g. DIN"
            )
        if reads_graph(model):
            raise SettingsError(
                f"--compare: {name} reads a knowledge graph (.kg and .link files), which the dataset of a comparison "
                "does not have; expected another model"
            )
    for name in with_options:
        if name not in OWN:
            _recbole_model(model_of(name))


def _recbole_model(name: str) -> "type[AbstractRecommender]":
    try:
        return find_model(name, [*OWN, *GROUPS])
    except SettingsError as error:
        raise SettingsError(f"--compare: {error}") from error


def _ablation(name: str) -> tuple[dict[str, object], Serving]:
    """``APA:partition=random`` -> what differs in training, and how it is served."""
    changes: dict[str, Any] = {}
    for pair in name.removeprefix(ABLATION).split("+"):
        key, equals, value = pair.partition("=")
        if not equals:
            raise SettingsError(f"--compare={name}: found {pair!r}, expected option=value, e.g. APA:partition=random")
        changes[key] = parse_value(value)
    # how the adapters are merged is a matter of serving: every field of Serving is one of AggregationSettings
    served: dict[str, Any] = {f.name: changes.pop(f.name) for f in fields(Serving) if f.name in changes}
    check_given(AggregationSettings, served)
    serving = replace(ADAPTERS[APA_ROWS[0]][1], **served)
    WEIGHT_RULES.find(serving.weight_rule)
    if "shard_size" in changes:
        changes["n_shards"] = None
    return changes, serving
