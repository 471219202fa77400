"""``python -m benchmarks.gpu``: parts that end by the clock or fail, what is left out, and the table."""

from argparse import Namespace

import pytest
import torch

from benchmarks.gpu import MARGIN, PARTS, has_failed, start_part
from benchmarks.gpu_speed import FULL
from benchmarks.gpu_table import table_of
from benchmarks.no_time import NO_TIME
from benchmarks.random_llama import plain_tokenizer, random_backbone, sharing_weights
from benchmarks.roofline import Roof, roof_of, sheet_of
from benchmarks.timing import Contender, seconds_until
from recbole_apa.adapters.bank import AdapterBank
from tests.helpers.engines import ADAPTERS


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


@pytest.mark.slow
def test_a_part_that_fails_or_is_ended_says_so(tmp_path):
    given = Namespace(out=tmp_path, threads=1, device="cpu", small=False)
    ended = start_part("step", given, 0.2)
    assert ended["status"] == "ended after 0 s" and "rows" not in ended
    failed = start_part("step", given, 120)
    assert failed["status"] == "failed: status 1" and "found no GPU, expected one" in failed["error"]
    assert has_failed({"step": failed}) and has_failed({"step": ended})
    assert not has_failed({"step": {"status": "done"}, "checks": {"status": "done", "rows": [{"status": "not run"}]}})
    for status in ("failed", NO_TIME):
        assert has_failed({"checks": {"status": "done", "rows": [{"status": status}]}})
    text = table_of({"commit": "", "small": False, "seconds": 1.0, "parts": {"step": failed}})
    assert "failed: status 1" in text and "found no GPU" in text


def test_the_table_holds_every_part_and_says_what_is_missing():
    one = {"ratio": 1.0, "ratio_low": 1.0, "ratio_high": 1.0, "seconds_per_sample": 0.5}
    passed = {"tokens_per_second": 278.0, "roofline_share": 0.25}
    done = {"status": "done", "seconds": 2.0, "peak_gpu_bytes": 3 << 20}
    parts = {
        "checks": {**done, "rows": [{"check": "int8", "status": "not run", "says": "no", "seconds": 0.1}]},
        "predictions": {
            **done,
            "tokens": 139,
            "n_weights": 6_500_000_000,
            "roof": Roof(989e12, 3.35e12, "data sheet", 700e12, 3e12).plain(),
            "rows": [
                {"k": 4, "batch": 1, "contenders": {"one adapter, all": {**one, **passed}}, "missing": {}},
                {"k": 64, "batch": 1, "contenders": {}, "missing": {"PEFT, all": NO_TIME}},
            ],
        },
        "step": {
            **done,
            "batch": 8,
            "tokens": 139,
            "contenders": {"all layers": {**one, "peak_bytes": 5 << 20}},
            "missing": {"frozen trunk": NO_TIME},
        },
        "request": {
            **done,
            "n_shards": 4,
            "train_samples": 256,
            "rows": [
                {"shards_hit": 1, "one_request_seconds": 2.0, "full_retraining_seconds": 8.0, "ratio": 4.0},
            ],
        },
    }
    machine = {"device": "NVIDIA H100 80GB HBM3", "driver": "570.1", "cuda": "12.8", "python": "3.12", "versions": {}}
    text = table_of({"commit": "abc", "small": False, "seconds": 8.0, "machine": machine, "parts": parts})
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    assert ["device", "NVIDIA H100 80GB HBM3"] in cells and ["checks", "done", "2", "3"] in cells
    assert ["int8", "not run", "no", "0.1"] in cells
    assert ["1", "one adapter, all", "1.00 (1.00-1.00); 278; 25.0 %", ""] in cells
    assert ["1", "PEFT, all", "", NO_TIME] in cells
    assert ["all layers", "4000.0", "1.00 (1.00-1.00)", "5"] in cells and ["frozen trunk", NO_TIME, "", ""] in cells
    assert ["1", "2.00", "8.00", "4.00"] in cells


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


@pytest.mark.slow
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
