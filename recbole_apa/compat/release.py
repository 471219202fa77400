"""RecBole 1.2.1's fixes to models, for RecBole 1.2.0; and faults that both releases have.

1.2.1 requires a Ray that cannot be installed on Python 3.12 or later, so this package depends on 1.2.0. If 1.2.1 is
installed nevertheless, ``recbole_compat`` skips these functions.
"""

import functools
import logging
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recbole_apa.core.errors import SettingsError

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction
    from recbole.model.abstract_recommender import AbstractRecommender
    from recbole.sampler.sampler import AbstractSampler

NEWER = "pip install --no-deps recbole==1.2.1"
NEWER_MODELS = ("AsymKNN", "GRU4RecCPR", "SASRecCPR")


def is_first_release() -> bool:
    """Whether RecBole is older than 1.2.1."""
    import recbole

    return tuple(int(part) for part in recbole.__version__.split(".")[:3]) < (1, 2, 1)


def no_anomaly_detection(module: ModuleType) -> None:
    """Undo anomaly detection, which SINE's file switches on for the whole process when imported."""
    torch.autograd.set_detect_anomaly(False)


def ngcf(module: ModuleType) -> None:
    """NGCF's ``message_dropout`` is 0 in evaluation."""
    _no_dropout_in_evaluation(vars(module)["NGCF"], "message_dropout")


def gru4reckg(module: ModuleType) -> None:
    """GRU4RecKG's ``dropout`` is 0 in evaluation."""
    _no_dropout_in_evaluation(vars(module)["GRU4RecKG"], "dropout")


def _no_dropout_in_evaluation(model: "type[AbstractRecommender]", rate: str) -> None:
    own = model.forward

    @functools.wraps(own)
    def forward(self: "AbstractRecommender", *args: object, **named: object) -> Tensor | tuple[Tensor, ...]:
        asked = getattr(self, rate)
        if not self.training:
            setattr(self, rate, 0.0)
        try:
            return own(self, *args, **named)
        finally:
            setattr(self, rate, asked)

    model.forward = forward


def diffrec(module: ModuleType) -> None:
    """DiffRec's scores of pairs, and its start with ``noise_scale`` 0, where nothing is reweighted."""
    model: Any = vars(module)["DiffRec"]
    own = model.calculate_for_diffusion

    @functools.wraps(own)
    def calculate_for_diffusion(self: "AbstractRecommender") -> None:
        if self.noise_scale == 0:
            self.reweight = False
        else:
            own(self)

    model.calculate_for_diffusion = calculate_for_diffusion
    model.predict = _score_of_each_pair


def ldiffrec(module: ModuleType) -> None:
    """LDiffRec's scores of pairs."""
    vars(module)["LDiffRec"].predict = _score_of_each_pair


def _score_of_each_pair(self: "AbstractRecommender", interaction: "Interaction") -> torch.Tensor:
    """The score of each row's own item, of shape (rows,), out of the scores of all items, (rows, items)."""
    scores = self.full_sort_predict(interaction)
    items = interaction[self.ITEM_ID].to(scores.device)
    picked: torch.Tensor = scores.gather(1, items.unsqueeze(1)).squeeze(1)
    return picked


def fearec(module: ModuleType) -> None:
    """FEARec draws a row with the same item and another history; if there is none, it uses one row for all."""
    model: Any = vars(module)["FEARec"]
    own = model.get_same_item_index

    @functools.wraps(own)
    def get_same_item_index(self: "AbstractRecommender", dataset: "Dataset") -> dict[int, np.ndarray]:
        histories = dataset.inter_feat[self.ITEM_SEQ]
        return {
            item: rows[:1] if bool((histories[rows] == histories[rows[0]]).all()) else rows
            for item, rows in own(self, dataset).items()
        }

    model.get_same_item_index = get_same_item_index


