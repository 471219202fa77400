"""Fixtures of the tests of what the repository holds beside the package."""

import sys

import pytest

from recbole_apa.adapters import ADAPTER_KINDS, WEIGHT_RULES
from recbole_apa.backbone import FAMILIES
from recbole_apa.evaluation.measures import FORGETTING_MEASURES, SCORE_MEASURES
from recbole_apa.partition import PARTITIONERS
from recbole_apa.unlearning.approximate import APPROXIMATE_METHODS
from tests.helpers.plugins import PAGE, files_of

REGISTRIES = (
    PARTITIONERS,
    WEIGHT_RULES,
    ADAPTER_KINDS,
    FAMILIES,
    FORGETTING_MEASURES,
    SCORE_MEASURES,
    APPROXIMATE_METHODS,
)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Writes files of the page into a folder that Python finds; what they register is gone afterwards."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def write(name):
        (folder / f"{name}.py").write_text(files_of(PAGE)[name], encoding="utf-8")
        return name

    yield write
    for registry in REGISTRIES:
        for name in registry.from_outside():
            registry.remove(name)
    for file in folder.glob("*.py"):
        sys.modules.pop(file.stem, None)
