"""Options as people write them: each is taken, or refused before anything is read or trained."""

import pytest
import torch

from recbole_apa.cli.main import main
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.system.devices import check_device
from recbole_apa.partition.assignment import shard_count
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.idle_options import idle_options


@pytest.mark.parametrize("word", ["u1:spotify:track:7", "u1:spotify:track", "u1"])
def test_ids_with_colons_are_sent_to_a_request_file(word, capsys):
    assert main(["--run=/nowhere", f"--forget_interactions=u5:i6,{word}"]) == 2
    err = capsys.readouterr().err
    assert f"found '{word}', expected (user, item) as user:item" in err and "--unlearn=FILE" in err


def test_columns_of_a_request_file_reach_the_stage_and_only_when_given(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("recbole_apa.unlearning.stage.unlearn", lambda *a, **how: seen.append(how))
    monkeypatch.setattr("recbole_apa.unlearning.texts.result_text", lambda result: "")
    (tmp_path / "r.csv").write_text("uid,iid,tag\nu1,i1,?\n")
    (tmp_path / "s.csv").write_text("user_id,item_id\nu1,i1\n")
    named = "--unlearn_columns={user_id: uid, item_id: iid, ignore: [tag]}"
    assert main(["--run=r", f"--unlearn={tmp_path / 'r.csv'}", named]) == 0
    assert main(["--run=r", f"--unlearn={tmp_path / 's.csv'}"]) == 0
    assert seen[0]["columns"] == {"user_id": "uid", "item_id": "iid", "ignore": ["tag"]}
    assert "columns" not in seen[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--unlearn_columns={user_id: uid}"], "expected together with --unlearn=FILE"),
        (["--unlearn_columns={user: uid}", "--unlearn=FILE"], "'user' is none of user_id, item_id"),
        (["--unlearn=FILE"], "line 1: found the columns uid, item; expected user_id, item_id or both"),
        (["--unlearn_column={user_id: uid}"], "did you mean 'unlearn_columns'"),
    ],
)
def test_columns_that_say_nothing_are_refused(words, says, tmp_path, capsys):
    (tmp_path / "r.csv").write_text("uid,item\nu1,i1\n")
    words = [word.replace("FILE", str(tmp_path / "r.csv")) for word in words]
    assert main(["--model=APA", "--dataset=ml-100k", *words]) == 2
    assert says in capsys.readouterr().err


def refusal(**options):
    with pytest.raises(SettingsError) as error:
        APAConfig("APA", "board", None, options)
    return str(error.value)


def test_an_encoding_is_taken_and_kept(tmp_path):
    (tmp_path / "mine.yaml").write_text("encoding: latin-1\n")
    config = APAConfig("APA", "board", [str(tmp_path / "mine.yaml")])
    assert config["encoding"] == "latin-1" == config.plain_options()["encoding"]
    assert APAConfig("APA", "board")["encoding"] is None
    assert "encoding: found 'latin-one', expected an encoding's name" in refusal(encoding="latin-one")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"metrics": ["Recall", "NDCG"]},
            "metrics: found Recall, NDCG, which rank candidates, and eval_args.mode: labe",
        ),
        ({"metrics": "GAUC"}, "metrics: found GAUC, which rank candidates"),
        ({"metrics": ["AUC"], "eval_args.mode": "uni5"}, "which score labels, and eval_args.mode: uni5"),
        ({"eval_args.mode": {"valid": "labeled", "test": "uni5"}}, "expected labeled for both validation and test"),
        (
            {"valid_metric": "NDCG@10"},
            "valid_metric: found 'NDCG@10', expected one of the given metrics: AUC, LogLos",
        ),
        ({"metrics": ["LogLoss"], "valid_metric": "AUC"}, "expected one of the given metrics: LogLoss"),
        ({"eval_args.mode": "uni5", "topk": [5], "valid_metric": "NDCG@10"}, "given metrics: Recall@5, NDCG@5, MRR@5"),
    ],
)
def test_metrics_that_do_not_go_with_the_mode_are_refused_before_training(options, says):
    assert says in refusal(**options)


