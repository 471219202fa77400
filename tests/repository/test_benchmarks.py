import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import recbole
import torch

from benchmarks.cure4rec_ids import cure4rec_numbers
from benchmarks.development import write_development_data
from benchmarks.drawn_requests import table as drawn_table
from benchmarks.forgetting import DISTANCES, EXPERIMENTS, side_by_side
from benchmarks.inference import REFERENCE
from benchmarks.inference import table as inference_table
from benchmarks.memory_size import part_of_memory
from benchmarks.model_adds import BASE
from benchmarks.model_adds import CHANGES as MODEL_ADDS
from benchmarks.one_process import measured
from benchmarks.quality import PAPER, RULES, summarise, table
from benchmarks.random_llama import write_random_llama
from benchmarks.request_jobs import NAME, untouched_user, users_of_samples
from benchmarks.requests_at_size import write_data
from benchmarks.run import COMMANDS
from benchmarks.search import STAGES
from benchmarks.slices import table as slices_table
from benchmarks.timing import Contender, ratios, seconds_per_sample
from recbole_apa import APAConfig
from recbole_apa.adapters.aggregation import Memory
from recbole_apa.comparison.row import Row
from recbole_apa.core.files.whole import read_json
from recbole_apa.data.recbole_settings import read_settings
from recbole_apa.pipeline.build import build
from recbole_apa.pipeline.datasets import make_dataset
from tests.helpers.places import ROOT

CHANGES = [(stage, name) for stage, (_, changes) in STAGES.items() for name in changes]


@pytest.mark.parametrize(("stage", "name"), CHANGES)
def test_every_change_that_is_searched_is_a_valid_setting(stage, name):
    base, changes = STAGES[stage]
    config = APAConfig("APA", "ml-100k", config_dict={"protocol": "tallrec", **base, **changes[name]})
    settings = read_settings(config).flat()
    assert all(settings[k] == v for k, v in changes[name].items())


@pytest.mark.parametrize("name", MODEL_ADDS)
def test_every_change_to_what_the_model_adds_is_a_valid_setting(name):
    given = {**BASE, **MODEL_ADDS[name]}
    config = APAConfig("APA", "ml-100k", config_dict=given)
    assert all(config[k] == v for k, v in MODEL_ADDS[name].items())


def test_a_smaller_memory_has_the_rows_of_its_samples():
    def part(*names):
        return SimpleNamespace(samples=[SimpleNamespace(sample_id=name) for name in names])

    rows = torch.arange(3.0)[:, None]  # in order of sample id: a, b, c
    memory = Memory(rows, rows, rows[:, 0], rows[:, 0].long())
    found = part_of_memory(memory, part("c", "a", "b"), part("c", "b"))
    assert found.users.tolist() == [1, 2] and found.embeddings.tolist() == found.scores.tolist() == [[1.0], [2.0]]


