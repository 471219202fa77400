"""The page, the YAML of defaults and the options say the same."""

import re

from recbole_apa.core.option import field_docs
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml
from recbole_apa.next_item.options import LENGTH, OWN, read_settings
from recbole_apa.next_item.settings import NextItemSettings
from tests.helpers.places import ROOT


def test_the_page_has_every_option_with_its_docstring():
    page = (ROOT / "docs" / "next-items.md").read_text(encoding="utf-8")
    table = page.split("| option | meaning |\n|---|---|\n")[1].split("\n\n")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.M))
    own = {
        LENGTH if k == "history_length" else k: v.replace("``", "`") for k, v in field_docs(NextItemSettings).items()
    }
    assert told == own


def test_every_option_has_a_default():
    defaults = read_yaml(properties_folder() / "model" / "APANext.yaml")
    assert set(defaults) == OWN
    settings = read_settings({}).plain()
    assert {**{k: v for k, v in defaults.items() if k != LENGTH}, "history_length": defaults[LENGTH]} == settings


def test_texts_of_a_dataset_are_options():
    files = sorted((properties_folder() / "next_item").glob("*.yaml"))
    assert len(files) >= 2 and all(set(read_yaml(file)) == {"item_text"} for file in files)
