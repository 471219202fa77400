"""What is registered is checked when it is registered; an unknown name is refused with the nearest."""

import pytest

from recbole_apa.adapters import LoRA, register_adapter_kind
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.registry import Registry
from recbole_apa.evaluation.measures import FORGETTING_MEASURES, ForgettingMeasure, register_measure
from recbole_apa.partition import PARTITIONERS, Partitioner, register_partition
from recbole_apa.unlearning.approximate import APPROXIMATE_METHODS, LossMethod, register_approximate_method
from tests.helpers.partitions import partition_class


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"name": "semantic"}, r"'semantic' is taken by recbole_apa.partition.semantic.SemanticPartitioner"),
        ({"name": "a+b"}, "expected a letter, then letters"),
        ({"name": "yes"}, "not a word that YAML reads as something else"),
        ({"name": None}, "found name = None, expected a class attribute of type str"),
        ({"takes_capacity": None}, "found takes_capacity = None, expected a class attribute of type bool"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused_when_it_is_registered(attributes, says):
    before = list(PARTITIONERS)
    with pytest.raises(SettingsError, match=says):
        register_partition(partition_class(**attributes))
    assert list(PARTITIONERS) == before


def test_a_class_of_another_kind_or_without_its_method_is_refused():
    with pytest.raises(SettingsError, match=r"expected a subclass of recbole_apa.partition.partitioner.Partitioner"):
        register_partition(int)
    with pytest.raises(SettingsError, match="Unfinished does not define __call__"):
        register_partition(type("Unfinished", (Partitioner,), {"name": "mine", "takes_capacity": True}))


def test_only_what_came_from_outside_can_be_taken_away():
    with pytest.raises(SettingsError, match="'random' is the package's own"):
        PARTITIONERS.remove("random")
    assert "random" in PARTITIONERS and not PARTITIONERS.from_outside()


def test_an_unknown_name_is_refused_with_the_nearest():
    registry: Registry[int] = Registry("thing")
    registry.add("first", int)
    with pytest.raises(SettingsError, match=r"thing: found 'frist', expected one of first; did you mean 'first'"):
        registry.find("frist")
    with pytest.raises(SettingsError, match=r"found 3, expected one of first$"):
        registry.find(3)


def test_a_method_without_options_to_replace_or_a_measure_without_a_format_is_refused():
    with pytest.raises(SettingsError, match="Bare is not a dataclass"):
        register_approximate_method(type("Bare", (LossMethod,), {"name": "Bare", "__call__": lambda *all: None}))
    given = {"name": "odd", "title": "odd", "format": "much", "__call__": lambda *all: None}
    with pytest.raises(SettingsError, match="found format = 'much'"):
        register_measure(type("Odd", (ForgettingMeasure,), given))
    assert "odd" not in FORGETTING_MEASURES and "Bare" not in APPROXIMATE_METHODS


def test_a_kind_whose_files_look_like_anothers_has_to_read_them_alike():
    class Reversed(LoRA):
        name = "reversed"

        def from_peft(self, parts):
            return parts[::-1]

    with pytest.raises(SettingsError, match="like lora's; expected the from_peft of LoRA"):
        register_adapter_kind(Reversed)
