"""Register our model, dataset, loader and trainer in RecBole's own lookups."""

import importlib
import sys

from recbole.config import Config


def register() -> None:
    """Make ``APA``, ``APADataset`` and ``APATrainer`` visible to RecBole's own lookups. Safe to call again."""
    import recbole.data.dataset
    import recbole.data.utils
    import recbole.trainer

    from recbole_apa import compat
    from recbole_apa.data.dataloader import ShardingDataLoader
    from recbole_apa.data.dataset import APADataset
    from recbole_apa.model import apa
    from recbole_apa.model.trainer import APATrainer
    from recbole_apa.runs import log_places

    compat.install()
    log_places.apply()
    recbole.data.dataset.APADataset = APADataset
    recbole.trainer.APATrainer = APATrainer
    # get_model imports recbole.model.<kind>.<lower-case name>
    sys.modules["recbole.model.sequential_recommender.apa"] = apa
    setattr(importlib.import_module("recbole.model.sequential_recommender"), "apa", apa)  # noqa: B010
    recbole_loader = recbole.data.utils.get_dataloader
    if getattr(recbole_loader, "knows_apa", False):
        return

    def get_dataloader(config: Config, phase: str) -> type:
        if config["model"] == "APA" and phase == "train":
            return ShardingDataLoader
        return recbole_loader(config, phase)

    get_dataloader.knows_apa = True  # type: ignore[attr-defined]
    recbole.data.utils.get_dataloader = get_dataloader
