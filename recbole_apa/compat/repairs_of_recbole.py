"""Faults in RecBole itself; most are fixed in its release 1.2.1."""

from recbole_apa.compat.repair import Repair

_MODEL = "recbole.model"
_DATASET = "recbole.data.dataset.dataset"

OF_RECBOLE = (
    Repair(
        "recbole.data.dataloader.general_dataloader",
        "data/dataloader/general_dataloader.py:230",
        "logger.warnning(",
        "RecBole 1.2.1",
        "AttributeError if shuffling is set for evaluation, which does not support it (also line 116)",
        "release:no_shuffled_evaluation",
    ),
    Repair(
        f"{_MODEL}.sequential_recommender.sine",
        "model/sequential_recommender/sine.py:25",
        "set_detect_anomaly(True)",
        "every release",
        "all training in the process is slower once SINE has been imported, which looking up a model does",
        "release:no_anomaly_detection",
    ),
    Repair(
        _DATASET,
        "data/dataset/dataset.py:427",
        "def _load_feat(",
        "every release",
        "ids, labels and times are read differently from what the file says",
        "load_feat:apply",
        optional=True,
    ),
    Repair(
        f"{_MODEL}.general_recommender.ngcf",
        "model/general_recommender/ngcf.py:159",
        "nn.Dropout(self.message_dropout)(all_embeddings)",
        "RecBole 1.2.1",
        "NGCF applies dropout in evaluation, too",
        "release:ngcf",
    ),
    Repair(
        f"{_MODEL}.sequential_recommender.gru4reckg",
        "model/sequential_recommender/gru4reckg.py:82",
        "nn.Dropout(self.dropout)(item_emb)",
        "RecBole 1.2.1",
        "GRU4RecKG applies dropout in evaluation, too",
        "release:gru4reckg",
    ),
    Repair(
        f"{_MODEL}.general_recommender.diffrec",
        "model/general_recommender/diffrec.py:328",
        "scores = x_t[:, item]",
        "RecBole 1.2.1",
        "DiffRec gives each row the scores of all rows' items, and does not start without noise",
        "release:diffrec",
    ),
    Repair(
        f"{_MODEL}.general_recommender.ldiffrec",
        "model/general_recommender/ldiffrec.py:337",
        "scores = x_t[:, item]",
        "RecBole 1.2.1",
        "LDiffRec gives each row the scores of all rows' items",
        "release:ldiffrec",
    ),
    Repair(
        f"{_MODEL}.sequential_recommender.repeatnet",
        "model/sequential_recommender/repeatnet.py:253",
        "map_matrix = build_map(",
        "RecBole 1.2.1",
        "RepeatNet builds a tensor of rows x positions x items",
        "repeatnet:apply",
    ),
    Repair(
        f"{_MODEL}.sequential_recommender.fearec",
        "model/sequential_recommender/fearec.py:215",
        "while True:",
        "RecBole 1.2.1",
        "FEARec never terminates if all rows with an item have the same history",
        "release:fearec",
    ),
    Repair(
        f"{_MODEL}.general_recommender.simplex",
        "model/general_recommender/simplex.py:76",
        "nn.Dropout(0.1)",
        "RecBole 1.2.1",
        "SimpleX ignores dropout_prob",
        "release:simplex",
    ),
    Repair(
        f"{_MODEL}.general_recommender.itemknn",
        "model/general_recommender/itemknn.py:179",
        'compute_similarity("item")',
        "RecBole 1.2.1",
        "ItemKNN ignores knn_method: user, which is now rejected",
        "release:itemknn",
    ),
    *(
        Repair(
            f"{_MODEL}.general_recommender.{name}",
            f"model/general_recommender/{name}.py:{line}",
            text,
            "RecBole 1.2.1",
            f"{model} leaves its scores on the CPU",
            "release:scores_on_device",
        )
        for name, model, line, text in (
            ("admmslim", "ADMMSLIM", 114, "return add_noise(torch.from_numpy(r))"),
            ("random", "Random", 38, "return torch.rand(len(interaction)).squeeze(-1)"),
            ("slimelastic", "SLIMElastic", 98, "r = torch.from_numpy("),
        )
    ),
    Repair(
        _DATASET,
        "data/dataset/dataset.py:1804",
        'f"The splitting_method [{split_mode}] has not been implemented."',
        "RecBole 1.2.1",
        "the split by time, TS, is rejected",
        "time_split:apply",
    ),
    Repair(
        "recbole.config.configurator",
        "properties/model/S3Rec.yaml:12",
        "aap_weight: 1.0",
        "RecBole 1.2.1",
        "S3Rec's weights of two losses are swapped; SimpleX has no dropout_prob, ItemKNN no knn_method",
        "release:newer_defaults",
    ),
    Repair(
        "recbole.utils.utils",
        "utils/utils.py:82",
        "is not the name of an existing model",
        "RecBole 1.2.1",
        "AsymKNN, GRU4RecCPR and SASRecCPR are missing: the error names the command that installs them",
        "release:newer_models",
    ),
)
