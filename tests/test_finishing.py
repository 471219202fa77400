"""The same command finishes what was interrupted, and no figure stands in its way."""

import errno

import pytest

from recbole_apa import audit, run, unlearn, verify
from recbole_apa.cli import main
from recbole_apa.errors import RunError
from recbole_apa.files import read_json
from recbole_apa.ledger import Ledger
from recbole_apa.run_store import RunStore
from tests.test_unlearning_cli import words
from tests.unlearning_helpers import copy_run


def interrupted(*args, **named):
    raise KeyboardInterrupt


@pytest.mark.parametrize("stopped_at", ["recbole_apa.ledger.Ledger.append", "recbole_apa.quick_start.show_figures"])
def test_train_and_forget_killed_before_its_ledger_line_is_finished_by_the_same_command(
    stopped_at, options, tmp_path, capsys, monkeypatch
):
    """TRUST.md 6: "holds a finished run"."""
    folder = tmp_path / "run"
    given = ["--model=APA", "--dataset=board", *words(options, epochs=1, run_dir=folder), "--forget_users=u3"]
    with monkeypatch.context() as patch:
        patch.setattr(stopped_at, interrupted)
        assert main(given) == 130
    assert not (folder / "ledger.jsonl").exists()
    assert main(given) == 0
    assert "going on with the request" in capsys.readouterr().out
    assert audit(folder).holds and len(list((folder / "certificates").glob("*.json"))) == 1
    assert main(given) == 2  # it is another run now: nothing is forgotten twice
    assert main([word for word in given if "forget" not in word]) == 2


def test_a_finished_run_of_other_settings_is_not_gone_on_with(finished, options, tmp_path, capsys):
    folder = copy_run(finished, tmp_path / "run")
    given = ["--model=APA", "--dataset=board", *words(options, seed=2, run_dir=folder), "--forget_users=u3"]
    assert main(given) == 2
    assert "holds another run" in capsys.readouterr().err and not (folder / "ledger.jsonl").exists()
