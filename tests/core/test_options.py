"""The table of options, and what is held against it: the YAML of defaults, the page of options, the derived lists."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from recbole.config import Config

from docs.options import PAGE, page
from recbole_apa.comparison.row import deciding_options
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.execution import ExecutionSettings
from recbole_apa.core.option import Bounds, Says, field_docs
from recbole_apa.core.option_table import (
    ACTIVATION_KEYS,
    EXECUTION_KEYS,
    LATER_OPTIONS,
    OPTIONS,
    SETTING_KEYS,
    docs,
    text_keys,
)
from recbole_apa.core.options import execution_from, settings_from
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml
from recbole_apa.data.recbole_options import RECBOLE_OPTIONS
from recbole_apa.data.recbole_settings import FROM_RECBOLE, read_execution, read_settings
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.option_names import MOVABLE, NEVER_TAKEN, RUN_KEYS, TAKEN

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = read_yaml(properties_folder() / "model" / "APA.yaml")
RECBOLE = {name for names in Config("BPR", "ml-100k").parameters.values() for name in names}


def test_every_option_has_a_default_that_the_table_accepts():
    assert {FROM_RECBOLE.get(name, name) for name in OPTIONS} <= set(DEFAULTS)
    config = APAConfig("APA", "ml-100k")
    flat = read_settings(config).flat()
    of_dataset = {
        "item_text",
        "evidence_columns",
        "evidence_text",
        "evidence_values",
    }  # the dataset's own YAML names its columns
    assert (DEFAULTS["evidence"], flat["evidence"]) == ("auto", "counts")
    for name in SETTING_KEYS - set(FROM_RECBOLE) - of_dataset - {"evidence"}:
        assert flat[name] == DEFAULTS[name], name
    execution = read_execution(config)
    for name in EXECUTION_KEYS - {"device"}:  # settled by the machine
        default = tuple(DEFAULTS[name]) if isinstance(DEFAULTS[name], list) else DEFAULTS[name]
        assert getattr(execution, name, getattr(execution.placement, name, "?")) == default, name


def test_every_key_of_the_yaml_is_an_option_of_ours_or_of_recboles():
    assert set(DEFAULTS) <= set(OPTIONS) | RECBOLE | set(RECBOLE_OPTIONS) | {"threshold", "eval_args"}


def test_the_page_of_options_is_what_the_table_says():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m docs.options"


def test_every_option_says_what_it_does():
    assert not [name for name, text in docs().items() if not text.endswith(".") and not text.endswith(")")]


def test_a_docstring_under_a_field_is_found_in_one_line():
    assert field_docs(ExecutionSettings)["ray_cpus"] == "CPUs of the cluster that each worker reserves."
    assert "\n" not in field_docs(ExecutionSettings)["variants"] and field_docs(ExecutionSettings)["placement"] == ""


def test_an_option_that_came_later_is_not_named_while_it_changes_nothing():
    """Else kept rows, which do not name it, would be rows of something else."""
    assert LATER_OPTIONS["feedforward_modules"] == ["down_proj"]
    kept = {"lora_rank": 8, "seed": 1, "data_path": "x"}
    assert deciding_options({**kept, **LATER_OPTIONS}) == {"lora_rank": 8} == deciding_options(kept)
    assert "fused_shards" in deciding_options({**kept, "fused_shards": 2})


def test_what_says_where_is_in_no_manifest_and_decides_nothing():
    assert not EXECUTION_KEYS & TAKEN and not SETTING_KEYS & EXECUTION_KEYS
    assert {"workers", "key_file", "device_map"} <= RUN_KEYS and not RUN_KEYS & SETTING_KEYS
    assert {"log_dir", "keep_states", "learner", "checkpoint_dir"} <= NEVER_TAKEN
    assert {"backbone", "data_path", "workers"} <= MOVABLE and not {"lora_rank", "export_samples"} & MOVABLE


def test_the_lists_follow_the_fields():
    assert OPTIONS["dtype"].choices == ("auto", "float32", "bfloat16", "float16") and OPTIONS["dtype"].decides
    assert "dtype" in ACTIVATION_KEYS and "lora_rank" not in ACTIVATION_KEYS and not OPTIONS["workers"].decides
    assert {"dtype", "item_text", "log_dir"} <= text_keys() and not {"quantization", "ray_address"} & text_keys()
    assert Says.MAY_CHANGE in OPTIONS["backbone"].facts.says


def values(**changes):
    return {**DEFAULTS, "history_length": 10, "max_grad_norm": 1.0, **changes}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"engine": "spark"}, "engine: found 'spark', expected one of local, ray"),
        ({"workers": 0}, "workers: found 0, expected a whole number of at least 1"),
        ({"workers": True}, "workers: found True, expected a whole number of at least 1"),
        ({"ray_cpus": -1}, "ray_cpus: found -1.0, expected a number of at least 0"),
        ({"trunk_cache_gib": "much"}, "trunk_cache_gib: found 'much', expected a number of at least 0"),
        ({"keep_states": 1}, "keep_states: found 1, expected true, false or validation"),
        ({"variants": "most"}, "variants: found 'most', expected all, chosen or none"),
        ({"export_samples": 3}, "export_samples: found 3, expected a folder, or null"),
        ({"show_progress": "yes"}, "show_progress: found 'yes', expected true or false"),
        ({"gradient_checkpointing": 2}, "gradient_checkpointing: found 2, expected true or false"),
    ],
)
def test_where_and_how_is_checked_by_the_fields(change, says):
    with pytest.raises(SettingsError) as error:
        execution_from(values(**change))
    assert str(error.value) == says


def test_problems_of_several_groups_and_kinds_are_told_together():
    with pytest.raises(SettingsError) as error:
        settings_from(values(seed=-1, dtype="int8", lora_rank=0, warmup_ratio=2, lora_dropout=1.0, epochs="two"))
    told = str(error.value).split("; ")
    assert told[0] == "seed: found -1, expected a whole number from 0 to 4294967295"
    assert "warmup_ratio: found 2.0, expected 0 to 1" in told and len(told) == 6
    assert "lora_dropout: found 1.0, expected 0 <= lora_dropout < 1" in told


def test_a_settings_object_made_by_hand_is_checked_too():
    settings = settings_from(values()).training
    with pytest.raises(SettingsError, match="lr_schedule: found 'step', expected one of linear, cosine, constant"):
        replace(settings, lr_schedule="step")
    assert not Bounds(0, below=1).hold(1) and Bounds(above=0).hold(None) and not Bounds(above=0).hold(0)


def test_another_models_options_of_where_and_how_are_checked_as_well():
    with pytest.raises(SettingsError, match="show_progress: found 'yes', expected true or false"):
        APAConfig("BPR", "ml-100k", None, {"show_progress": "yes"})
    assert APAConfig("BPR", "ml-100k")["show_progress"] is True


def test_a_run_keeps_none_of_where_and_how(tmp_path):
    given = {"workers": 2, "log_dir": tmp_path, "variants": "none", "device_map": "auto", "lora_rank": 4}
    plain = APAConfig("APA", "ml-100k", None, given).plain_options()
    assert plain["lora_rank"] == 4 and not set(plain) & (EXECUTION_KEYS | {"run_dir"})
    assert json.loads(json.dumps(plain)) == plain