def test_the_metric_of_validation_follows_the_metrics_unless_it_is_named():
    assert APAConfig("APA", "board", None, {"metrics": ["LogLoss"]})["valid_metric"] == "LogLoss"
    ranked = {"eval_args.mode": "uni5", "topk": 5}
    assert APAConfig("APA", "board", None, ranked)["valid_metric"] == "Recall@5"
    assert APAConfig("APA", "board", None, {**ranked, "topk": [5, 10]})["valid_metric"] == "NDCG@10"
    assert APAConfig("APA", "board")["valid_metric"] == "AUC"


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps", "meta", "xpu", ["cpu"]])
def test_a_device_that_is_not_here_is_refused_in_one_line(device):
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    found = refusal(device=device)
    assert found.startswith(f"device: found {device!r}") and found.endswith("expected e.g. cpu, cuda or cuda:1")
    assert "\n" not in found


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "found 'cuda', but torch finds no CUDA device here" in refusal(device="cuda")
    assert "found 'cuda:7', but torch finds no CUDA device here" in refusal(device=torch.device("cuda:7"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "but this process sees 1 of them; expected" in refusal(device="cuda:1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert "this process sees 1 of them, by CUDA_VISIBLE_DEVICES=3; expected" in refusal(device="cuda:1")
    assert "this process sees 1 of them, by gpu_id: '5'" in refusal(device="cuda:1", gpu_id=5)
    assert check_device("cuda", "0", False) == torch.device("cuda")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"threshold": {"rating": [1]}}, "threshold: found {'rating': [1]}, expected one column and a number"),
        ({"threshold": {"rating": "good"}}, "threshold: found {'rating': 'good'}"),
        ({"threshold": {"rating": float("nan")}}, "threshold: found {'rating': nan}"),
        ({"threshold": {"rating": True}}, "threshold: found {'rating': True}"),
        ({"threshold": {"rating": 4, "stars": 3}}, "threshold: found {'rating': 4, 'stars': 3}"),
        ({"threshold": {}}, "threshold: found {}, expected one column and a number"),
        ({"threshold": 4}, "threshold: found 4, expected one column and a number"),
        ({"threshold": None}, "threshold: found none"),
        ({"seed": None}, "seed: found None, expected a whole number from 0 to 4294967295"),
        ({"seed": "hello"}, "seed: found 'hello'"),
        ({"seed": -1}, "seed: found -1"),
        ({"seed": float("inf")}, "seed: found inf"),
        ({"seed": 2**32}, "seed: found 4294967296"),
        ({"learning_rate": float("nan")}, "learning_rate: found nan, expected a number"),
        ({"tau": float("inf")}, "tau: found inf, expected a number or auto"),
        ({"evidence": None}, "evidence: found None, expected auto, counts, none or a list of names"),
        ({"learning_rate": 10**400}, "learning_rate: found"),
        ({"weight_decay": -0.1}, "weight_decay: found -0.1, expected at least 0"),
        ({"lora_alpha": 0}, "lora_alpha: found 0.0, expected more than 0"),
        ({"MAX_ITEM_LIST_LENGTH": "ten"}, "MAX_ITEM_LIST_LENGTH: found 'ten', expected a whole number"),
        ({"MAX_ITEM_LIST_LENGTH": 0}, "MAX_ITEM_LIST_LENGTH: found 0"),
        ({"clip_grad_norm": {"max_norm": "one"}}, "clip_grad_norm: found {'max_norm': 'one'}"),
        ({"clip_grad_norm": 1.0}, "clip_grad_norm: found 1.0"),
        ({"eval_batch_size": 0}, "eval_batch_size: found 0"),
        ({"load_col": ["user_id"]}, "load_col: found ['user_id'], expected e.g. {inter: [user_id"),
        ({"load_col": {"inter": "user_id"}}, "load_col: found {'inter': 'user_id'}"),
        ({"val_interval": "[3,5]"}, "val_interval: found '[3,5]'"),
        ({"val_interval": {"rating": "3-5"}}, "val_interval: found {'rating': '3-5'}"),
        ({"user_inter_num_interval": "five"}, "user_inter_num_interval: found 'five', expected an interval"),
        ({"user_inter_num_interval": "[9,5]"}, "user_inter_num_interval: found '[9,5]'"),
        ({"item_inter_num_interval": "[a,b]"}, "item_inter_num_interval: found '[a,b]'"),
        ({"item_inter_num_interval": 5}, "item_inter_num_interval: found 5"),
        ({"eval_args": "labeled"}, "eval_args: found 'labeled', expected e.g."),
        ({"eval_args.split": {"RS": [0.8, 0.2]}}, "eval_args.split: found {'RS': [0.8, 0.2]}"),
        ({"eval_args.split": {"RS": [0, 0, 0]}}, "eval_args.split: found"),
        ({"eval_args.split": {"RS": [0.8, -0.1, 0.3]}}, "eval_args.split: found"),
        ({"eval_args.split": {"LS": "last"}}, "eval_args.split: found {'LS': 'last'}"),
        ({"eval_args.order": "time"}, "eval_args.order: found 'time'"),
        ({"eval_args.group_by": "item"}, "eval_args.group_by: found 'item'"),
        ({"eval_args.mode": "unix"}, "eval_args.mode: found 'unix'"),
        (
            {"eval_args": {"splitt": 1}},
            "eval_args.splitt: expected one of split, order, group_by, mode; did you mean spl",
        ),
        (
            {"benchmark_filename": ["train", "test"]},
            "benchmark_filename: found ['train', 'test'], expected three names",
        ),
        ({"benchmark_filename": "train"}, "benchmark_filename: found 'train'"),
        ({"USER_ID_FIELD": "item_id"}, "USER_ID_FIELD and ITEM_ID_FIELD: found 'item_id' for both"),
        ({"field_separator": ""}, "field_separator: found ''"),
        ({"filter_inter_by_user_or_item": "yes"}, "filter_inter_by_user_or_item: found 'yes', expected true or false"),
        ({"rm_dup_inter": True}, "rm_dup_inter: found True, expected first, last or null"),
        ({"metrics": []}, "metrics: found [], expected a list"),
        ({"metrics": [1]}, "metrics: found [1], expected a list"),
        ({"topk": "ten"}, "topk: found 'ten'"),
        ({"state": 3}, "state: found 3, expected one of debug"),
        ({"gpu_id": [0, "one"]}, "gpu_id: found [0, 'one']"),
        ({"workers": "two"}, "workers: found 'two', expected a whole number of at least 1"),
        ({"trunk_cache_gib": "much"}, "trunk_cache_gib: found 'much'"),
        ({"transform": "mask_itemseq"}, "transform: found 'mask_itemseq', expected null"),
        ({"dataset_save_path": "data.pth"}, "dataset_save_path: found 'data.pth', expected null"),
    ],
)
def test_values_of_the_wrong_kind_are_refused_before_any_data_is_read(options, says):
    assert says in refusal(**options)


