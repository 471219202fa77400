"""A training that cannot be carried out is refused as early as that can be known, and leaves nothing behind."""

from dataclasses import replace

import pytest

from recbole_apa.core.errors import DataError, SettingsError
from recbole_apa.next_item.options import read_options
from recbole_apa.next_item.run import opened, refusals, train
from recbole_apa.next_item.run.train import run_next_items
from tests.helpers.inside import inside
from tests.helpers.runs import tree

TITLES = {"adapters": "titles", "adapter_layers": 1}


@pytest.fixture
def refused(next_options, tmp_path, monkeypatch):
    """Assert that options are refused, and that no backbone was loaded and nothing written."""
    monkeypatch.setattr(opened, "load_backbone", None)

    def assert_refused(error, words, **more):
        with inside(tmp_path), pytest.raises(error, match=words):
            config = {**next_options, "checkpoint_dir": "saved", "log_dir": "log", **more}
            run_next_items("chains", config_dict=config, run_dir=tmp_path / "run")
        assert [name for name in tree(tmp_path) if not name.startswith("log/")] == []
        assert not (tmp_path / "run").exists()

    return assert_refused


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({**TITLES, "adapters": "codes", "code_size": 4000}, "found 3 and 4000, which take 16000 tokens .* has 72"),
        ({**TITLES, "adapter_layers": 99}, "adapter_layers: found 99, the backbone has 4 layers"),
        ({**TITLES, "adapter_layers": 4, "draft_objective": "tvd"}, "there is no exit below them"),
    ],
    ids=["code_size", "adapter_layers", "no exit"],
)
def test_what_the_backbone_cannot_do_is_refused_before_the_data_is_read(refused, monkeypatch, more, words):
    monkeypatch.setattr(train, "read_next_data", None)
    refused(SettingsError, words, **more)


def test_a_device_that_trains_no_adapters_is_refused(next_options, work_folder):
    with inside(work_folder):
        options = read_options("chains", given={**next_options, **TITLES})
    with pytest.raises(SettingsError, match="--device=cpu"):
        refusals.refuse_options(replace(options, device="cuda"))
    refusals.refuse_options(replace(options, device="cuda", settings=replace(options.settings, adapters="none")))


def test_what_the_data_does_not_have_is_refused_before_the_backbone_is_loaded(refused, chains, monkeypatch):
    refused(SettingsError, "topk: found 19", topk=[19])
    refused(DataError, "no training row is left", val_interval={"timestamp": "[200,203)"})
    monkeypatch.setattr("recbole_apa.next_item.fit.MOST_ITEMS", 5)
    refused(SettingsError, "expected at most 5 items")
