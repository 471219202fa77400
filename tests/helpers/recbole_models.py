"""Ten of RecBole's models, each trained for an epoch on ml-100k by RecBole's own functions: prints their figures.

``python -m tests.helpers.recbole_models`` needs no more of this package than ``import recbole_apa``.
"""

import json
import sys
import tempfile

import recbole_apa  # noqa: F401

_LISTS = {"train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": 5, "hidden_size": 16, "n_layers": 1, "n_heads": 1}
MODELS = {
    "BPR": {},
    "LightGCN": {"embedding_size": 16},
    "NGCF": {"embedding_size": 16, "hidden_size_list": [16, 16]},
    "ItemKNN": {"k": 5000},  # every neighbour: of equal ones at the cut, numpy's version and processor choose
    "EASE": {},
    "DiffRec": {"dims_dnn": [32]},
    "DeepFM": {"threshold": {"rating": 4}},
    "SASRec": {**_LISTS, "inner_size": 16},
    "GRU4Rec": {**_LISTS, "embedding_size": 16, "num_layers": 1},
    "CKE": {"embedding_size": 16, "kg_embedding_size": 16},
}


def figures(model: str) -> dict[str, float]:
    """RecBole's figures on its test rows."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    with tempfile.TemporaryDirectory() as folder:
        given = {"epochs": 1, "show_progress": False, "checkpoint_dir": folder, "topk": [10], "train_batch_size": 8192}
        config = Config(model, "ml-100k", config_dict={**given, **MODELS[model]})
        init_seed(config["seed"], config["reproducibility"])
        loaders = data_preparation(config, create_dataset(config))
        init_seed(config["seed"], config["reproducibility"])
        built = get_model(model)(config, loaders[0]._dataset).to(config["device"])
        trainer = get_trainer(config["MODEL_TYPE"], model)(config, built)
        trainer.fit(loaders[0], loaders[1], show_progress=False)
        found = trainer.evaluate(loaders[2], load_best_model=True)
    return {name: float(value) for name, value in found.items()}


if __name__ == "__main__":
    asked = sys.argv[1:] or list(MODELS)
    sys.argv = sys.argv[:1]  # RecBole reads it
    print(json.dumps({model: figures(model) for model in asked}))