def test_all_that_is_wrong_is_said_at_once():
    found = refusal(seed="x", threshold={}, user_inter_num_interval="?", epochs=0, lora_rank=0, topk=0)
    for name in ("seed", "threshold", "user_inter_num_interval", "epochs", "lora_rank", "topk"):
        assert found.count(f"{name}: found") == 1


def test_a_threshold_in_quotes_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text('threshold: {rating: "4"}\n')
    with pytest.raises(SettingsError, match=r"threshold: found \{'rating': '4'\}, expected one column and a number"):
        APAConfig("APA", "board", [str(tmp_path / "mine.yaml")])


def test_wrong_values_and_odd_names_end_the_command_in_one_line(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("seed: ~\n5: 6\n")
    assert main(["--dataset=board", f"--config_files={tmp_path / 'mine.yaml'}"]) == 2
    assert "unknown option '5'" in capsys.readouterr().err
    assert main(["--dataset=board", "--seed=hello", "--threshold={rating: [1]}"]) == 2
    err = capsys.readouterr().err
    assert "seed: found 'hello'" in err and "threshold: found" in err and "Traceback" not in err


def test_values_that_are_right_are_taken():
    for options in (
        {"user_inter_num_interval": "[5,inf)", "item_inter_num_interval": "(0,3];[5,9)"},
        {"val_interval": {"rating": "[3,inf)", "genre": ["Horror"]}},
        {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "labeled"}},
        {"eval_args.split": {"RS": [8, 1, 1]}},
        {"load_col": {"inter": ["user_id"], "item": "*"}},
        {"benchmark_filename": ["train", "valid", "test"]},
        {"gpu_id": "0,1"},
        {"TIME_FIELD": None, "clip_grad_norm": None},
    ):
        APAConfig("APA", "board", None, options)


def test_options_without_effect_are_named_once(caplog):
    given = {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}, "nproc": 2, "learner": "sgd"}
    found = idle_options(APAConfig("APA", "board", None, {**given, "gpu_id": "0,1", "worker": 2}))
    assert set(found) == {*given, "gpu_id", "worker"}
    assert idle_options(APAConfig("APA", "board", None, {"learner": "adam", "epochs": 2})) == {}
    spread = {"gpu_id": "0,1", "device_map": "auto", "eval_args.mode": "uni5", "worker": 2}
    assert idle_options(APAConfig("APA", "board", None, spread)) == {}


def test_few_samples_for_many_shards_are_said_in_numbers(caplog):
    assert shard_count(72, 500, None) == 500
    assert "n_shards is 500 for 72 training samples: at least 428 shards stay empty" in caplog.text
    caplog.clear()
    assert shard_count(72, 4, None) == 4 and not caplog.text
