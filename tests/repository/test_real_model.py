"""The default backbone, fetched and converted, on real data (minutes on two cores)."""

import os
import subprocess
import sys

import pytest
import torch

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.backbone.default_model import packaged_model_folder
from recbole_apa.backbone.load import load_backbone, resolve_dtype
from recbole_apa.data.prompts import PromptInput
from tests.helpers.engines import CPU, engine, fill_adapters, settings
from tests.helpers.places import ROOT

pytestmark = pytest.mark.realdata


def test_two_processes_may_fetch_at_once(tmp_path):
    code = "from recbole_apa.backbone.default_model import packaged_model_folder as f; print(f('smollm2-135m'))"
    root = str(ROOT)
    env = os.environ | {"RECBOLE_APA_CACHE": str(tmp_path), "PYTHONPATH": root}
    both = [subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    found = [p.communicate()[0].split()[-1] for p in both]
    assert found[0] == found[1] and [p.returncode for p in both] == [0, 0]
    left = [p.name for p in (tmp_path / "backbones").iterdir()]
    assert sorted(n.endswith(".lock") for n in left) == [False, True]


def test_default_backbone_answers_in_the_list_form():
    folder = packaged_model_folder("smollm2-135m")
    e = engine(folder, backbone="smollm2-135m", dtype="float32", trunk_layers=15)
    liked = tuple((t, 1) for t in ("Star Wars (1977)", "Alien (1979)", "Aliens (1986)"))
    prompts = e.encode([PromptInput(liked, "Blade Runner (1982)"), PromptInput(((liked[0][0], 0),), "Alien (1979)")])
    scores = e.scores(prompts, None, "decomposition")
    assert scores[0] > scores[1]
    hidden = e.decoder.upper([f.activations for f in e.freeze(prompts)])[:, -1:]
    answers = e.head.answers
    mass = torch.softmax(e.head.head(hidden[0]).float(), 1)[0, [answers.yes, answers.no]].sum()
    assert float(mass) > 0.9  # the list form: nearly all on Yes and No


@pytest.mark.parametrize("trunk", [0, 15])
def test_parts_give_what_the_whole_gives_in_the_machines_own_type(trunk):
    loaded = load_backbone(settings("smollm2-135m", dtype="auto"), CPU)
    e = engine("smollm2-135m", dtype="auto", trunk_layers=trunk)
    assert next(loaded.model.parameters()).dtype == resolve_dtype("auto", CPU)
    prompt = e.encode([PromptInput((("Alien (1979)", 1),), "Heat (1995)")])
    fill_adapters(e, 1)
    z = loaded.model(input_ids=torch.tensor([prompt[0].ids])).logits[0, -1].float()
    expected = torch.sigmoid(z[e.encoder.answers.yes] - z[e.encoder.answers.no])
    torch.testing.assert_close(e.scores(prompt, None, "decomposition")[0], expected, atol=0.02, rtol=0)


def test_a_small_run_on_movielens_reloads_bit_for_bit(tmp_path):
    options = {"train_samples": 48, "valid_samples": 16, "test_samples": 16, "epochs": 1, "show_progress": False}
    first = run("APA", "ml-100k", config_dict=options, run_dir=tmp_path / "a")
    second = run("APA", "ml-100k", config_dict=options, run_dir=tmp_path / "b")
    for path in sorted((tmp_path / "a").rglob("*.safetensors")):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path
    again = evaluate_run(tmp_path / "a")
    scored = {k: v for k, v in first.metrics.items() if k.startswith(("test.", "valid.")) and ".baselines." not in k}
    assert scored == {k: second.metrics[k] for k in scored} == {k: again.metrics[k] for k in scored}


def test_the_readmes_python_example_runs(capsys):
    readme = (ROOT / "README.md").read_text()
    code = readme.split("## From Python")[1].split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 11
    exec(code, {})  # noqa: S102 - the README's own text
    assert "'auc'" in capsys.readouterr().out


@pytest.mark.parametrize("dataset", ["ml-1m", "book-crossing"])
def test_shared_datasets_run(dataset, tmp_path):
    data = ROOT.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip("no ../shared/data beside this checkout")
    few = {"train_samples": 16, "valid_samples": 8, "test_samples": 8, "epochs": 1}
    # by default FM learns from all rows of the training period: of ml-1m these are 800,000
    options = {**few, "data_path": str(data), "baselines": []}
    figures = run("APA", dataset, config_dict={**options, "show_progress": False}, run_dir=tmp_path / "run").metrics
    assert figures["test.n_samples"] == 8 and figures["test.aggregated.decomposition.logloss"] > 0


@pytest.mark.slow
def test_the_real_model_forgets_a_user_bit_for_bit(tmp_path):
    """The default backbone on MovieLens: unlearned equals trained from scratch on what remains."""
    options = {"train_samples": 48, "valid_samples": 16, "test_samples": 16, "epochs": 1, "show_progress": False}
    made = run("APA", "ml-100k", config_dict=options, run_dir=tmp_path / "run")
    sample = made.data[0]._dataset.samples[0]
    shown = sample.history[-1]
    before = {p: p.read_bytes() for p in (tmp_path / "run" / "shards").rglob("*.safetensors")}
    # one interaction, held in this process; then the whole user, from disk
    first = unlearn(made, interactions=[(sample.user_id, shown.item_id)])
    assert sample.sample_id in {a.sample_id for a in first.plan.affected if a.change == "rewritten"}
    assert any(p.read_bytes() != content for p, content in before.items())
    assert verify(tmp_path / "run").holds
    second = unlearn(tmp_path / "run", users=[sample.user_id])
    assert sample.sample_id in {a.sample_id for a in second.plan.affected if a.change == "dropped"}
    verified = verify(tmp_path / "run")
    assert verified.holds, verified.differences
    assert audit(tmp_path / "run").holds