def test_quality_table_says_means_and_distances():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    good, poor = labels + rng.normal(size=200), rng.normal(size=200)
    seeds = [{"Retraining": good, "APA(D)": good, "APA(ND)": poor, **dict.fromkeys(RULES, poor)} for _ in range(2)]
    rows = {r["method"]: r for r in summarise(labels, seeds)}
    assert rows["APA(D)"]["auc"] == pytest.approx(np.mean(rows["APA(D)"]["by_seed"]))
    assert rows["APA(D)"][f"minus {RULES[0]}"][0] > 0
    assert rows["APA(ND)"][f"minus {RULES[0]}"] == (0.0, 0.0)
    assert rows["Retraining"]["paper"] == PAPER["Retraining"] == 0.7428
    assert f"({rows['APA(D)']['auc'] - 0.7259:+.4f})" in table(list(rows.values()))
    by_users = {r["method"]: r for r in summarise(labels, seeds, np.arange(200) // 50)}
    assert by_users["APA(D)"]["auc"] == rows["APA(D)"]["auc"]
    assert by_users["APA(D)"]["interval"] != rows["APA(D)"]["interval"]


def test_forgetting_table_has_means_deviations_and_gaps():
    rows = [
        Row("NPO", seed, "done", figures={"js_divergence": d, "local_residual": 1}) for seed, d in ((1, 0.1), (2, 0.3))
    ]
    rows.append(Row("NPO", 3, "failed", "no reason"))
    lines = side_by_side({"a": rows, "b": [Row("Pop", 1, "done")]}, DISTANCES, spread=True).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["method", "JSD, a", "JSD, b", "local residual, a", "local residual, b"]
    assert cells[2] == ["NPO", "0.2000 ± 0.1414", "", "1.00 ± 0.00", ""] and cells[3] == ["Pop", "", "-", "", "-"]


def cells_of(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_the_table_of_slices_divides_the_mean_request_by_both_references():
    def took(seconds, apart, slices):
        return {"seconds": seconds, "processor": seconds / 2, "apart": apart, "training": None, "slices": slices}

    requests = [
        {way: took(10 * i, 8 * i, n) for way, n in (("in full", i), ("at once", 0), ("catch up", None))} for i in (1, 3)
    ]
    record = {"run": took(100, 80, None), "one model": took(50, 40, None), "requests": {"users": requests}}
    cells = cells_of(slices_table(record))
    assert cells[2] == [
        "users",
        "in full",
        "2",
        "2.0",
        "16.0",
        "0.200",
        "0.400",
        "8.0",
        "0.200",
        "0.400",
        "20.0",
        "0.200",
    ]
    assert [line[3] for line in cells[3:]] == ["0.0", "-"]
    for one in requests:
        del one["catch up"]
    assert cells_of(slices_table(record))[2:] == cells[2:4]


def test_the_table_of_drawn_requests_divides_both_references_by_the_mean_request():
    kinds = ("interactions", "users", "items")
    record = {
        "counted": {kind: {"requests": 9, "shards_hit": 1.5} for kind in kinds},
        "one_model_seconds": 30.0,
        "all_anew_seconds": [59.0, 60.0, 61.0],
        "requests": {kind: [{"seconds": s, "shards_hit": h} for s, h in ((10.0, 1), (20.0, 2))] for kind in kinds},
    }
    head, _, line, *_ = cells_of(drawn_table(record))
    assert head[-2:] == ["one model / request", "all anew / request"]
    assert line == ["interactions", "1.50 (9)", "2", "1.50", "15.0", "2.00", "4.00"]
    del record["requests"]
    assert cells_of(drawn_table(record))[2] == ["interactions", "1.50 (9)"]
    record["estimated"] = dict.fromkeys(kinds, 20.0)
    assert cells_of(drawn_table(record))[2] == ["interactions", "1.50 (9)", "20.0", "1.50", "2.95"]


def test_the_table_of_predictions_has_both_references():
    one = {"ratio": 1.0, "ratio_low": 1.0, "ratio_high": 1.0}
    both = {**one, "ratio_to_alone": 2.0, "ratio_low_to_alone": 1.9, "ratio_high_to_alone": 2.1}
    rows = [{"k": 4, "batch": 8, "contenders": {REFERENCE["all"]: both, REFERENCE["upper"]: one}}]
    head, _, first, second = cells_of(inference_table(rows))
    assert head == ["batch", "contender", "K = 4", "to one alone, K = 4"]
    assert first[2:] == ["1.00 (1.00-1.00)", "2.00 (1.90-2.10)"] and second[2:] == ["1.00 (1.00-1.00)", ""]


@pytest.mark.parametrize("name", EXPERIMENTS.values())
def test_kept_rows_of_forgetting_are_whole(name):
    """Every method of the README's table has its three seeds in benchmarks/results/, exact ones at distance zero."""
    files = (ROOT / "benchmarks/results" / name.replace("_", "-") / "rows").glob("*")
    found = [read_json(path) for path in files]
    assert len(found) == 36 and {row["status"] for row in found} == {"done"}
    assert {row["figures"]["js_divergence"] for row in found if row["method"] in ("APA(D)", "Retraining")} == {0.0}


@pytest.mark.slow
def test_development_data_holds_no_row_that_is_tested_on(tmp_path):
    config = {"protocol": "tallrec", "train_samples": None, "valid_samples": None, "test_samples": None}
    real = make_dataset(APAConfig("APA", "ml-100k", config_dict=config)).build()
    path = str(write_development_data(tmp_path))
    left = make_dataset(APAConfig("APA", "ml-100k", config_dict={**config, "data_path": path})).build()
    tested = {s.sample_id for s in real[2].samples}
    assert not tested & {name for part in left for s in part.samples for name in s.interaction_ids()}
    drawn = make_dataset(APAConfig("APA", "ml-100k", config_dict={**config, **STAGES["shard"][0], "data_path": path}))
    trained, *judged = ({s.user_id for s in part.samples} for part in drawn.build())
    users = judged[0] | judged[1]  # as docs/benchmarks.md says
    assert (len(users), len(users & {s.user_id for s in real[2].samples}), len(users & trained)) == (24, 1, 0)
    assert [s.digest() for s in left[2].samples] == [s.digest() for s in real[1].samples]
    assert [s.digest() for s in left[1].samples] == [s.digest() for s in real[0].samples[-1000:]]


def test_ratios_are_paired_by_repetition():
    found = ratios({"one": [1.0, 2.0, 4.0], "other": [2.0, 2.0, 12.0]}, "one")
    assert found["other"] == {"ratio": 2.0, "ratio_low": 1.0, "ratio_high": 3.0, "seconds_per_sample": 2.0}
    assert found["one"]["ratio_low"] == found["one"]["ratio_high"] == 1.0


def test_contenders_run_in_turn_after_one_call_for_nothing_and_a_part_stands_for_the_whole(monkeypatch):
    calls, clock = [], iter(range(100))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    contenders = {
        name: Contender(lambda name=name: calls.append(name), 4, part) for name, part in [("a", 1), ("b", 0.25)]
    }
    seconds = seconds_per_sample(contenders, 3, "cpu")
    assert calls[:2] == ["a", "b"] and sorted(calls) == ["a"] * 4 + ["b"] * 4
    assert seconds == {"a": [0.25] * 3, "b": [1.0] * 3}


@pytest.mark.realdata
def test_a_random_llama_is_a_backbone(tmp_path):
    folder = write_random_llama(tmp_path / "llama", "tiny", "cpu")
    config = APAConfig("APA", "ml-100k", config_dict={"backbone": str(folder), "train_samples": 8, "test_samples": 2})
    model, data = build(config)
    assert model.engine.decoder.n_layers == 4
    prompts = model.prompts(data[2]._dataset.labelled)
    assert model.engine.scores(prompts, None, "decomposition").isfinite().all()


@pytest.mark.realdata
@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_runs_small(name):
    done = subprocess.run([sys.executable, "benchmarks/run.py", name, "--small"], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_cure4recs_numbers_are_found_again():
    """First and some other entries of its `item_dict.npy`, and a line of its edge set: `18,44,3,885412839`."""
    users, items = cure4rec_numbers(Path(recbole.__file__).parent / "dataset_example" / "ml-100k" / "ml-100k.inter")
    assert (len(users), len(items)) == (943, 1349)
    assert [items[n] for n in range(5)] == ["242", "302", "377", "51", "346"]
    assert (users[18], items[44]) == ("19", "201")


@pytest.mark.slow
def test_a_process_is_measured_without_the_one_that_started_it(tmp_path):
    held = bytearray(b"x" * 150_000_000)  # this process is larger than the one that is measured
    line = [sys.executable, "-c", "import sys, time; time.sleep(0.5); print('done'); sys.exit(3)"]
    small = measured(line, tmp_path, {})
    assert (small.status, small.output) == (3, "done\n") and small.seconds > 0.5 > small.cpu_seconds
    assert small.peak_bytes < len(held) // 2
    filled = measured([sys.executable, "-c", f"b'x' * {len(held)}"], tmp_path, {})
    assert filled.peak_bytes > len(held)


def test_made_data_depends_on_its_size_alone_and_who_is_in_no_sample_is_found(tmp_path):
    for name in ("one", "two"):
        write_data(tmp_path / name, 3_000)
    files = [
        [(tmp_path / n / NAME / f"{NAME}.{kind}").read_bytes() for kind in ("inter", "item")] for n in ("one", "two")
    ]
    assert files[0] == files[1]
    folder = tmp_path / "one"
    (folder / "run").mkdir()
    (folder / "run" / "lineage.json").write_text(
        '{"shards/000": {"0:5:1000": "aa"}, "memory.safetensors": {"1:7:3#2": "bb"}}'
    )
    assert users_of_samples(folder / "run") == {"0", "1"} and untouched_user(folder) == "2"
