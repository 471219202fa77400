"""RecBole's models on the very rows that APA sees, on real data."""

from pathlib import Path

import numpy as np
import pytest
from recbole.trainer import Trainer

from recbole_apa import APAConfig
from recbole_apa.data.presplit_files import write_presplit
from recbole_apa.evaluation.metrics import auc
from recbole_apa.pipeline.datasets import make_dataset
from recbole_apa.pipeline.patience import STOPPING_ROWS, patience
from recbole_apa.pipeline.recbole_models import (
    NAME,
    PresplitFiles,
    baseline_scores,
    train_baseline,
    train_embeddings,
)
from recbole_apa.pipeline.recbole_names import baseline_defaults
from recbole_apa.pipeline.recbole_scores import recbole_auc

GENERAL = ["Pop", "ItemKNN", "BPR", "LightGCN", "NeuMF"]
CONTEXT = ["LR", "FM", "DeepFM", "WideDeep"]
SEQUENTIAL = ["SASRec", "GRU4Rec", "FPMC", "STAMP"]


@pytest.fixture(scope="module")
def presplit(tmp_path_factory):
    """(folder, parts) of the paper's draws."""
    config = APAConfig("APA", "ml-100k", config_dict={"protocol": "tallrec", "test_samples": 200, "valid_samples": 100})
    parts = make_dataset(config).build()
    folder = tmp_path_factory.mktemp("presplit")
    write_presplit(folder, NAME, parts[0].splits, Path(config["data_path"]))
    return folder, parts


@pytest.mark.quick("BPR", "SASRec")
@pytest.mark.parametrize("name", GENERAL + CONTEXT + SEQUENTIAL)
def test_a_baseline_is_scored_on_apas_own_rows(name, presplit):
    folder, parts = presplit
    trained = train_baseline(
        name, PresplitFiles(folder, ["movie_title", "release_year", "class"], 10), 1, {"epochs": 2}
    )
    tested = parts[2].samples
    scores = baseline_scores(trained, 2, tested)  # refuses other rows, or another order
    rows = trained.loaders[2]._dataset.inter_feat
    assert rows["label"].tolist() == [s.label for s in tested]
    assert recbole_auc(trained) == pytest.approx(auc(np.array([s.label for s in tested]), scores), abs=1e-4)
    n_train = sum(s.label for s in parts[0].samples) if name not in CONTEXT else len(parts[0].samples)
    assert len(trained.loaders[0]._dataset) == n_train
    assert trained.is_probability == (name in CONTEXT)


def test_the_patience_is_recboles_but_where_a_pass_reads_few_rows():
    options = [baseline_defaults(name, "all") for name in ("FM", "DeepFM")]
    passes, most = zip(*((given["stopping_step"], given.get(STOPPING_ROWS)) for given in options), strict=True)
    for n_rows, expected in [(64, [30, 10]), (80_808, [10, 10]), (800_000, [10, 10]), (40_500, [20, 10])]:
        assert [patience(*both, n_rows) for both in zip(passes, most, strict=True)] == expected
    assert patience(30, None, 800_000) == 30


def test_a_training_ends_by_the_rows_that_it_has_read(presplit, monkeypatch):
    """Of a measure that only gets worse: the first pass, and as many more as the patience."""
    folder, _ = presplit
    files, seen = PresplitFiles(folder, [], 10), []
    monkeypatch.setattr(Trainer, "_valid_epoch", lambda *args, **kwargs: (seen.append(1) or -len(seen), {}))
    train_baseline("LR", files, 1, {"stopping_step": 19, STOPPING_ROWS: 12 * 1024})
    assert len(seen) == 1 + 12 + 1  # RecBole stops when there were more than these


def test_sequential_models_see_the_history_of_the_prompt(presplit):
    folder, parts = presplit
    trained = train_baseline("GRU4Rec", PresplitFiles(folder, [], 10), 1, {"epochs": 1})
    data = trained.loaders[2]._dataset
    shown = [data.id2token(data.iid_field, row[row > 0]).tolist() for row in data.inter_feat["item_id_list"][:20]]
    assert shown == [[e.item_id for e in s.history] for s in parts[2].samples[:20]]


def test_embeddings_know_the_training_rows_alone(presplit):
    folder, parts = presplit
    users, items = train_embeddings("BPR", folder, 1)
    assert set(users) == {s.user_id for s in parts[0].samples}
    assert set(items) >= {s.item_id for s in parts[0].samples}
