"""What a plan says of the disk, against the folders of real runs."""

import json
import shutil
from dataclasses import replace

import pytest

from recbole_apa import run, unlearn
from recbole_apa.cli.main import main
from recbole_apa.collaborative import ItemCodes
from recbole_apa.core.files.whole import read_json
from recbole_apa.runs.collaborative_files import load_collaborative
from recbole_apa.runs.files import MANIFEST
from recbole_apa.runs.names import CERTIFICATES, LEDGER, METRICS, REPORT
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.capacity_disk import DiskCosts, disk_of, measured_disk
from tests.helpers.runs import copy_run

N_ROWS = 192
RECORDS = (MANIFEST, METRICS, REPORT, ".gitattributes")


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_known_answers():
    costs = DiskCosts(shard=1000, sample=100, valid=50, score=8, row=38, export=10, fixed=7)
    disk = disk_of(costs, n_shards=4, n_samples=20, n_valid=5, n_rows=300)
    assert (disk.adapters, disk.samples, disk.memory, disk.index) == (4000, 2000, 5 * (50 + 4 * 8), 300 * 38)
    more = disk_of(replace(costs, judged=90, statistics=500), n_shards=4, n_samples=20, n_valid=5, n_rows=300)
    assert (disk.statistics, more.statistics, more.total - disk.total) == (0, 500 + 5 * 90, 950)
    assert (disk.exports, disk.records) == (250, 7) and disk.peak == 2 * disk.total == 2 * (4000 + 2000 + 410 + 11657)


def test_statistics_grow_with_the_samples_that_they_are_for(finished, uncounted):
    costs, without = (measured_disk(made.run_dir, N_ROWS) for made in (finished, uncounted))
    store = RunStore(finished.run_dir)
    kept = load_collaborative(store, ItemCodes(store.open_index().items.names))
    n_judged = sum(map(len, kept.scores.values()))
    assert costs.judged * n_judged == pytest.approx(48 * len(kept.statistics.pairs.pairs) + 8 * n_judged)
    of_items = 32 * len(kept.statistics.codes.names)
    assert of_items < costs.statistics < of_items + 12_000 + n_judged * costs.judged  # headers, what is fitted
    now = disk_of(costs, 3, 30, len(kept.scores["valid"]), N_ROWS).statistics
    assert now == size(finished.run_dir / "collaborative")
    assert disk_of(costs, 3, 30, 1012, N_ROWS).statistics == pytest.approx(now + 1000 * costs.judged, abs=1)
    assert (without.judged, without.statistics, disk_of(without, 3, 30, 12, N_ROWS).statistics) == (0, 0, 0)


def test_the_parts_of_a_folder_make_up_the_whole(finished):
    costs = measured_disk(finished.run_dir, N_ROWS)
    disk = disk_of(costs, 3, 30, 12, N_ROWS)
    assert disk.total == pytest.approx(size(finished.run_dir), abs=10) and disk.exports == 0
    assert disk.index == size(finished.run_dir / "index") > 0
    shard = size(finished.run_dir / "shards") / 3
    assert costs.shard == pytest.approx(shard, rel=0.1) and costs.score == 8


def test_activations_of_validation_samples_count_up_to_what_is_kept_of_them():
    costs = DiskCosts(shard=1000, sample=100, valid=50, score=8, valid_states=160_000)
    assert disk_of(costs, 2, 10, 250, 10).memory == 250 * (50 + 16 + 160_000)
    assert disk_of(costs, 2, 10, 2000, 10).memory == 2000 * (50 + 16)


def test_what_requests_add_to_a_folder_is_not_taken_for_a_part_of_it(finished, served):
    before, after = (measured_disk(folder, N_ROWS) for folder in (finished.run_dir, served))
    assert size(served / CERTIFICATES) > 10_000
    assert after.fixed < before.fixed + 5000 and after.shard == pytest.approx(before.shard, rel=0.05)


def test_an_index_is_measured_if_there_is_one_and_assumed_if_asked(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    found = measured_disk(folder, N_ROWS, 38)
    assert found.row == size(folder / "index") / N_ROWS > 38  # few rows: most of it are the headers of its files
    assert found == measured_disk(folder, N_ROWS)
    shutil.rmtree(folder / "index")  # as in a run of an older format
    assert measured_disk(folder, N_ROWS, 38) == replace(found, row=38)
    assert measured_disk(folder, N_ROWS) == replace(found, row=0)


@pytest.mark.slow
@pytest.mark.parametrize("keep_states", [False, "validation", True])
def test_a_run_takes_the_disk_that_the_plan_made_from_a_smaller_one_says(options, tmp_path, keep_states):
    def trained(name, **changes):
        exports = {"export_samples": str(tmp_path / f"{name}-exports")}
        given = {**options, "keep_states": keep_states, **exports, **changes}
        return run("APA", "board", config_dict=given, run_dir=tmp_path / name).run_dir

    costs = measured_disk(trained("small", train_samples=20, n_shards=2, valid_samples=6), N_ROWS)
    large = trained("large", train_samples=90, n_shards=6, valid_samples=16)
    lineage = read_json(large / "lineage.json")
    planned = disk_of(costs, 6, len(lineage["partition.json"]), len(lineage["memory.safetensors"]), N_ROWS)
    records = size(large / "figures") + sum((large / name).stat().st_size for name in RECORDS)
    found, expected = size(large) - records, planned.total - planned.records - planned.exports
    assert planned.records == pytest.approx(records, rel=0.01)  # most of it is the report's drawing code
    assert planned.exports == pytest.approx(size(tmp_path / "large-exports"), rel=0.15)  # and 12 test samples
    if keep_states:  # prompts that are equal, which are many here, are kept once
        assert 0.6 * expected < found < 1.05 * expected and size(large) > 1.05 * planned.records
    else:
        assert expected == pytest.approx(found, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("exactness", ["inherited", "fresh"])
def test_no_request_takes_more_than_the_plan_says(finished, tmp_path, monkeypatch, exactness):
    folder, seen = copy_run(finished, tmp_path / "run"), []
    from recbole_apa.unlearning import exact

    commit = exact.commit_state
    monkeypatch.setattr(exact, "commit_state", lambda store: (seen.append(size(folder)), commit(store)))
    unlearn(folder, users=["u3"], exactness=exactness)
    disk = disk_of(measured_disk(folder, N_ROWS), 3, 30, 12, N_ROWS)
    of_requests = size(folder / CERTIFICATES) + (folder / LEDGER).stat().st_size
    assert disk.total < max(seen) <= disk.peak + 2 * of_requests


@pytest.mark.slow
def test_the_command_says_what_is_needed(finished, tmp_path, capsys):
    asked = [
        "--plan",
        "--requests_per_day=500",
        "--n_samples=10_000",
        "--shard_size=1000",
        "--dataset_interactions=30_000",
    ]
    assert main([*asked, f"--run={finished.run_dir}", f"--plan_dir={tmp_path}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["capacity"]
    assert {name: found[name] for name in ("stream", "costs", "plan")} == read_json(tmp_path / "plan.json")
    (line,) = found["plan"]
    disk, costs = line["disk"], measured_disk(finished.run_dir, N_ROWS)
    assert found["stream"]["n_interactions"] == 30_000 and found["costs"]["disk"] == vars(costs)
    assert disk["total"] == disk_of(costs, 10, 10_000, 12, 30_000).total and disk["peak"] == 2 * disk["total"]
    without = disk_of(replace(costs, row=0), 10, 10_000, 12, 30_000)
    assert disk["index"] == round(30_000 * costs.row) > 0 and without.total == disk["total"] - disk["index"]
