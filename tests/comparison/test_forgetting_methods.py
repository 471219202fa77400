"""The methods of a comparison of forgetting: what they move, their names and settings."""

import numpy as np
import pytest

from recbole_apa.comparison.forget_task import ForgetRequest
from recbole_apa.comparison.forgetting import compare_forgetting, settings_of
from recbole_apa.core.errors import SettingsError
from recbole_apa.unlearning.approximate import APPROXIMATE_METHODS
from recbole_apa.unlearning.approximate.loop import unlearn_adapter
from recbole_apa.unlearning.approximate.method_names import parse_choice
from recbole_apa.unlearning.approximate.methods import NPO, LLMEraser, RapidUn
from recbole_apa.unlearning.approximate.unlearner import ApproximateSettings, ApproximateUnlearner


@pytest.mark.quick(4)
@pytest.mark.parametrize("name", list(APPROXIMATE_METHODS))
def test_a_method_moves_the_adapter_alone_and_always_to_the_same_place(name, trained):
    method, task, factors = trained
    model = method.made.model
    frozen = {n: p.clone() for n, p in model.backbone.named_parameters() if "lora" not in n}
    unlearner = ApproximateUnlearner(model, factors, task.steps[0].parts, 2020)
    found = []
    for _ in range(2):
        assert unlearner.forget(APPROXIMATE_METHODS[name]())[0] > 0
        found.append(model.engine.bank.extract(0))
    layer = next(iter(factors))
    assert all(np.array_equal(*(f[n][i] for f in found)) for n in factors for i in (0, 1))
    assert not all(np.array_equal(found[0][n][1], factors[n][1]) for n in factors), layer
    assert all(np.array_equal(p, frozen[n]) for n, p in model.backbone.named_parameters() if "lora" not in n)


def test_rapiduns_rate_falls_as_a_cosine_and_only_weighted_samples_are_drawn(trained, monkeypatch):
    method, task, factors = trained
    courses, seen = [], []

    def watched(course, sides, objective, enough):
        courses.append((course, sides))
        return unlearn_adapter(course, sides, objective, lambda: seen.append(1))

    monkeypatch.setattr("recbole_apa.unlearning.approximate.unlearner.unlearn_adapter", watched)
    settings = ApproximateSettings(most_epochs=2)
    unlearner = ApproximateUnlearner(method.made.model, factors, task.steps[0].parts, 1, settings)
    unlearner.forget(RapidUn(retain_per_forget=2))
    ((course, sides),) = courses
    n = len(task.steps[0].parts["forget"])
    assert course.settings.lr_schedule == "cosine" and len(course.history.step_losses) == 2 * sides.n_batches
    assert int((sides.retain.weights > 0).sum()) == min(2 * n, len(sides.retain.ids))
    counted = sides.retain.weights[sides.retain.weights > 0]
    assert counted.mean().item() == pytest.approx(1.0) and sides.forget.weights.mean().item() == pytest.approx(1.0)


def test_names_that_do_not_forget_are_refused(options, tmp_path):
    with pytest.raises(SettingsError, match=r"found DeepFM; expected methods that forget with an adapter: GradAscent"):
        compare_forgetting(["DeepFM"], ForgetRequest(ratio=0.1), "board", [], options, folder=tmp_path / "f")
    with pytest.raises(SettingsError, match=r"found GradDif; expected .*; did you mean 'GradDiff'"):
        compare_forgetting(["GradDif"], ForgetRequest(ratio=0.1), "board", [], options, folder=tmp_path / "f")
    # it would have been APA(D) by another name: scores are the adapters' own
    with pytest.raises(SettingsError, match=r"found APA\(D\)\+Evidence; expected methods that forget"):
        compare_forgetting(["APA(D)+Evidence"], ForgetRequest(ratio=0.1), "board", [], options, folder=tmp_path / "f")
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NPO:rate=1", "found option 'rate', expected .*beta.*rate_share"),
        ("NPO:beta", "found 'beta', expected option=number"),
        ("NPO:beta=much", "found 'beta=much', expected option=number"),
        ("LLMEraser:beta=1", "found option 'beta'"),
        ("BadT:incompetent=1", "found option 'incompetent'"),
        ("NPO:damping=1", "found option 'damping'"),
    ],
)
def test_settings_that_a_method_does_not_have_are_refused(text, expected, tmp_path):
    with pytest.raises(SettingsError, match=expected):
        compare_forgetting([text], ForgetRequest(ratio=0.1), "board", folder=tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_settings_are_told_with_their_defaults_and_decide_the_rows_key():
    assert settings_of("BadT-flip") == {
        "weight": 0.2,
        "rate_share": 0.03,
        "lr_schedule": "constant",
        "most_epochs": 10,
        "batch_size": 8,
    }
    assert settings_of("E2URec:rate_share=0.3")["rate_share"] == 0.3 and settings_of("E2URec")["rate_share"] == 0.1
    assert settings_of("RapidUn")["lr_schedule"] == "cosine" and settings_of("BadT")["incompetent"] == "uniform"
    assert settings_of("LLMEraser:damping=1") == {"damping": 1, "most_retained": 256}
    assert settings_of("APA(D)") == {}


def test_settings_of_a_method_reach_it():
    choice = parse_choice("NPO:rate_share=0.3+most_epochs=2+beta=0.5")
    assert (choice.settings.rate_share, choice.settings.most_epochs) == (0.3, 2)
    assert choice.method == NPO(beta=0.5) and parse_choice("NPO").method == NPO()
    assert parse_choice("LLMEraser:damping=1").method == LLMEraser(damping=1)
