"""What RecBole 1.2.1 repaired, in RecBole 1.2.0: each model against RecBole's own file without the repairs."""

import importlib
import importlib.machinery
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import recbole
import torch

from recbole_apa import APAConfig
from recbole_apa.compat import release
from recbole_apa.compat.repairs import REPAIRS
from recbole_apa.core.errors import SettingsError
from tests.helpers.places import ROOT

FIRST = release.is_first_release()
RECBOLE = Path(recbole.__file__).parent
old_only = pytest.mark.skipif(not FIRST, reason="RecBole 1.2.1 has repaired it")


def plain(name):
    """A module of RecBole's as it was released, beside the repaired one."""
    spec = importlib.machinery.PathFinder.find_spec(name, [str(RECBOLE.joinpath(*name.split(".")[1:-1]))])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(model, options, data_folder, dataset="board"):
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, init_seed

    given = {"data_path": str(data_folder), "show_progress": False, "epochs": 1, "checkpoint_dir": "ck", **options}
    config = APAConfig(model, dataset, config_dict=given)
    loaders = data_preparation(config, create_dataset(config))
    init_seed(1, True)
    return get_model(model)(config, loaders[0]._dataset), next(iter(loaders[0])), config, loaders


@pytest.mark.parametrize("repair", REPAIRS, ids=lambda r: f"{r.place} {r.by}")
def test_the_fault_stands_where_the_table_says(repair):
    path, line = repair.place.split(":")
    text = (RECBOLE / path).read_text(encoding="utf-8").splitlines()
    if FIRST:
        assert repair.text in text[int(line) - 1]
    elif not repair.since.startswith("RecBole"):
        assert any(repair.text in found for found in text)


def test_the_page_shows_the_table():
    page = (ROOT / "docs" / "recbole.md").read_text()
    shown = [line for line in page.splitlines() if line.startswith("| `")]
    assert shown == [f"| `{repair.place}` | {repair.since} | {repair.what} |" for repair in REPAIRS]


@pytest.mark.parametrize("model", ["NGCF"])
def test_nothing_is_dropped_in_evaluation(model, data_folder):
    found, *_ = built(model, {"message_dropout": 0.5, "node_dropout": 0.0}, data_folder)
    found.eval()
    first, second = (torch.cat(found.forward()) for _ in range(2))
    assert torch.equal(first, second)
    found.train()
    # the second is the same draw as RecBole's own in training
    torch.manual_seed(3)
    ours = torch.cat(found.forward())
    torch.manual_seed(3)
    theirs = torch.cat(plain(type(found).__module__).NGCF.forward(found))
    assert torch.equal(ours, theirs) and not torch.equal(ours, first)
    assert found.message_dropout == 0.5


def test_gru4reckg_drops_nothing_in_evaluation():
    from recbole.model.sequential_recommender.gru4reckg import GRU4RecKG

    found = GRU4RecKG.__new__(GRU4RecKG)
    torch.nn.Module.__init__(found)
    torch.manual_seed(0)
    found.dropout = 0.5
    found.item_embedding, found.entity_embedding = torch.nn.Embedding(9, 4), torch.nn.Embedding(9, 4)
    found.item_emb_dropout = found.entity_emb_dropout = torch.nn.Dropout(0.5)
    found.item_gru_layers, found.entity_gru_layers = (torch.nn.GRU(4, 4, batch_first=True) for _ in range(2))
    found.dense_layer = torch.nn.Linear(8, 4)
    found.eval()
    items, length = torch.tensor([[1, 2, 3]]), torch.tensor([3])
    assert torch.equal(found.forward(items, length), found.forward(items, length))
    found.train()
    assert not torch.equal(found.forward(items, length), found.forward(items, length))


@pytest.mark.parametrize(("model", "options"), [("DiffRec", {"dims_dnn": [8]}), ("LDiffRec", {"n_cate": 1})])
def test_each_row_is_scored_for_its_own_item(model, options, data_folder):
    from recbole.data.interaction import Interaction

    found, _, config, _ = built(model, {**options, "sampling_noise": False, "sampling_steps": 0}, data_folder)
    found.eval()
    users, items = torch.tensor([1, 2, 3, 1]), torch.tensor([4, 5, 6, 7])
    asked = Interaction({config["USER_ID_FIELD"]: users, config["ITEM_ID_FIELD"]: items})
    scores = found.predict(asked)
    table = found.full_sort_predict(asked).view(len(users), -1)
    assert scores.shape == (4,)
    assert torch.equal(scores, torch.stack([table[row, item] for row, item in enumerate(items)]))