def simplex(module: ModuleType) -> None:
    """SimpleX uses ``dropout_prob``."""
    model: Any = vars(module)["SimpleX"]
    own = model.__init__

    @functools.wraps(own)
    def __init__(self: "AbstractRecommender", config: "Config", dataset: "Dataset") -> None:
        own(self, config, dataset)
        self.dropout = nn.Dropout(config["dropout_prob"])

    model.__init__ = __init__


def itemknn(module: ModuleType) -> None:
    """Reject ``knn_method: user``, which this release would ignore."""
    model: Any = vars(module)["ItemKNN"]
    own = model.__init__

    @functools.wraps(own)
    def __init__(self: "AbstractRecommender", config: "Config", dataset: "Dataset") -> None:
        if config["knn_method"] not in (None, "item"):
            raise SettingsError(
                f"knn_method: found {config['knn_method']!r}, which needs RecBole 1.2.1; expected item, or run: {NEWER}"
            )
        own(self, config, dataset)

    model.__init__ = __init__


def scores_on_device(module: ModuleType) -> None:
    """Put scores of pairs on the model's device."""
    names = {"admmslim": "ADMMSLIM", "random": "Random", "slimelastic": "SLIMElastic"}
    model: Any = vars(module)[names[module.__name__.rpartition(".")[2]]]
    own = model.predict

    @functools.wraps(own)
    def predict(self: "AbstractRecommender", interaction: "Interaction") -> Tensor:
        return own(self, interaction).to(self.device)

    model.predict = predict


_NEWER_DEFAULTS = {
    "S3Rec": {"aap_weight": 0.2, "mip_weight": 1.0, "save_step": 50},
    "SimpleX": {"dropout_prob": 0.1},
    "ItemKNN": {"knn_method": "item"},
}
"""Model -> options that RecBole 1.2.1 added, or gave other defaults."""


def newer_defaults(module: ModuleType) -> None:
    """Give options of three models the defaults of 1.2.1 (S3Rec's weights of two losses were swapped)."""
    config: Any = vars(module)["Config"]
    own = config._load_internal_config_dict

    @functools.wraps(own)
    def load(self: "Config", model: str, model_class: "type[AbstractRecommender]", dataset: str) -> None:
        own(self, model, model_class, dataset)
        self.internal_config_dict |= _NEWER_DEFAULTS.get(model, {})

    config._load_internal_config_dict = load


def no_shuffled_evaluation(module: ModuleType) -> None:
    """Evaluation loaders warn about ``shuffle=True`` and continue without it (``logger.warnning`` does not exist)."""
    for name in ("NegSampleEvalDataLoader", "FullSortEvalDataLoader"):
        _never_shuffle(vars(module)[name])


def _never_shuffle(loader: "type[AbstractDataLoader]") -> None:
    own = loader.__init__

    @functools.wraps(own)
    def __init__(
        self: "AbstractDataLoader",
        config: "Config",
        dataset: "Dataset",
        sampler: "AbstractSampler",
        shuffle: bool = False,
    ) -> None:
        if shuffle:
            logging.getLogger().warning(f"{loader.__name__} can't shuffle")
        own(self, config, dataset, sampler, shuffle=False)

    loader.__init__ = __init__


def newer_models(module: ModuleType) -> None:
    """Reject the models added in 1.2.1 by name, with the command that installs them."""
    own = vars(module)["get_model"]

    @functools.wraps(own)
    def get_model(model_name: str) -> "type[AbstractRecommender]":
        if model_name in NEWER_MODELS:
            raise SettingsError(f"--model={model_name} needs RecBole 1.2.1; expected another model, or run: {NEWER}")
        return own(model_name)

    replace(own, get_model)


def replace(own: Callable[..., object], new: Callable[..., object]) -> None:
    """Replace a function with ``new`` wherever RecBole's modules refer to it."""
    import sys

    for name, module in list(sys.modules.items()):
        if name == "recbole" or name.startswith("recbole."):
            for key, value in list(vars(module).items()):
                if value is own:
                    setattr(module, key, new)
