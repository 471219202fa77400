"""The checks of ``benchmarks.gpu``: on the CPU in small, on CUDA where there is one (``-m gpu``)."""

import subprocess
import sys

import pytest
import torch

from benchmarks.gpu_checks import CHECKS, NO_TIME, NotRun, Place, check_aggregation, check_shared_prefixes, run_checks
from recbole_apa.adapters.lora import StackedLoRALinear
from recbole_apa.backbone.shared_prefix import PartCache
from tests.helpers.places import ROOT

QUICK = [name for name in CHECKS if name.startswith(("aggregation", "shared prefixes"))]


@pytest.fixture(scope="module")
def cpu(tmp_path_factory):
    return Place(torch.device("cpu"), tmp_path_factory.mktemp("checks"), "tiny")


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK or n == "training" else pytest.mark.slow) for n in CHECKS]
)
def test_the_check_holds_on_a_cpu(name, cpu):
    assert CHECKS[name](cpu)


@pytest.mark.gpu
@pytest.mark.parametrize("name", CHECKS)
def test_the_check_holds_on_cuda(name, tmp_path):
    try:
        assert CHECKS[name](Place(torch.device("cuda"), tmp_path))
    except NotRun as reason:
        pytest.skip(str(reason))


def test_a_device_that_merges_otherwise_is_found(cpu, monkeypatch):
    merge, calls = StackedLoRALinear._merged_delta, []

    def faulty(layer, x, weights):
        calls.append(layer)
        return merge(layer, x, weights) * (1.05 if len(calls) <= 2 * 2 * 12 else 1.0)  # the first of the two engines

    monkeypatch.setattr(StackedLoRALinear, "_merged_delta", faulty)
    with pytest.raises(AssertionError, match="scores differ by"):
        check_aggregation(cpu)


def test_wrong_keys_of_a_beginning_are_found(cpu, monkeypatch):
    update = PartCache.update

    def faulty(cache, keys, values, *given, **named):
        keys, values = update(cache, keys, values, *given, **named)
        return keys * 1.1, values

    monkeypatch.setattr("recbole_apa.backbone.engine.check_split", lambda *given: None)  # finds it as well
    monkeypatch.setattr(PartCache, "update", faulty)
    with pytest.raises(AssertionError, match=r"differ by"):
        check_shared_prefixes(cpu)


@pytest.mark.parametrize("name", ["int8", "nf4"])
def test_without_bitsandbytes_fewer_bits_are_not_run(name, cpu, monkeypatch):
    monkeypatch.setattr("benchmarks.gpu_checks.find_spec", lambda package: None)
    with pytest.raises(NotRun, match="not run: bitsandbytes is not installed"):
        CHECKS[name](cpu)


def test_a_check_that_fails_stops_no_other_and_the_clock_does(cpu, monkeypatch):
    def broken(place):
        raise RuntimeError("CUDA error: device-side assert")

    def absent(place):
        raise NotRun("not run: bitsandbytes is not installed")

    for name in list(CHECKS):
        monkeypatch.delitem(CHECKS, name)
    clock = iter([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 60.0])
    monkeypatch.setattr("benchmarks.gpu_checks.time.perf_counter", lambda: next(clock))
    for name, check in {"a": broken, "b": absent, "c": lambda place: "fine", "d": broken}.items():
        monkeypatch.setitem(CHECKS, name, check)
    saved = []
    rows = run_checks(cpu, 50.0, lambda found: saved.append(len(found)))
    assert [r["status"] for r in rows] == ["failed", "not run", "passed", NO_TIME]
    assert rows[0]["says"] == "RuntimeError: CUDA error: device-side assert" and saved == [1, 2, 3]


@pytest.mark.slow
def test_no_tensor_is_left_behind_when_the_model_lies_on_another_device():
    """By fake tensors, which know their device; a process of its own."""
    pytest.importorskip("torch.utils.backend_registration")
    if not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch has no stand-in for a device")
    root = ROOT
    command = [sys.executable, "-W", "ignore", "-m", "tests.second_device"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=900)
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 8 and all(line.endswith(": done") for line in lines[:-1]), done.stdout + done.stderr[-2000:]
    assert lines[-1].startswith("mixes: FakeTensorDeviceMismatchError"), "two devices in one operation were not found"
