"""RecBole's models by name, and which of them need files that pre-split rows lack."""

import importlib
import os
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import recbole.model
from recbole.utils import ModelType, utils

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.options import nearest
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml
from recbole_apa.pipeline.registration import register

if TYPE_CHECKING:
    from recbole.model.abstract_recommender import AbstractRecommender

CLOSE = 0.8
"""How similar a name has to be to be suggested."""
_OF_LIKES = frozenset({ModelType.GENERAL, ModelType.TRADITIONAL, ModelType.SEQUENTIAL, ModelType.KNOWLEDGE})
_LABELLED_SEQUENCES = frozenset({"DIN"})
"""Models of sequences that learn from labels: from likes alone they learn that everything is liked."""
_DISLIKED_LISTS = frozenset({"DIEN"})
_KINDS = ("general", "context_aware", "sequential", "knowledge_aware", "exlib")


def find_model(name: str, others: Iterable[str] = ()) -> "type[AbstractRecommender]":
    """RecBole's class of a model.

    Args:
        others: further names that are allowed where this one stands, to suggest.

    Raises:
        SettingsError: no such model, or it needs a package that is not installed.
    """
    register()
    try:
        model: type[AbstractRecommender] = utils.get_model(name)
    except ImportError as error:
        if not _is_file_of_recbole(name):
            raise SettingsError(_unknown(name, others)) from error
        raise SettingsError(f"{name} needs the package {error.name!r}, which is not installed") from error
    except (ValueError, AttributeError) as error:
        raise SettingsError(_unknown(name, others)) from error
    return model


def learns_likes(model: "type[AbstractRecommender]") -> bool:
    """Whether a model learns from liked rows, not from labels."""
    return model.type in _OF_LIKES and not learns_labelled_sequences(model)


def learns_labelled_sequences(model: "type[AbstractRecommender]") -> bool:
    """Whether a model learns from labels, each with the history before it."""
    return model.__name__ in _LABELLED_SEQUENCES


def wants_disliked_lists(model: "type[AbstractRecommender]") -> bool:
    """Whether a model reads, beside each history, items that RecBole draws as not chosen; pre-split rows have none."""
    return model.__name__ in _DISLIKED_LISTS


def usual_options(model: str, block: str) -> dict[str, object]:
    """The options of ``properties/comparison/baselines.yaml`` for a model.

    Args:
        block: what it learns from, one of :data:`~recbole_apa.data.baseline_rows.BaselineData`.
    """
    kind = "likes" if learns_likes(find_model(model)) else "labels"
    usual: dict[str, object] = _of_baselines()[kind][block]
    return usual


def baseline_defaults(model: str, block: str) -> dict[str, object]:
    """As :func:`usual_options`, with what was found for the very model beside APA (``searched``)."""
    return {**usual_options(model, block), **_of_baselines()["searched"].get(model, {}).get(block, {})}


def _of_baselines() -> dict[str, Any]:
    options: dict[str, Any] = read_yaml(properties_folder() / "comparison" / "baselines.yaml")
    return options


def reads_graph(model: "type[AbstractRecommender]") -> bool:
    """Whether a model reads a knowledge graph: ``.kg`` and ``.link`` files."""
    from recbole.data import dataset
    from recbole.data.dataset import KnowledgeBasedDataset

    own = getattr(dataset, f"{model.__name__}Dataset", None)  # RecBole's own way of choosing a dataset
    return bool(model.type == ModelType.KNOWLEDGE or (own and issubclass(own, KnowledgeBasedDataset)))


def _unknown(name: str, others: Iterable[str]) -> str:
    known = {other.lower(): other for other in others}
    near = nearest(name.lower(), {*known, *_files()}, CLOSE)
    hint = f"; did you mean {known.get(near) or _class_name(near)!r}?" if near else ""
    return f"RecBole has no model named {name!r}{hint}"


def _files() -> dict[str, str]:
    """Modules of RecBole's models -> their package. Imports none: one of the packages needs other libraries."""
    root = Path(recbole.model.__path__[0])
    folders = {f"recbole.model.{kind}_recommender": root / f"{kind}_recommender" for kind in _KINDS}
    return {
        found.name: package for package, path in folders.items() for found in pkgutil.iter_modules([os.fspath(path)])
    }


def _is_file_of_recbole(name: str) -> bool:
    return name.lower() in _files()


def _class_name(file: str) -> str:
    """The model in one of RecBole's modules; the module's name if that cannot be imported."""
    try:
        module = importlib.import_module(f"{_files()[file]}.{file}")
    except ImportError:
        return file
    return next((name for name in vars(module) if name.lower() == file), file)
