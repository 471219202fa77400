"""Which GPUs a process sees is the scheduler's and the user's word, unless ``gpu_id`` is given."""

import os

import pytest
import torch

from recbole_apa import APAConfig, evaluate_run
from recbole_apa.core.system.devices import here
from recbole_apa.pipeline.workers.pool import WorkerPool
from recbole_apa.pipeline.workers.ray_actors import RayTeam

NAME = "CUDA_VISIBLE_DEVICES"


@pytest.fixture(params=["APA", "BPR"])
def model(request):
    return request.param


@pytest.mark.parametrize("visible", ["3", "", "1,2", "GPU-8f6a", None])
def test_what_the_environment_says_stays(model, visible, monkeypatch):
    if visible is None:
        monkeypatch.delenv(NAME, raising=False)
    else:
        monkeypatch.setenv(NAME, visible)
    config = APAConfig(model, "ml-100k")
    assert os.environ.get(NAME) == visible
    assert config["gpu_id"] == (visible or "")


def test_torch_is_asked_only_where_a_gpu_may_be_seen(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append(os.environ.get(NAME)) or True)
    monkeypatch.setenv(NAME, "3")
    assert APAConfig("APA", "ml-100k")["device"] == torch.device("cuda")
    assert set(asked) == {"3"}  # what CUDA reads at its start is never another number
    assert APAConfig("APA", "ml-100k", None, {"use_gpu": False})["device"] == torch.device("cpu")
    monkeypatch.setenv(NAME, "")
    assert APAConfig("APA", "ml-100k")["device"] == torch.device("cpu")


@pytest.mark.parametrize(("given", "expected"), [(5, "5"), ("0,1", "0,1"), ("", "")])
def test_a_given_gpu_id_wins(model, given, expected, monkeypatch):
    monkeypatch.setenv(NAME, "3")
    APAConfig(model, "ml-100k", None, {"gpu_id": given})
    assert os.environ[NAME] == expected


def test_a_run_of_another_machine_does_not_choose_the_gpus(monkeypatch):
    monkeypatch.setenv(NAME, "3")
    assert here({"gpu_id": "0", "seed": 1}) == {"seed": 1}
    assert here({"gpu_id": ""}) == {"gpu_id": ""}  # on a CPU, which decides what is computed
    monkeypatch.delenv(NAME)
    assert here({"gpu_id": "0"}) == {"gpu_id": "0"}


@pytest.mark.slow
def test_a_run_trained_with_gpu_id_is_opened_where_the_environment_says(finished, monkeypatch):
    manifest = finished.trainer.store.manifest()
    manifest["options"] = {**manifest["options"], "gpu_id": "7"}
    monkeypatch.setattr("recbole_apa.runs.store.RunStore.check", lambda store: manifest)
    monkeypatch.setenv(NAME, "")
    evaluate_run(finished.run_dir, {"variants": "chosen"})
    assert os.environ[NAME] == ""


def test_ray_gives_each_worker_its_gpus(options, monkeypatch):
    setups = []
    monkeypatch.setattr(RayTeam, "__init__", lambda team, setup, *others: setups.append(setup))
    monkeypatch.setenv(NAME, "0")
    config = APAConfig("APA", "board", None, {**options, "gpu_id": "0,1", "engine": "ray", "workers": 2})
    pool = WorkerPool(config)
    pool._samples = object()  # sent to nobody here
    pool._open()
    assert "gpu_id" not in setups[0].options and setups[0].options["workers"] == 2
