import pytest

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option_table import SETTING_KEYS
from recbole_apa.core.options import refuse_unknown, settings_from
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import parse_value, read_yaml
from recbole_apa.data.recbole_settings import read_settings
from recbole_apa.pipeline.config import APAConfig


def defaults(**changes):
    values = read_yaml(properties_folder() / "model" / "APA.yaml")
    return {**values, "history_length": values["MAX_ITEM_LIST_LENGTH"], "max_grad_norm": 1.0, **changes}


def test_every_setting_has_a_default_in_the_model_yaml():
    assert set(defaults()) >= SETTING_KEYS
    assert settings_from(defaults()).flat()["lora_rank"] == 8


def test_missing_and_mistyped_options_are_reported_together():
    values = defaults(lora_rank="many")
    del values["lora_alpha"]
    with pytest.raises(SettingsError) as error:
        settings_from(values)
    assert "lora_rank: found 'many', expected a whole number" in str(error.value)
    assert "lora_alpha: missing" in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_shards": None}, "give exactly one"),
        ({"shard_size": 256}, "give exactly one"),
        ({"dtype": "int8"}, "expected one of auto"),
        ({"lora_dropout": 1.0}, "lora_dropout < 1"),
        ({"loraplus_lr_ratio": 0.0}, "loraplus_lr_ratio: found 0.0, expected more than 0"),
        ({"target_modules": []}, "at least one name"),
        ({"tau": "best"}, r"expected a number \(at least 0\), or auto"),
        ({"tau": -1}, "at least 0"),
        ({"learning_rate": 0.0}, "more than 0"),
        ({"trust_remote_code": 1}, "true or false"),
        ({"template": "custom"}, "go together"),
        ({"seed": "x"}, "whole number"),
    ],
)
def test_values_out_of_range_are_refused(change, says):
    with pytest.raises(SettingsError, match=says):
        settings_from(defaults(**change))


def test_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(SettingsError, match="unknown option 'n_shard'; did you mean 'n_shards'"):
        APAConfig("APA", "ml-100k", config_dict={"n_shard": 3})


def test_unknown_option_in_a_file_is_refused_too(tmp_path):
    (tmp_path / "mine.yaml").write_text("learning_rat: 0.1\n")
    with pytest.raises(SettingsError, match="did you mean 'learning_rate'"):
        APAConfig("APA", "ml-100k", [str(tmp_path / "mine.yaml")])


def test_values_are_never_evaluated(tmp_path):
    marker = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    config = APAConfig("APA", "ml-100k", config_dict={"checkpoint_dir": code})
    assert config["checkpoint_dir"] == code
    assert parse_value("os.getcwd()") == "os.getcwd()"
    assert parse_value("1-2") == "1-2"
    assert not marker.exists()


def test_yaml_cannot_make_python_objects(tmp_path):
    (tmp_path / "evil.yaml").write_text("seed: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(SettingsError, match="cannot read options"):
        APAConfig("APA", "ml-100k", [str(tmp_path / "evil.yaml")])


def test_precedence_dict_over_file_over_protocol_over_dataset_over_model(tmp_path):
    (tmp_path / "mine.yaml").write_text("test_samples: 77\nvalid_samples: 66\n")
    config = APAConfig("APA", "ml-100k", [str(tmp_path / "mine.yaml")], {"protocol": "tallrec", "valid_samples": 55})
    samples = read_settings(config).samples
    assert (samples.valid_samples, samples.test_samples) == (55, 77)
    assert (samples.train_samples, samples.min_history) == (1024, 10)
    assert samples.item_text == "{movie_title} ({release_year})"
    assert APAConfig("APA", "ml-100k")["protocol"] == "recbole"


def test_numbers_in_scientific_notation_are_numbers():
    assert parse_value("1e-3") == pytest.approx(0.001)
    assert parse_value("[q_proj, v_proj]") == ["q_proj", "v_proj"]
    assert parse_value("None") is None
    assert parse_value("null") is None
    assert parse_value("True") is True


def test_every_yaml_names_its_purpose_and_the_line_that_runs_it():
    files = sorted(properties_folder().rglob("*.yaml"))
    assert len(files) >= 5
    for path in files:
        head = path.read_text().split("\n\n")[0]
        assert head.startswith("#") and "python run_recbole_apa.py" in head, path
        assert read_yaml(path), path


def test_what_is_not_offered_is_refused_with_its_reason():
    with pytest.raises(SettingsError, match="use_dora: DoRA divides by the norm of the merged weight"):
        refuse_unknown(["use_dora", "n_shards"], ["n_shards"])
