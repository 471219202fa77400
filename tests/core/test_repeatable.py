"""The same bits each time on CUDA: what is switched on for training, and what is left as it was. No GPU is needed."""

import os
import subprocess
import sys

import pytest
import torch

from recbole_apa.core.errors import TrainingError
from recbole_apa.core.seeding import derive_seed, drawn_for
from recbole_apa.core.system import deterministic as module
from recbole_apa.core.system.deterministic import OURS, WORKSPACE, repeatable
from recbole_apa.core.system.machine import machine_kind

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def modes():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )


@pytest.mark.parametrize("before", [(False, False), (True, True)])
def test_kernels_are_deterministic_inside_and_as_before_afterwards(before, monkeypatch):
    monkeypatch.setattr(module, "_multiplies", lambda device: True)
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    try:
        with pytest.raises(KeyError), repeatable(CUDA):
            assert modes() == (True, False, False)
            raise KeyError
        assert modes() == (*before, True)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("device", "wanted"), [(CPU, True), (CUDA, False)])
def test_nothing_is_switched_on_for_a_cpu_or_where_it_is_not_wanted(device, wanted):
    with repeatable(device, wanted):
        assert modes() == (False, False, True)


def test_where_cublas_was_started_otherwise_a_warning_says_so(monkeypatch, caplog):
    monkeypatch.setattr(module, "_multiplies", lambda device: False)
    monkeypatch.setenv(WORKSPACE, ":0:0")
    with repeatable(CUDA):
        assert modes()[0] is False
    assert f"found {WORKSPACE}=:0:0 when cuBLAS was initialized, expected {OURS}" in caplog.text
    assert modes() == (False, False, True)


def test_an_operation_without_such_a_kernel_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(module, "_multiplies", lambda device: True)
    says = "histc_cuda does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms"
    with pytest.raises(TrainingError, match=r"histc_cuda .*; set --reproducibility=False"), repeatable(CUDA):
        raise RuntimeError(says)
    with pytest.raises(RuntimeError, match=r"^another$"), repeatable(CUDA):
        raise RuntimeError("another")
    assert modes() == (False, False, True)


@pytest.mark.quick(1)
@pytest.mark.parametrize(("given", "found"), [(None, OURS), (":16:8", ":16:8")])
def test_the_package_sets_the_workspace_before_torch_is_loaded(given, found):
    environment = {k: v for k, v in os.environ.items() if k != WORKSPACE} | ({WORKSPACE: given} if given else {})
    code = f"import os, sys, recbole_apa; assert 'torch' not in sys.modules; print(os.environ[{WORKSPACE!r}])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found


def test_training_on_a_gpu_is_inside_it(finished, monkeypatch):
    entered = []
    monkeypatch.setattr(
        "recbole_apa.model.shard_trainer.repeatable", lambda device, wanted: entered.append(wanted) or repeatable(CPU)
    )
    batches = finished.data[0].shard([s.sample_id for s in finished.data[0]._dataset.samples[:4]], 4, 1)
    from recbole_apa.model.shard_trainer import ShardTrainer

    kept = [p.detach().clone() for p in finished.model.engine.bank.parameters()]
    n = finished.model.engine.bank.n_adapters
    try:
        finished.model.engine.bank.resize(1)
        ShardTrainer(finished.model, False).fit(0, 1, batches, lambda *given: None)
    finally:
        finished.model.engine.bank.resize(n)
        with torch.no_grad():
            for p, q in zip(finished.model.engine.bank.parameters(), kept, strict=True):
                p.copy_(q)
    assert entered == [True]


def test_a_machine_that_multiplies_coarsely_is_of_another_kind(monkeypatch):
    plain = machine_kind(CPU)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    coarse = machine_kind(CPU)
    assert coarse.instructions == f"{plain.instructions} float32_matmul=high" and not coarse.rounds_like(plain)


def test_another_workspace_is_another_kind_of_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setenv(WORKSPACE, OURS)
    assert machine_kind(CUDA).device == "NVIDIA H100, CUDA 12.8"
    monkeypatch.setenv(WORKSPACE, ":16:8")
    assert machine_kind(CUDA).device == f"NVIDIA H100, CUDA 12.8, {WORKSPACE}=:16:8"


def test_what_is_drawn_for_a_purpose_leaves_the_generator_as_it_was():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with drawn_for(1, "dropout", 2, 3):
        inside = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(derive_seed(1, "dropout", 2, 3))
    assert torch.equal(inside, torch.rand(4))


@pytest.mark.parametrize(("started", "asked"), [(False, []), (True, [0, 1])])
def test_gpus_that_were_not_used_are_not_asked(started, asked, monkeypatch):
    forked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: started)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    real = torch.random.fork_rng
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: forked.append(list(devices)) or real([]))
    with drawn_for(1, "x"):
        pass
    assert forked == [asked]
