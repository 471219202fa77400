"""RecBole's ``quick_start`` and ``HyperTuning`` after ``import recbole_apa``: with and without Ray, and with APA."""

import json
import os
import subprocess
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

NO_RAY = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "ray":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def python(code, folder, *args):
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()


BPR = """
import json, sys
import recbole_apa
from recbole.quick_start import load_data_and_model, objective_function, run_recbole, run_recboles
assert "ray" not in sys.modules and "ray.tune" not in sys.modules
options = {"epochs": 1, "embedding_size": 4, "show_progress": False, "checkpoint_dir": "kept"}
ran = run_recbole(model="BPR", dataset="ml-100k", config_dict=dict(options), saved=False)
tuned = objective_function({**options, "model": "BPR", "dataset": "ml-100k"}, saved=False)
from recbole.quick_start import quick_start
says = []
for use in ("import ray", "from ray import tune", "import ray.tune", "quick_start.tune.choice([1, 2])"):
    try:
        exec(use)
    except ImportError as error:
        says.append(str(error))
print(json.dumps([ran, tuned, says]))
"""


@pytest.mark.slow
def test_recbole_runs_without_ray_and_its_absence_stays_visible(tmp_path):
    ran, tuned, says = json.loads(python(NO_RAY + BPR, tmp_path)[-1])
    assert ran["test_result"] == tuned["test_result"] and 0 < ran["best_valid_score"] < 1
    assert tuned["model"] == "BPR" and tuned["valid_score_bigger"] is True
    assert says[:3] == ["No module named 'ray'", "No module named 'ray'", "No module named 'ray'"]
    assert "tune.choice: ray.tune cannot be imported" in says[3] and 'pip install "ray[tune]"' in says[3]


OTHER_RAY = """
import sys
import recbole_apa
from recbole.quick_start import objective_function, quick_start
"""
FAKE = {
    # a ray without its extra, as "import ray.tune" of a plain one
    "plain": {"__init__.py": "here = True", "tune.py": "raise ImportError('install ray[tune]')"},
    "old": {"__init__.py": "", "tune.py": "got = []\ndef report(_metric=None, **kwargs):\n    got.append(kwargs)"},
    "new": {
        "__init__.py": "",
        "tune.py": "got = []\ndef report(metrics, *, checkpoint=None):\n    got.append(metrics)\nchoice = list",
    },
}


def fake_ray(folder, kind):
    (folder / "ray").mkdir()
    for name, text in FAKE[kind].items():
        (folder / "ray" / name).write_text(text)


@pytest.mark.slow
def test_a_ray_without_tune_stays_the_one_that_is_imported(tmp_path):
    fake_ray(tmp_path, "plain")
    code = OTHER_RAY + "quick_start.tune.report(auc=1.0)\nimport ray\nprint(ray.here, 'ray.tune' in sys.modules)"
    assert python(code, tmp_path)[-1] == "True False"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["old", "new"])
def test_both_kinds_of_ray_get_the_report(kind, tmp_path):
    fake_ray(tmp_path, kind)
    code = OTHER_RAY + (
        "quick_start.tune.report(**{'auc': 0.5, 'recall@10': 0.1})\n"
        "import ray.tune\nprint(ray.tune.got, quick_start.tune is ray.tune)"
    )
    # an old one is used untouched
    assert python(code, tmp_path)[-1] == f"[{{'auc': 0.5, 'recall@10': 0.1}}] {kind == 'old'}"


def test_a_new_ray_takes_its_own_call_too():
    from recbole_apa.compat.tune import _OneDictionary

    got = []

    def report(metrics, *, checkpoint=None):
        got.append((metrics, checkpoint))

    tune = _OneDictionary(types.SimpleNamespace(report=report, choice=list))
    tune.report({"auc": 0.5}, checkpoint="here")
    tune.report(metrics={"auc": 0.6})
    assert got == [({"auc": 0.5}, "here"), ({"auc": 0.6}, None)] and tune.choice is list


def test_what_fails_inside_leaves_no_stand_in(monkeypatch):
    from recbole_apa.compat.tune import around

    monkeypatch.setitem(sys.modules, "ray", None)  # as where there is none
    with pytest.raises(ZeroDivisionError), around(types.ModuleType("m")):
        raise ZeroDivisionError
    assert sys.modules["ray"] is None


# --- APA by RecBole's own programs ------------------------------------------------------------------------------------

APA = """
import json, sys
import recbole_apa
from recbole.quick_start import objective_function, run_recbole
options = json.loads(sys.argv.pop(1))
given = {**options, "model": "APA", "dataset": "board", "checkpoint_dir": "kept"}
tuned = objective_function(given)
ran = run_recbole(model="APA", dataset="board", config_dict={**options, "checkpoint_dir": "kept"}, saved=False)
print(json.dumps([tuned, ran]))
"""


