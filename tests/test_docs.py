"""What the documentation names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_test_that_a_page_names_is_there(page):
    for file, name in re.findall(r"`(tests/test_\w+\.py)::(test_\w+)`", page.read_text(encoding="utf-8")):
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), (file, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_file_that_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:recbole_apa|tests|benchmarks|docs|properties)/[\w/.-]+)`", text)
    named += re.findall(r"\]\((docs/[\w/.-]+)\)", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_the_threat_model_names_tests_for_what_it_says():
    assert (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8").count("::test_") > 20
