"""``python -m benchmarks.gpu``: parts that end by the clock or fail, what is left out, and the table."""

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import MARGIN, PARTS, has_failed, start_part
from benchmarks.gpu_speed import FULL
from benchmarks.gpu_table import table_of
from benchmarks.random_llama import plain_tokenizer, random_backbone, sharing_weights
from benchmarks.roofline import Roof, roof_of, sheet_of
from benchmarks.timing import NO_TIME, Contender, seconds_until
from recbole_apa.adapters.inject import AdapterBank
from tests.test_backbone import ADAPTERS

ROOT = Path(__file__).resolve().parent.parent


class Clock:
    """Goes on by what each contender takes."""

    def __init__(self, monkeypatch):
        self.now, self.calls = 0.0, []
        monkeypatch.setattr("time.perf_counter", lambda: self.now)

    def contender(self, name, seconds, fails=False):
        def run():
            self.calls.append(name)
            self.now += seconds
            if fails:
                raise RuntimeError("CUDA out of memory")

        return Contender(run, 1)


def test_all_contenders_run_as_often_as_the_clock_allows(monkeypatch):
    clock = Clock(monkeypatch)
    contenders = {"one": clock.contender("one", 1), "two": clock.contender("two", 2)}
    seconds, missing = seconds_until(contenders, 10, "cpu", deadline=16.5)
    # six to see how long they take, then three repetitions of three seconds
    assert seconds == {"one": [1.0] * 3, "two": [2.0] * 3} and missing == {} and clock.now <= 16.5
    assert len(seconds_until(contenders, 2, "cpu", deadline=1000)[0]["one"]) == 2


def test_the_slowest_are_left_out_for_time_but_never_the_reference(monkeypatch):
    clock = Clock(monkeypatch)
    contenders = {name: clock.contender(name, n) for name, n in {"reference": 5, "quick": 1, "slow": 20}.items()}
    seconds, missing = seconds_until(contenders, 5, "cpu", deadline=50)
    assert set(seconds) == {"reference", "quick"} and missing == {"slow": NO_TIME}
    assert clock.calls.count("slow") == 1  # a second call would not have fitted


def test_who_comes_too_late_or_fails_is_left_out_with_the_reason(monkeypatch):
    clock = Clock(monkeypatch)
    contenders = {
        "reference": clock.contender("reference", 4),
        "broken": clock.contender("broken", 1, fails=True),
        "late": clock.contender("late", 1),
    }
    seconds, missing = seconds_until(contenders, 5, "cpu", deadline=9)
    assert seconds == {"reference": [4.0, 4.0]}
    assert missing == {"broken": "failed: RuntimeError: CUDA out of memory", "late": NO_TIME}


def test_parts_end_within_eight_minutes_and_stop_in_time():
    assert sum(PARTS.values()) <= 8 * 60 - 20 and min(PARTS.values()) > 2 * MARGIN
    assert FULL.shards == (4, 16, 64) and FULL.batches == (1, 32) and FULL.shape == "7b"


def test_a_part_that_fails_or_is_ended_says_so(tmp_path):
    given = Namespace(out=tmp_path, threads=1, device="cpu", small=False)
    ended = start_part("step", given, 0.2)
    assert ended["status"] == "ended after 0 s" and "rows" not in ended
    failed = start_part("step", given, 120)
    assert failed["status"] == "failed: status 1" and "found no GPU, expected one" in failed["error"]
    assert has_failed({"step": failed}) and has_failed({"step": ended})
    assert not has_failed({"step": {"status": "done"}, "checks": {"status": "done", "rows": [{"status": "not run"}]}})
    assert has_failed({"checks": {"status": "done", "rows": [{"status": "failed"}]}})
    text = table_of({"commit": "", "small": False, "seconds": 1.0, "parts": {"step": failed}})
    assert "failed: status 1" in text and "found no GPU" in text


@pytest.mark.slow
def test_the_command_runs_in_small(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu", "--small", "--device=cpu", "--threads=1", f"--out={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "gpu.md").read_text() in done.stdout
    for words in ("APA(D), all", "add_weighted_adapter", "frozen trunk, states computed", "shards trained"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", (989e12, 3.35e12)),
        ("NVIDIA H100 PCIe", (756e12, 2.0e12)),
        ("NVIDIA H200", (989e12, 4.8e12)),
        ("NVIDIA A100-SXM4-80GB", (312e12, 2.039e12)),
        ("NVIDIA GH200 480GB", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA L4", None),
    ],
)
def test_peaks_are_those_of_the_very_device(name, expected):
    assert sheet_of(name) == expected


def test_the_roof_is_the_slower_of_multiplying_and_reading():
    roof = Roof(1000.0, 10.0, "measured", 1000.0, 10.0)
    assert roof.least_seconds(50, 1) == 2 * 50 / 10  # every weight is read, two bytes each
    assert roof.least_seconds(50, 1000) == 2 * 50 * 1000 / 1000
    measured = roof_of(torch.device("cpu"))
    assert measured.source == "measured" and measured.flops > 0 and measured.bandwidth > 0


def test_two_models_share_weights_and_not_adapters():
    backbone = random_backbone("tiny", "cpu")
    assert {p.dtype for p in backbone.model.parameters()} == {torch.bfloat16}
    one, other = (sharing_weights(backbone).model for _ in range(2))
    pairs = list(zip(one.parameters(), other.parameters(), strict=True))
    assert pairs and all(a is b for a, b in pairs)
    AdapterBank(one, [""], ADAPTERS)
    names = [[name for name, _ in model.named_parameters() if "lora" in name] for model in (one, other, backbone.model)]
    assert names[0] and names[1:] == [[], []]


def test_the_plain_tokenizer_has_both_answers_as_one_token():
    ids = plain_tokenizer()(" Yes No")["input_ids"]
    assert len(ids) == 2