def test_without_noise_nothing_is_weighed(data_folder):
    found, batch, *_ = built("DiffRec", {"dims_dnn": [8], "noise_scale": 0.0, "reweight": True}, data_folder)
    assert found.reweight is False and found.calculate_loss(batch).isfinite()
    found, *_ = built("DiffRec", {"dims_dnn": [8], "noise_scale": 0.1, "reweight": True}, data_folder)
    assert found.reweight is True


@old_only
@pytest.mark.parametrize("part", ["Repeat_Recommendation_Decoder", "Explore_Recommendation_Decoder"])
@pytest.mark.parametrize("masked", [False, True])
def test_repeatnets_decoders_give_what_they_gave(part, masked):
    name = "recbole.model.sequential_recommender.repeatnet"
    theirs, ours = plain(name), importlib.import_module(name)
    torch.manual_seed(2)
    given = {"hidden_size": 8, "seq_len": 5, "num_item": 12, "device": torch.device("cpu"), "dropout_prob": 0.3}
    decoder = getattr(ours, part)(**given)
    items = torch.tensor([[3, 4, 3, 0, 0], [11, 1, 2, 5, 7]])
    memory, last, mask = torch.randn(2, 5, 8), torch.randn(2, 8), items.eq(0) if masked else None
    found = []
    for kind in (getattr(ours, part), getattr(theirs, part)):
        torch.manual_seed(5)  # the same places are dropped
        found.append(kind.forward(decoder, memory, last, items, mask))
    torch.testing.assert_close(*found, rtol=0, atol=1e-6)
    assert found[0].shape == (2, 12)


@old_only
def test_fearec_does_not_draw_for_ever():
    from recbole.model.sequential_recommender.fearec import FEARec

    histories = torch.tensor([[1, 2], [1, 2], [3, 0], [4, 0]])
    dataset = SimpleNamespace(inter_feat={"seq": histories, "item": torch.tensor([7, 7, 8, 8])})
    rows = FEARec.get_same_item_index(SimpleNamespace(ITEM_SEQ="seq", ITEM_ID="item"), dataset)
    assert {item: list(places) for item, places in rows.items()} == {7: [0], 8: [2, 3]}


def test_simplex_takes_its_dropout(data_folder):
    for options, rate in (({}, 0.1), ({"dropout_prob": 0.4}, 0.4)):
        found, *_ = built("SimpleX", options, data_folder)
        assert found.dropout.p == rate


@old_only
def test_a_neighbourhood_of_users_is_refused_with_the_command(data_folder):
    with pytest.raises(SettingsError, match=r"knn_method: found 'user'.*recbole==1\.2\.1"):
        built("ItemKNN", {"knn_method": "user"}, data_folder)


@old_only
@pytest.mark.parametrize("model", release.NEWER_MODELS)
def test_models_of_the_next_release_are_refused_with_the_command(model):
    says = rf"^--model={model} needs RecBole 1\.2\.1.*pip install --no-deps recbole==1\.2\.1"
    with pytest.raises(SettingsError, match=says):
        APAConfig(model, "ml-100k")


def test_s3recs_weights_stand_where_they_belong():
    config = APAConfig("S3Rec", "ml-100k", config_dict={"train_neg_sample_args": None})
    assert (config["aap_weight"], config["mip_weight"], config["save_step"]) == (0.2, 1.0, 50)
    config = APAConfig("S3Rec", "ml-100k", config_dict={"train_neg_sample_args": None, "aap_weight": 0.5})
    assert config["aap_weight"] == 0.5


@pytest.mark.parametrize("model", ["Random", "ADMMSLIM", "SLIMElastic"])
def test_scores_lie_where_the_model_does(model, data_folder):
    found, batch, *_ = built(model, {}, data_folder)
    scores = found.predict(batch)
    assert scores.shape[0] == len(batch)
    found.device = torch.device("meta")
    assert found.predict(batch).device.type == "meta"


def test_evaluation_that_is_to_be_shuffled_warns_and_is_not(data_folder, caplog):
    from recbole.data.dataloader import FullSortEvalDataLoader, NegSampleEvalDataLoader

    *_, config, loaders = built("BPR", {}, data_folder)
    for kind in (FullSortEvalDataLoader, NegSampleEvalDataLoader):
        loader = kind(config, loaders[1]._dataset, loaders[1]._sampler, shuffle=True)
        assert f"{kind.__name__} can't shuffle" in caplog.text
        assert type(loader.sampler).__name__ == "SequentialSampler"


def test_no_look_for_a_model_slows_the_process_down():
    importlib.import_module("recbole.model.sequential_recommender.sine")
    assert not torch.is_anomaly_enabled()
