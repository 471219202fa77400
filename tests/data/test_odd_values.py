"""Values that no person means: each ends in a sentence and status 2, never in a traceback."""

import json
import time

import numpy as np
import pytest

from recbole_apa import APAConfig, audit, evaluate_run
from recbole_apa.cli.main import main
from recbole_apa.core.errors import DataError, RequestError, SettingsError
from recbole_apa.core.files.whole import write_json
from recbole_apa.core.yaml import parse_value, read_yaml
from recbole_apa.data.samples import Interactions
from recbole_apa.runs.manifest import with_check
from recbole_apa.unlearning.requests.lookup import find, read_demands
from tests.helpers.runs import copy_run

DEEP, LONG, HALF = "[" * 100_000, "9" * 5000, "\udcff"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("--seed=hello", "seed: found 'hello'"),
        ("--seed=.nan", "seed: found nan"),
        ("--seed=.inf", "seed: found inf"),
        (f"--seed={LONG}", "seed: found '9999"),
        ("--seed=2024-13-45", "seed: found '2024-13-45'"),
        (f"--seed={DEEP}", "nested too deeply"),
        ("--eval_args=" + "{a: " * 3000, "nested too deeply"),
        (f"--threshold={{rating: {'9' * 400}}}", "threshold: found"),
        (f"--topk=[{LONG}]", "topk: found"),
        (f"--item_text={{title}} {HALF}", "not valid UTF-8"),
        (f"--run_dir={HALF}", "not valid UTF-8"),
        (f"--forget_users={HALF}", "not valid UTF-8"),
        ("--config_files=\0", "cannot read options"),
        ("--data_path=a\0b", "expected a text in UTF-8 without NUL"),
        ('--encoding="\\ud800"', "expected a text in UTF-8 without NUL"),
    ],
)
def test_an_odd_value_is_named(given, says, capsys):
    assert main(["--model=APA", "--dataset=ml-100k", given]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("value", ["--requests_per_day=.nan", "--requests_per_day=0", "--n_samples=.inf"])
def test_a_plan_of_odd_numbers_is_refused(value, capsys):
    given = {"--requests_per_day": "5", "--n_samples": "100"} | dict([value.split("=")])
    assert main(["--plan", *(f"{k}={v}" for k, v in given.items())]) == 2
    assert "expected a number above 0" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("text", [f"a: {DEEP}", f"a: {LONG}", "a: 2024-13-45", "a: \udcff"])
def test_an_odd_file_of_options_is_named(text, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SettingsError, match=r"cannot read options from .*odd\.yaml"):
        read_yaml(path)
    assert parse_value("1e-3") == 0.001 and parse_value(LONG) == LONG


def test_half_of_a_character_is_refused_from_python_too():
    with pytest.raises(SettingsError, match="item_text: found"):
        APAConfig("APA", "ml-100k", config_dict={"item_text": "{movie_title}\ud800"})


def test_opening_a_run_downloads_nothing_and_makes_no_folder(finished, tmp_path):
    """A stranger's manifest may name any folder; RecBole would make it and look for the dataset in the network."""
    folder, elsewhere = copy_run(finished, tmp_path / "run"), tmp_path / "elsewhere"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["options"]["data_path"] = str(elsewhere)
    write_json(folder / "manifest.json", with_check(manifest))
    with pytest.raises(DataError, match="name the parent folder with --data_path"):
        evaluate_run(folder)
    assert any("name the parent folder with --data_path" in f for f in audit(folder).findings)
    assert not elsewhere.exists()


@pytest.mark.parametrize("ending", ["csv", "inter", "jsonl"])
def test_a_field_of_megabytes_is_refused_in_a_sentence(ending, tmp_path):
    path, long = tmp_path / f"long.{ending}", "x" * 1_000_000
    texts = {"csv": f"user_id\n{long}\n", "inter": f"user_id:token\n{long}\n", "jsonl": json.dumps({"user_id": long})}
    path.write_text(texts[ending])
    rows = Interactions(["u1"], ["i1"], np.zeros(1, dtype=int), np.zeros(1))
    with pytest.raises(RequestError) as caught:
        find(read_demands(path), rows, lambda demand: False)
    assert len(str(caught.value)) < 1000


@pytest.mark.slow
def test_a_million_unknown_lines_are_refused_in_seconds(tmp_path):
    path = tmp_path / "million.csv"
    path.write_text("user_id,item_id\n" + "".join(f"x{i},y{i % 1000}\n" for i in range(1_000_000)))
    rows = Interactions(
        [f"u{i % 1000}" for i in range(10_000)], ["i1"] * 10_000, np.zeros(10_000, int), np.zeros(10_000)
    )
    start = time.process_time()
    with pytest.raises(RequestError, match="and 999980 more"):
        find(read_demands(path), rows, lambda demand: False)
    assert time.process_time() - start < 12  # 36 s before, 5 on an idle machine
