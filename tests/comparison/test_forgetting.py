"""Exact and approximate unlearning side by side, on the small dataset."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from recbole_apa.cli.main import main
from recbole_apa.comparison.context import context_in, open_context
from recbole_apa.comparison.forget_task import ForgetRequest, open_task
from recbole_apa.comparison.forgetting import ORIGINAL, OTHER_SEED, OUT_MODELS, compare_forgetting, settings_of
from recbole_apa.comparison.methods.sharded import AdapterMethod
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.registry import ADAPTERS, REFERENCE
from recbole_apa.comparison.row import DONE, FAILED
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.properties import properties_folder
from recbole_apa.evaluation.measures.membership import RMIA
from recbole_apa.unlearning.approximate import APPROXIMATE_METHODS
from recbole_apa.unlearning.approximate.loop import unlearn_adapter
from recbole_apa.unlearning.approximate.method_names import parse_choice
from recbole_apa.unlearning.approximate.methods import NPO, LLMEraser, RapidUn
from recbole_apa.unlearning.approximate.unlearner import ApproximateSettings, ApproximateUnlearner


@pytest.fixture(scope="module")
def trained(options, work_folder, tmp_path_factory):
    """The original model with a task of forgetting two users."""
    context = open_context("board", [], options, tmp_path_factory.mktemp("bench"))
    changes, serving = ADAPTERS[REFERENCE]
    method = AdapterMethod(context, {REFERENCE: serving}, changes)
    method.fit(2020)
    task = open_task(method.made, context.data[1]._dataset, ForgetRequest(users_ratio=0.2), 2020)
    return method, task, method.made.model.engine.bank.extract(0)


def users_of(part):
    return {name.split(":")[0] for name in part.ids}


def test_a_task_parts_what_goes_from_what_stays(trained):
    method, task, _ = trained
    users = set(task.asked["users"])
    parts = {**task.steps[0].parts, "neighbours": task.judged["neighbours"], "test": task.judged["test"]}
    assert len(users) == 2 and users_of(parts["forget"]) == users
    for name in ("retain", "valid", "test", "neighbours"):
        assert len(parts[name]) and not users_of(parts[name]) & users
    every = {s.sample_id for s in method.made.data[0]._dataset.samples}
    assert set(parts["forget"].ids) | set(parts["retain"].ids) == every
    assert set(parts["neighbours"].ids) <= set(parts["retain"].ids)


def test_a_sample_whose_history_shows_it_is_forgotten_as_it_was_and_kept_as_it_is_rewritten(trained):
    method, _, _ = trained
    asked = ForgetRequest(ratio=0.2)
    task = open_task(method.made, method.context.data[1]._dataset, asked, 2020)
    forget, retain = (task.steps[0].parts[name] for name in ("forget", "retain"))
    both = set(forget.ids) & set(retain.ids)
    assert both
    for name in both:
        old, new = (part.prompts[part.ids.index(name)].ids for part in (forget, retain))
        assert old != new


@pytest.mark.parametrize("asked", [ForgetRequest(n_interactions=4, one_by_one=True), ForgetRequest(n_users=2)])
def test_a_stream_is_a_request_for_each_thing_given_the_ones_before(trained, asked):
    method, _, _ = trained
    task = open_task(method.made, method.context.data[1]._dataset, asked, 2020)
    things = next(iter(task.asked.values()))
    assert len(things) == max(asked.n_interactions, asked.n_users)
    assert [step.asked for step in task.steps] == asked.requests(task.asked)
    assert len(task.steps) == (len(things) if asked.one_by_one else 1)
    # a step sees what the steps before it left, and the last leaves what all of them at once leave
    for before, after in pairwise(task.steps):
        kept, seen = before.parts["retain"], after.parts["forget"]
        assert {(i, kept.prompts[kept.ids.index(i)].ids) for i in seen.ids} == {
            (i, p.ids) for i, p in zip(seen.ids, seen.prompts, strict=True)
        }
    whole = open_task(method.made, method.context.data[1]._dataset, replace(asked, one_by_one=False), 2020)
    left = [p.ids for p in whole.steps[0].parts["retain"].prompts]
    assert [p.ids for p in task.steps[-1].parts["retain"].prompts] == left
    assert task.judged["forget"].ids == whole.judged["forget"].ids


def test_more_than_there_is_cannot_be_forgotten(trained):
    with pytest.raises(SettingsError, match="found 10000 users to forget, expected fewer than the"):
        ForgetRequest(n_users=10_000).draw(trained[0].made.data[0]._dataset, 0)


def test_active_users_come_first_or_last_as_asked(trained):
    part = trained[0].made.data[0]._dataset
    samples = part.samples
    counts = {u: sum(s.user_id == u for s in samples) for u in {s.user_id for s in samples}}
    core, edge = (ForgetRequest(users_ratio=0.25, who=who).draw(part, 1)["users"] for who in ("core", "edge"))
    assert min(counts[u] for u in core) >= max(counts[u] for u in edge) and not set(core) & set(edge)
    drawn = [ForgetRequest(users_ratio=0.25).draw(part, seed)["users"] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"ratio": 0.1, "users_ratio": 0.1},
        {"ratio": 0.1, "n_users": 1},
        {"n_interactions": -1},
        {"ratio": 1.5},
        {"ratio": 0.1, "who": "some"},
        {"items_with": "Horror"},
    ],
)
def test_a_request_is_one_thing(given):
    with pytest.raises(SettingsError, match="forget_"):
        ForgetRequest(**given)


def test_items_of_a_word_are_found_as_the_file_has_it(trained):
    part = trained[0].made.data[0]._dataset
    items = ForgetRequest(items_with="title=1").draw(part, 0)["items"]
    assert items and all("1" in part.item_texts[part.token2id(part.iid_field, i)].split() for i in items)
    with pytest.raises(SettingsError, match="found no column 'genre' of items, expected one of title, year"):
        ForgetRequest(items_with="genre=1").draw(part, 0)
    with pytest.raises(SettingsError, match="found no item with 'Horror' in its title"):
        ForgetRequest(items_with="title=Horror").draw(part, 0)


def test_every_kept_experiment_of_forgetting_says_what_it_forgets():
    kept = [p.stem for p in (properties_folder() / "experiments").glob("forget_*.yaml")]
    assert len(kept) == 9
    for name in kept:
        experiment = read_preset(name)
        ForgetRequest(**experiment.forget)
        assert not set(experiment.names) - set(APPROXIMATE_METHODS) - set(ADAPTERS)


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


@pytest.mark.slow
def test_every_row_is_measured_kept_and_made_once(options, work_folder, tmp_path, monkeypatch):
    asked = ForgetRequest(users_ratio=0.2)
    names = ["GradDiff", "GradDiff:rate_share=0.5", "LLMEraser", "APA(D)"]
    seen = []
    monkeypatch.setattr(RMIA, "__call__", lambda self, s, call=RMIA.__call__: seen.append(s) or call(self, s))
    result = compare_forgetting(names, asked, "board", [], options, folder=tmp_path / "f")
    rows = {row.method: row for row in result.rows}
    assert list(rows) == [ORIGINAL, REFERENCE, OTHER_SEED, *names]
    assert {row.status for row in result.rows} == {DONE}, [row.reason for row in result.rows]
    figures = {name: row.figures for name, row in rows.items()}
    assert figures[ORIGINAL]["local_residual"] == 1.0 and figures[ORIGINAL]["js_divergence"] > 0
    assert figures[REFERENCE]["local_residual"] == figures[REFERENCE]["js_divergence"] == 0.0
    # exact by construction, and measured so: its own shards trained from scratch
    assert figures["APA(D)"]["local_residual"] == figures["APA(D)"]["js_divergence"] == 0.0
    assert rows["GradDiff"].scores != rows["GradDiff:rate_share=0.5"].scores
    assert figures[OTHER_SEED]["local_residual"] > 0 and figures["GradDiff"]["local_residual"] > 0
    assert all(row.figures["unlearn_seconds"] > 0 for name, row in rows.items() if name not in (ORIGINAL, OTHER_SEED))
    assert "unlearn_seconds" not in rows[OTHER_SEED].figures
    assert all(f["peak_memory_bytes"] > 1e7 for name, f in figures.items() if name not in (ORIGINAL, OTHER_SEED))
    assert all(0 <= f["rmia_auc"] <= 1 for f in figures.values())
    assert "GradDiff" in (tmp_path / "f" / "report.html").read_text() and "APA(D)" in result.table
    # every row is compared with the same out-models, which are none of the rows
    assert len(seen) == len(names) + 3 and all(s.without is seen[0].without for s in seen)
    own = [s.after["forget"] for s in seen]
    assert len(seen[0].without) == OUT_MODELS
    assert not any(np.array_equal(out["forget"], scores) for out in seen[0].without for scores in own)
    assert rows["LLMEraser"].settings == {"damping": LLMEraser.damping, "most_retained": 256}
    assert rows["GradDiff:rate_share=0.5"].settings["rate_share"] == 0.5 and not rows[REFERENCE].settings
    kept = (tmp_path / "f" / "table.md").read_text()
    assert f"- LLMEraser: damping {LLMEraser.damping:g}, most_retained 256\n" in kept
    monkeypatch.setattr(AdapterMethod, "fit", None)
    again = compare_forgetting(names, asked, "board", [], options, folder=tmp_path / "f")
    assert [row.figures for row in again.rows] == [row.figures for row in result.rows]


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


@pytest.mark.slow
def test_a_stream_ends_where_all_at_once_ends_for_exact_methods_alone(options, work_folder, tmp_path):
    def rows(**how):
        asked = ForgetRequest(n_interactions=3, **how)
        made = compare_forgetting(["GradDiff", "APA(D)"], asked, "board", [], options, folder=tmp_path / str(how))
        assert {row.status for row in made.rows} == {DONE}, [row.reason for row in made.rows]
        return {row.method: row for row in made.rows}

    at_once, stream = rows(), rows(one_by_one=True)
    assert stream[REFERENCE].figures["n_requests"] == 3 and at_once[REFERENCE].figures["n_requests"] == 1
    for name in (REFERENCE, "APA(D)"):
        assert stream[name].scores == at_once[name].scores and stream[name].figures["js_divergence"] == 0.0
    assert stream["GradDiff"].scores != at_once["GradDiff"].scores


@pytest.mark.slow
def test_another_seed_is_trained_on_what_the_request_left(options, work_folder, tmp_path):
    """The same, bit for bit, as training on everything and retraining after the request."""
    with context_in(tmp_path, "board", [], options) as context:
        changes, serving = ADAPTERS[REFERENCE]

        def method():
            return AdapterMethod(context, {REFERENCE: serving}, changes)

        one, other = method(), method()
        one.fit(3)
        one.forget(users=["u3"])
        expected = one.made.model.engine.bank.extract(0)
        other.fit_on(one.made.data, 3)
        found = other.made.model.engine.bank.extract(0)
        other.fit_on(one.made.data, 4)
        third = other.made.model.engine.bank.extract(0)
    assert all(np.array_equal(a, b) for n in expected for a, b in zip(expected[n], found[n], strict=True))
    assert not all(np.array_equal(expected[n][1], third[n][1]) for n in expected)


@pytest.mark.slow
def test_a_method_that_fails_leaves_its_reason(options, work_folder, tmp_path, monkeypatch):
    def broken(self, method):
        raise ValueError("no such thing")

    monkeypatch.setattr(ApproximateUnlearner, "forget", broken)
    result = compare_forgetting(["NPO"], ForgetRequest(ratio=0.1), "board", [], options, folder=tmp_path / "f")
    assert result.rows[-1].status == FAILED and "no such thing" in result.table


def test_names_that_do_not_forget_are_refused(options, tmp_path):
    with pytest.raises(SettingsError, match=r"found DeepFM; expected methods that forget with an adapter: GradAscent"):
        compare_forgetting(["DeepFM"], ForgetRequest(ratio=0.1), "board", [], options, folder=tmp_path / "f")
    with pytest.raises(SettingsError, match=r"found GradDif; expected .*; did you mean 'GradDiff'"):
        compare_forgetting(["GradDif"], ForgetRequest(ratio=0.1), "board", [], options, folder=tmp_path / "f")
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


def test_the_command_line_says_what_it_expects(capsys):
    asked = ["--model=APA", "--dataset=board", "--compare=NPO"]
    assert main([*asked, "--forget_ratio=lots"]) == 2
    assert "expected a share" in capsys.readouterr().err
    assert main([*asked, "--forget_n_users=some"]) == 2
    assert "expected a number" in capsys.readouterr().err
    assert main([*asked, "--forget_ratio=0.1", "--slices"]) == 2
    assert "--slices does not go with a comparison of forgetting" in capsys.readouterr().err
    assert main([*asked[:2], "--forget_ratio=0.1"]) == 2
    assert "expected together with --compare" in capsys.readouterr().err
