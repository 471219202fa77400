"""Exact and approximate unlearning side by side, on the small dataset."""

import numpy as np
import pytest

from recbole_apa.cli import main
from recbole_apa.comparison_record import DONE, FAILED
from recbole_apa.errors import SettingsError
from recbole_apa.experiment import read_experiment
from recbole_apa.forgetting import ORIGINAL, OTHER_SEED, compare_forgetting
from recbole_apa.methods.adapters import AdapterMethod
from recbole_apa.methods.bench import open_bench
from recbole_apa.methods.forget_task import ForgetRequest, open_task
from recbole_apa.methods.registry import ADAPTERS, REFERENCE
from recbole_apa.properties_folder import properties_folder
from recbole_apa.unlearning.approximate import NAMES, ApproximateUnlearner


@pytest.fixture(scope="module")
def trained(options, work_folder, tmp_path_factory):
    """The original model with a task of forgetting two users."""
    bench = open_bench("board", [], options, tmp_path_factory.mktemp("bench"))
    changes, serving = ADAPTERS[REFERENCE]
    method = AdapterMethod(bench, {REFERENCE: serving}, changes)
    method.fit(2020)
    task = open_task(method.made, bench.data[1]._dataset, ForgetRequest(users_ratio=0.2), 2020)
    return method, task, method.made.model.engine.bank.extract(0)


def users_of(part):
    return {name.split(":")[0] for name in part.ids}


def test_a_task_parts_what_goes_from_what_stays(trained):
    method, task, _ = trained
    users = set(task.asked["users"])
    assert len(users) == 2 and users_of(task.parts["forget"]) == users
    for name in ("retain", "valid", "test", "neighbours"):
        assert len(task.parts[name]) and not users_of(task.parts[name]) & users
    every = {s.sample_id for s in method.made.data[0]._dataset.samples}
    assert set(task.parts["forget"].ids) | set(task.parts["retain"].ids) == every
    assert set(task.parts["neighbours"].ids) <= set(task.parts["retain"].ids)


def test_a_sample_whose_history_shows_it_is_forgotten_as_it_was_and_kept_as_it_is_rewritten(trained):
    method, _, _ = trained
    asked = ForgetRequest(ratio=0.2)
    task = open_task(method.made, method.bench.data[1]._dataset, asked, 2020)
    both = set(task.parts["forget"].ids) & set(task.parts["retain"].ids)
    assert both
    for name in both:
        old, new = (part.prompts[part.ids.index(name)].ids for part in (task.parts["forget"], task.parts["retain"]))
        assert old != new


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
    [{}, {"ratio": 0.1, "users_ratio": 0.1}, {"ratio": 1.5}, {"ratio": 0.1, "who": "some"}, {"items_with": "Horror"}],
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
    assert len(kept) == 7
    for name in kept:
        experiment = read_experiment(name)
        ForgetRequest(**experiment.forget)
        assert not set(experiment.names) - set(NAMES) - set(ADAPTERS)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_moves_the_adapter_alone_and_always_to_the_same_place(name, trained):
    method, task, factors = trained
    model = method.made.model
    frozen = {n: p.clone() for n, p in model.backbone.named_parameters() if "lora" not in n}
    unlearner = ApproximateUnlearner(model, factors, task.parts, 2020)
    found = []
    for _ in range(2):
        assert unlearner.forget(name)[0] > 0
        found.append(model.engine.bank.extract(0))
    layer = next(iter(factors))
    assert all(np.array_equal(*(f[n][i] for f in found)) for n in factors for i in (0, 1))
    assert not all(np.array_equal(found[0][n][1], factors[n][1]) for n in factors), layer
    assert all(np.array_equal(p, frozen[n]) for n, p in model.backbone.named_parameters() if "lora" not in n)


def test_every_row_is_measured_kept_and_made_once(options, work_folder, tmp_path, monkeypatch):
    asked = ForgetRequest(users_ratio=0.2)
    names = ["GradDiff", "LLMEraser", "APA(D)"]
    result = compare_forgetting(names, asked, "board", [], options, folder=tmp_path / "f")
    rows = {row.method: row for row in result.rows}
    assert list(rows) == [ORIGINAL, REFERENCE, OTHER_SEED, *names]
    assert {row.status for row in result.rows} == {DONE}, [row.reason for row in result.rows]
    figures = {name: row.figures for name, row in rows.items()}
    assert figures[ORIGINAL]["local_residual"] == 1.0 and figures[ORIGINAL]["js_divergence"] > 0
    assert figures[REFERENCE]["local_residual"] == figures[REFERENCE]["js_divergence"] == 0.0
    # exact by construction, and measured so: its own shards trained from scratch
    assert figures["APA(D)"]["local_residual"] == figures["APA(D)"]["js_divergence"] == 0.0
    assert figures[OTHER_SEED]["local_residual"] > 0 and figures["GradDiff"]["local_residual"] > 0
    assert all(row.figures["unlearn_seconds"] > 0 for name, row in rows.items() if name != ORIGINAL)
    assert "GradDiff" in (tmp_path / "f" / "report.html").read_text() and "APA(D)" in result.table
    monkeypatch.setattr(AdapterMethod, "fit", None)
    again = compare_forgetting(names, asked, "board", [], options, folder=tmp_path / "f")
    assert [row.figures for row in again.rows] == [row.figures for row in result.rows]


def test_a_method_that_fails_leaves_its_reason(options, work_folder, tmp_path, monkeypatch):
    def broken(self, name):
        raise ValueError("no such thing")

    monkeypatch.setattr(ApproximateUnlearner, "forget", broken)
    result = compare_forgetting(["NPO"], ForgetRequest(ratio=0.1), "board", [], options, folder=tmp_path / "f")
    assert result.rows[-1].status == FAILED and "no such thing" in result.table


def test_names_that_do_not_forget_are_refused(options, tmp_path):
    with pytest.raises(SettingsError, match=r"found DeepFM; expected methods that forget with an adapter: GradAscent"):
        compare_forgetting(["DeepFM"], ForgetRequest(ratio=0.1), "board", [], options, folder=tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_the_command_line_says_what_it_expects(capsys):
    asked = ["--model=APA", "--dataset=board", "--compare=NPO"]
    assert main([*asked, "--forget_ratio=lots"]) == 2
    assert "expected a share" in capsys.readouterr().err
    assert main([*asked, "--forget_ratio=0.1", "--slices"]) == 2
    assert "--slices does not go with a comparison of forgetting" in capsys.readouterr().err
    assert main([*asked[:2], "--forget_ratio=0.1"]) == 2
    assert "expected together with --compare" in capsys.readouterr().err
