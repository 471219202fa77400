"""What is wrong in a run's folder, or was asked of it, is told before anything is taken; nothing is left for ever."""

import json
from pathlib import Path

import pytest

import recbole_apa
from recbole_apa.cli.main import main
from recbole_apa.core.errors import DataError, OtherModelError, RequestError, RunError, SettingsError
from recbole_apa.next_item.options import read_options
from recbole_apa.next_item.run import added_files, train
from recbole_apa.next_item.run.add import add_next_items
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import EXPORTS
from tests.helpers.next_item_runs import put_in
from tests.helpers.runs import tree


@pytest.fixture(scope="module")
def made(head_run):
    return head_run


@pytest.mark.parametrize("written", ["[]", "{", '{"/somewhere/a.csv": 1}'])
def test_a_damaged_list_of_exports_is_told_before_the_request_is_taken(folder, written):
    """A certificate names them: found only then, the request would wait, and --resume would fail as well."""
    (folder / EXPORTS).write_text(written)
    before = tree(folder)
    with pytest.raises(RunError, match=EXPORTS):
        forget_next_items(folder, users=["u5"])
    assert tree(folder) == before
    assert any(EXPORTS in finding for finding in audit_next_items(folder).findings)


def test_rows_that_a_killed_addition_was_writing_go_with_the_next_request(folder, monkeypatch):
    """Under the name that a file is written under at first."""

    def killed(path: Path, value: object) -> None:
        path.with_name(f".{path.name}.tmp").write_text(json.dumps(value))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(added_files, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            add_next_items(folder, [("u9", "i17", 3, 9e6)])
    assert not audit_next_items(folder).holds
    forget_next_items(folder, users=["u9"])
    assert not list(folder.glob(".*.tmp")) and audit_next_items(folder).holds
    assert '"u9"' not in "".join(path.read_text() for path in folder.rglob("*.json*"))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
@pytest.mark.parametrize("more", [["--recommend=u4"], ["--forget_users=u5"], ["--verify"]])
def test_a_device_that_is_not_there_is_told(folder, capsys, device, more):
    before = tree(folder)
    assert main([f"--run={folder}", f"--device={device}", *more]) == 2
    assert "SettingsError: device: found" in capsys.readouterr().err
    assert tree(folder) == before


@pytest.mark.parametrize("name", ["unlearn", "audit", "verify", "catch_up"])
def test_functions_of_the_labelled_mode_say_which_are_meant(folder, name):
    """An audit says so, too: nothing is wrong with the run."""
    more = {"users": ["u5"]} if name == "unlearn" else {}
    with pytest.raises(OtherModelError, match="a run of APANext, expected one of APA"):
        getattr(recbole_apa, name)(folder, **more)


def test_digests_need_no_keying(folder, capsys):
    assert main([f"--run={folder}", "--key_digests"]) == 2
    assert "have had a key from the start" in capsys.readouterr().err


def test_no_request_is_told_as_such_by_a_dry_run(folder):
    with pytest.raises(RequestError, match="found no request"):
        forget_next_items(folder, [], dry_run=True)


def test_a_request_that_leaves_nobody_is_told_as_such(folder):
    """It spoke of the dataset's file alone, as if that were malformed."""
    before = tree(folder)
    with pytest.raises(DataError, match="nothing to train on would be left; to forget all of it, delete the run"):
        forget_next_items(folder, users=[f"u{n}" for n in range(2, 14)])
    assert tree(folder) == before


@pytest.mark.parametrize("word", ["--predict=u4:i2", "--readmitt=True", "--baseline_data=x"])
def test_no_option_is_suggested_that_would_be_refused(folder, capsys, word):
    assert main([f"--run={folder}", word]) == 2
    told = capsys.readouterr().err
    assert "readmit'" not in told and "baseline_data'" not in told


@pytest.mark.parametrize("word", ["--adapters=none", "--title_users=5", "--dataset=chains", "--topk=5"])
def test_an_option_of_the_training_is_not_taken_for_a_misspelling(folder, capsys, word):
    assert main([f"--run={folder}", word]) == 2
    told = capsys.readouterr().err
    assert "which keeps its own settings" in told and "did you mean" not in told


@pytest.mark.parametrize("names", ["", "[]", " , "])
@pytest.mark.parametrize("asked", ["--run={}", "--model=APANext"])
def test_a_comparison_without_names_is_refused(folder, capsys, asked, names):
    """It printed the run's own table, with status 0."""
    assert main([asked.format(folder), f"--compare={names}"]) == 2
    assert "--compare: found no value" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Retraining", "APANext", "Popp"])
def test_of_a_name_that_is_no_model_what_is_expected_is_told(folder, capsys, name):
    assert main([f"--run={folder}", f"--compare={name}"]) == 2
    assert "expected RecBole's general models (Pop, " in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--requests_per_day=5", "--n_samples=100"]])
@pytest.mark.parametrize("asked", ["--run={}", "--model=APANext"])
def test_a_plan_is_of_the_labelled_mode(folder, capsys, asked, more):
    """The message was of another option, or led to --help=plan, which names this command."""
    assert main([asked.format(folder), "--plan", *more]) == 2
    assert "--plan does not go with APANext: " in capsys.readouterr().err


@pytest.mark.parametrize("metrics", ["AUC", ["AUC"], ["AUC", "LogLoss"], ["Recall", "GAUC"]])
def test_of_metrics_only_those_of_rankings_are_suggested(next_options, metrics):
    """``--eval_args.mode=labeled`` was, which is refused."""
    with pytest.raises(SettingsError, match=r"metrics: found .*AUC.*, expected some of hit, map, mrr") as told:
        read_options("chains", given={**next_options, "metrics": metrics})
    assert "eval_args" not in str(told.value)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"tau": "x"}, r"tau: found 'x', expected a number \(at least 0\), or auto"),
        ({"n_neighbors": "x"}, r"n_neighbors: found 'x', expected a whole number \(at least 1\), or auto"),
        ({"adapters": "x"}, "adapters: found 'x', expected one of none, titles, codes"),
    ],
)
def test_numbers_are_among_what_is_expected(next_options, option, told):
    with pytest.raises(SettingsError, match=told):
        read_options("chains", given={**next_options, **option})


def test_verification_compares_the_figures_that_the_run_keeps(folder, tmp_path):
    told = json.loads((folder / "state-0001" / "metrics.json").read_text())
    told["APANext"]["test.ndcg@10"] = 0.99
    (tmp_path / "metrics.json").write_text(json.dumps(told))
    put_in(folder, "metrics.json", tmp_path / "metrics.json")
    assert verify_next_items(folder).differences == ["figures"]


def test_of_a_run_that_nothing_happened_to_verification_names_no_rows(folder):
    verified = verify_next_items(folder)
    assert verified.holds and verified.means == ""


def test_the_bar_ends_when_all_users_are_read(folder, monkeypatch):
    totals, steps = [], []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *told):
            return None

        def update(self, n=1):
            steps.append(n)

    monkeypatch.setattr(train, "progress", lambda *told, total: totals.append(total) or Bar())
    forget_next_items(folder, users=["u5"], interactions=[("u7", "i9")])
    assert totals == [sum(steps)] == [3]
