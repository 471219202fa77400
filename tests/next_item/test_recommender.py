"""A finished run as a model of RecBole's: its own data, loader and trainer."""

import shutil

import pytest
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer
from recbole.utils import get_model

from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.next_item.recommender import APANext
from recbole_apa.next_item.run import session
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.train import run_next_items


@pytest.fixture(scope="module")
def folder(next_options, work_folder):
    return run_next_items("chains", config_dict=next_options, run_dir=work_folder / "recommender_run").folder


def of_recbole(chains, **more) -> Config:
    return Config(
        "SASRec",
        "chains",
        config_dict={
            "data_path": str(chains),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id"]},
            "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
            "MAX_ITEM_LIST_LENGTH": 6,
            "train_neg_sample_args": None,
            "loss_type": "CE",
            "epochs": 1,
            "metrics": ["NDCG"],
            "topk": [10],
            "valid_metric": "NDCG@10",
            "device": "cpu",
            **more,
        },
    )


@pytest.mark.slow
def test_recboles_own_evaluation_gives_the_scores_of_the_run(chains, folder):
    config = of_recbole(chains, next_item_run=str(folder))
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    model = APANext(config, dataset)
    result = Trainer(config, model).evaluate(test, load_best_model=False, show_progress=False)
    assert 0 < result["ndcg@10"] <= 1
    batch = next(iter(test))[0]
    found = model.full_sort_predict(batch)
    assert found.shape == (len(batch), dataset.item_num)
    assert bool((found[:, 0] < found[:, 1:].min(1).values).all())
    run = model.run
    for row, number in enumerate(batch[dataset.uid_field].tolist()):
        user = dataset.id2token(dataset.uid_field, number)
        place = run.state.learnt.test.users.index(user)
        history = [run.data.columns(run.data.of_user[user])[:-1][-6:]]
        own = run.state.scores([user], run.state.learnt.test.states[place : place + 1], history, run.counts)[0]
        tokens = dataset.field2id_token[dataset.iid_field][1:].tolist()
        assert torch.allclose(found[row, 1:].double(), own[run.data.catalogue.columns(tokens)], atol=1e-5)
    asked = next(iter(train))
    assert float(model.calculate_loss(asked)) > 0 and model.predict(asked).shape == (len(asked),)


def test_recboles_lookup_finds_it_and_it_needs_a_run(chains):
    assert get_model("APANext") is APANext
    config = of_recbole(chains)
    with pytest.raises(SettingsError, match="next_item_run"):
        APANext(config, create_dataset(config))


def test_a_run_in_which_a_request_waits_is_refused(chains, folder, tmp_path, monkeypatch):
    """What it serves still holds what is to be forgotten."""
    copy = shutil.copytree(folder, tmp_path / "run")
    config = of_recbole(chains, next_item_run=str(copy))
    dataset = create_dataset(config)
    APANext(config, dataset)
    with monkeypatch.context() as patch:
        patch.setattr(session, "put_new_state", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            forget_next_items(copy, users=["u5"])
    with pytest.raises(RunError, match="waiting to be carried out"):
        APANext(config, dataset)
