"""``evidence`` as a list: what it stands for, and which models are refused."""

import pytest

from recbole_apa.cli.arguments import parse_arguments
from recbole_apa.core.errors import SettingsError
from recbole_apa.data.recbole_settings import read_settings
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.idle_options import idle_options


def settled(options, **changes):
    config = APAConfig("APA", "board", None, {**options, **changes})
    return config["evidence"], config["evidence_models"]


def test_a_list_stands_for_two_options(options):
    assert settled(options, evidence=["counts", "DeepFM", "FM"]) == ("counts", ["DeepFM", "FM"])
    assert settled(options, evidence=["counts"]) == settled(options) == ("counts", [])
    assert settled(options, evidence="counts", evidence_models=["FM"]) == ("counts", ["FM"])
    assert settled(options, evidence=["auto", "FM"]) == ("counts", ["FM"])
    assert parse_arguments(["--evidence=[counts, DeepFM]"])["evidence"] == ["counts", "DeepFM"]
    assert parse_arguments(["--evidence=none"])["evidence"] == "none"


@pytest.mark.parametrize(
    "given, says",
    [
        ({"evidence": ["FM"]}, r"found \['FM'\], expected counts, none, auto, or a list that begins with counts"),
        ({"evidence": []}, r"evidence: found \[\]"),
        ({"evidence": ["none", "FM"]}, "a list that begins with counts"),
        ({"evidence": ["counts", "DeepFN"]}, "did you mean 'DeepFM'"),
        (
            {"evidence": ["counts", "SASRec"]},
            "found the model SASRec, expected one of RecBole's context-aware or general",
        ),
        ({"evidence": ["counts", "KGAT"]}, "found the model KGAT, expected"),
        ({"evidence": ["counts", "ItemKNN"]}, "found the model ItemKNN, expected"),
        ({"evidence": ["counts", "FM", "FM"]}, "found FM more than once"),
        ({"evidence": ["counts", 3]}, "evidence_models: found"),
        ({"evidence": ["counts", "FM"], "evidence_models": ["BPR"]}, "expected models in one of the two"),
        (
            {"evidence": ["counts", "FM"], "valid_samples": 0},
            r"found \[counts, FM\], expected none or auto without models: valid_samples",
        ),
        ({"evidence": ["auto", "FM"], "valid_samples": 0}, r"found \[auto, FM\], .* auto without models: valid"),
    ],
)
def test_other_lists_are_refused(given, says, options):
    with pytest.raises(SettingsError, match=says):
        settled(options, **given)


def test_models_without_statistics_are_said_to_do_nothing(options):
    config = APAConfig("APA", "board", None, {**options, "evidence": "none", "evidence_models": ["FM"]})
    assert "evidence_models" in idle_options(config) and not read_settings(config).collaborative.models
