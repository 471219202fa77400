"""The options of a run's data as plain values: from RecBole's configuration, to JSON and back."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa import APAConfig
from recbole_apa.core.errors import DataError, SettingsError
from recbole_apa.core.settings import SampleSettings
from recbole_apa.data.data_options import DataOptions, FileOptions, LabelRule
from recbole_apa.data.filters import FilterSettings
from recbole_apa.data.recbole_data_options import data_options
from recbole_apa.data.recbole_settings import read_settings
from recbole_apa.data.recbole_split import SplitSettings
from tests.helpers.chance_data import drawn_by_chance

NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6)
SAMPLES = SampleSettings("recbole", 10, 1, 1024, None, 500, "{title} ({year})")
PLAIN = DataOptions(
    FileOptions("user_id", "item_id", "timestamp", ("user_id", "item_id"), ("label", "timestamp", "rating")),
    LabelRule("rating", 4),
    FilterSettings("user_id", "item_id", "timestamp"),
    SplitSettings("TO", "RS", [0.8, 0.1, 0.1], True, 2020),
    SAMPLES,
)


def options_of(options, folder):
    config = APAConfig("APA", "some", config_dict={**options, "data_path": str(folder)})
    return data_options(config, read_settings(config).samples)


def read_again(told):
    return DataOptions.from_json(json.loads(json.dumps(told.to_json(), allow_nan=False)))


@pytest.mark.parametrize("seed", range(40))
def test_options_of_a_configuration_are_the_same_after_json(seed, options, tmp_path):
    _, _, changes = drawn_by_chance(random.Random(seed))
    made = options_of({**options, **changes}, tmp_path)
    assert read_again(made) == made
    assert made.files.presplit == (("train", "valid", "test") if changes["benchmark_filename"] else None)
    assert (made.split is None) == (changes["protocol"] == "tallrec" or bool(changes["benchmark_filename"]))


@given(
    columns=st.lists(NAMES, min_size=3, max_size=3, unique=True),
    load=st.none() | st.dictionaries(st.sampled_from(["inter", "item", "user"]), st.just("*") | st.lists(NAMES)),
    values=st.dictionaries(NAMES, st.just("[1,5]") | st.lists(NAMES), max_size=3),
    least=st.integers(-5, 5) | st.floats(-5, 5),
    presplit=st.none() | st.tuples(NAMES, NAMES, NAMES),
    time=st.none() | NAMES,
)
@settings(max_examples=50, deadline=None)
def test_any_options_are_the_same_after_json(columns, load, values, least, presplit, time):
    user, item, label = columns
    files = FileOptions(user, item, time, (user, item), (label,), load, None, ",", "latin-1", presplit, "|", {user: 3})
    filters = FilterSettings(user, item, time, "last", values, False, "[2,inf)", None)
    made = DataOptions(files, LabelRule(label, least), filters, None if presplit else PLAIN.split, SAMPLES)
    assert read_again(made) == made


def test_what_yaml_reads_as_numbers_stays_a_text(options, tmp_path):
    made = options_of({**options, "val_interval": {"item_id": [1, 2.5, True], "rating": "[1,5]"}}, tmp_path)
    assert made.filters.values == {"item_id": ["1", "2.5", "True"], "rating": "[1,5]"}


def test_columns_are_recboles(tmp_path):
    files = replace(PLAIN.files, load={"inter": ["user_id"], "item": "*"})
    assert files.columns("inter") == ({"user_id"}, set())
    assert files.columns("item") == (None, set())
    assert files.columns("user") == (set(), set())
    assert replace(files, load=None, unload={"item": ["year"]}).columns("item") == (None, {"year"})
    with pytest.raises(DataError, match=r"load_col \['user_id'\] and unload_col \['rating'\] are both set for .inter"):
        replace(files, unload={"inter": ["rating"]}).columns("inter")


def test_presplit_files_need_recboles_protocol(options, tmp_path):
    with pytest.raises(SettingsError, match="already split; expected protocol: recbole"):
        options_of({**options, "benchmark_filename": ["a", "b", "c"], "protocol": "tallrec"}, tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: told.pop("split"), "expected files, filters, label, samples, split"),
        (lambda told: told.update(more=1), "found files, filters, label, more, samples, split"),
        (lambda told: told["files"].pop("ids"), "expected encoding, ids, item"),
        (lambda told: told["files"].update(user=3), "found 3, expected a text for user"),
        (lambda told: told["files"].update(ids="user_id"), "found 'user_id', expected a list of names for ids"),
        (lambda told: told["label"].update(least="4"), "found '4', expected a number for the threshold"),
        (lambda told: told["label"].update(least=True), "found True, expected a number for the threshold"),
        (lambda told: told.update(filters=[]), "found no object"),
        (lambda told: told["samples"].update(min_history=0), "min_history"),
        (lambda told: told["samples"].update(min_history="1"), "min_history: found '1'"),
        (lambda told: told["split"].update(mode="XS"), "eval_args.split: found {'XS'"),
        (lambda told: told["split"].update(value=[0.8, 0.2]), "eval_args.split"),
        (lambda told: told["split"].update(by_user="yes"), "found 'yes', expected true or false"),
    ],
)
def test_other_json_is_refused(change, says):
    told = PLAIN.to_json()
    change(told)
    with pytest.raises((DataError, SettingsError), match=says):
        DataOptions.from_json(told)


def test_options_written_before_there_were_other_draws_mean_the_default_one():
    told = PLAIN.to_json()
    del told["samples"]["draw_seed"]
    assert DataOptions.from_json(told) == PLAIN
    told["samples"]["draw_seed"] = 3
    assert DataOptions.from_json(told).samples.draw_seed == 3


@pytest.mark.parametrize("told", [None, 3, "x", [], {}, {"files": None}])
def test_no_options_at_all_are_refused(told):
    with pytest.raises(DataError, match="the run's data options: found"):
        DataOptions.from_json(told)