@pytest.mark.slow
def test_recboles_programs_run_apa(options, tmp_path):
    """What ``run`` of ours gives, from ``objective_function`` and ``run_recbole``."""
    from recbole_apa import run

    words = ["--learning_rate=0.02", "--output=x", "--params_file=y"]
    tuned, ran = json.loads(python(NO_RAY + APA, tmp_path, json.dumps(options), *words)[-1])
    ours = run("APA", "board", config_dict={**options, "learning_rate": 0.02, "variants": "chosen"}).metrics
    for found in (tuned, ran):
        assert found["best_valid_score"] == found["best_valid_result"]["auc"] == ours["recbole.valid.auc"]
        assert found["test_result"]["auc"] == ours["recbole.test.auc"]
    assert [p.name.startswith("APA-board-") for p in (tmp_path / "kept").iterdir()] == [True]


HYPER = """
import json, sys
import recbole_apa
from recbole.quick_start import objective_function
from recbole.trainer import HyperTuning
fixed = sys.argv.pop(1)
searches = {
    "exhaustive": {"choice": {"learning_rate": [0.02, 1e-5]}},
    "bayes": {"quniform": {"epochs": [1, 2, 1]}},
}
found = {}
for algo, ranges in searches.items():
    search = HyperTuning(objective_function, params_dict=ranges, algo=algo, max_evals=1, fixed_config_file_list=[fixed])
    search.run()
    found[algo] = [search.best_params, search.best_score, search.score_list, sorted(search.params2result)]
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("hyperopt") is None, reason="needs the extra tune")
def test_recboles_hyper_tuning_runs_apa(options, tmp_path):
    """Its own class, its own objective, a file of options that all trials share: as ``run_hyper.py`` calls them."""
    from recbole_apa import run

    given = {k: v for k, v in options.items() if k not in ("learning_rate", "epochs")}
    shared = {**given, "model": "APA", "dataset": "board", "checkpoint_dir": "kept", "n_shards": 2}
    (tmp_path / "shared.yaml").write_text(json.dumps(shared))
    found = json.loads(python(NO_RAY + HYPER, tmp_path, str(tmp_path / "shared.yaml"))[-1])
    best, score, scores, tried = found["exhaustive"]
    assert len(scores) == 2 and score == max(scores) and tried == ["learning_rate:0.02", "learning_rate:1e-05"]
    made = run("APA", "board", [str(tmp_path / "shared.yaml")], {**best, "variants": "none"}, run_dir=tmp_path / "run")
    assert made.metrics["recbole.valid.auc"] == score
    assert found["bayes"][0]["epochs"] in (1.0, 2.0)  # a float, as hyperopt has it


@pytest.mark.skipif(find_spec("hyperopt") is None, reason="needs the extra tune")
@pytest.mark.parametrize("algo", ["exhaustive", "random", "bayes"])
def test_recboles_hyper_tuning_finds_a_known_best(algo, tmp_path, monkeypatch):
    from recbole.trainer import HyperTuning

    monkeypatch.setenv("HYPEROPT_FMIN_SEED", "3")
    (tmp_path / "ranges").write_text("x choice [1,2,3,4]\ny choice ['a','b']\n")

    def objective(given, files):
        score = -abs(given["x"] - 3) + (given["y"] == "b")
        return {
            "model": "none",
            "best_valid_score": score,
            "valid_score_bigger": True,
            "best_valid_result": {"auc": score},
            "test_result": {},
        }

    display = tmp_path / "drawn.html"
    search = HyperTuning(
        objective, params_file=tmp_path / "ranges", algo=algo, max_evals=30, early_stop=30, display_file=str(display)
    )
    monkeypatch.setattr("plotly.offline.plot", lambda figure, filename: Path(filename).write_text("drawn"))
    search.run()
    assert search.best_params == {"x": 3, "y": "b"} and search.best_score == 1
    assert len(search.score_list) == (8 if algo == "exhaustive" else 30)
    assert display.read_text() == "drawn"
    search.export_result(tmp_path / "out")
    assert "x:3, y:b" in (tmp_path / "out").read_text()


def test_without_hyperopt_the_error_names_the_extra(monkeypatch):
    from recbole.trainer import HyperTuning

    monkeypatch.setitem(sys.modules, "hyperopt", None)
    with pytest.raises(ImportError, match=r'pip install "\.\[tune\]"'):
        HyperTuning(print, params_dict={"choice": {"x": [1]}})


@pytest.mark.slow
def test_a_file_that_only_recboles_reader_takes_stays_recboles(tmp_path):
    (tmp_path / "own.yaml").write_text("model: BPR\ndataset: ml-100k\nodd: !!python/tuple [1, 2]\n")
    code = (
        "import sys; sys.argv = sys.argv[:1]; import recbole_apa; from recbole.quick_start.quick_start import Config\n"
        "found = Config(config_file_list=['own.yaml']); print(found['model'], found['odd'])"
    )
    assert python(code, tmp_path)[-1] == "BPR (1, 2)"


def test_hyperopt_before_0_2_6_is_given_what_it_draws_with(monkeypatch):
    from recbole_apa.compat import hyper_tuning

    for release, has in (("0.2.5", "randint"), ("0.2.6", "integers"), ("0.3.0", "integers")):
        monkeypatch.setattr(hyper_tuning, "version", lambda name, release=release: release)
        drawn = hyper_tuning._Numpy(hyper_tuning._draws_with_generator()).random.RandomState(1)
        assert hasattr(drawn, has), release
