"""What is registered is checked when it is registered; an unknown name is refused with the nearest."""

import sys
from types import ModuleType

import pytest

from recbole_apa.adapters import ADAPTER_KINDS, WEIGHT_RULES, LoRA, register_adapter_kind
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


@pytest.mark.parametrize("registry", [PARTITIONERS, ADAPTER_KINDS, WEIGHT_RULES, APPROXIMATE_METHODS])
def test_our_own_are_registered_by_the_modules_that_are_listed(registry):
    listed = list(registry)
    assert len(registry) == len(listed) == len(set(listed)) > 1
    assert all(registry[name].name == name for name in listed)
    # nothing of ours is registered without being listed
    assert list(registry) == listed and not registry.from_outside()


@pytest.fixture
def things(tmp_path, monkeypatch):
    """A registry with two of "the package's own", each in a module that nobody has imported."""
    registry: Registry[object] = Registry("thing", {"one": "own_one", "two": "own_two"})
    holder = ModuleType("holder_of_things")
    holder.registry = registry
    for name in ("one", "two"):
        text = f"from holder_of_things import registry\nclass Own: pass\nregistry.add({name!r}, Own)\n"
        (tmp_path / f"own_{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, f"own_{name}", raising=False)
    monkeypatch.setitem(sys.modules, "holder_of_things", holder)
    monkeypatch.syspath_prepend(tmp_path)
    yield registry
    for name in ("one", "two"):
        sys.modules.pop(f"own_{name}", None)


def test_a_name_of_ours_is_known_before_its_module_is_imported(things):
    assert list(things) == ["one", "two"] and len(things) == 2 and "two" in things
    assert things.problem("two") is None and "did you mean 'two'" in things.problem("tow")
    assert not {"own_one", "own_two"} & set(sys.modules)
    assert things.find("two").__module__ == "own_two" and "own_one" not in sys.modules


def test_the_order_of_ours_does_not_depend_on_what_is_imported_first(things):
    things.add("mine", int)
    assert things["two"].__module__ == "own_two"
    assert list(things) == ["one", "two", "mine"] and things["one"].__module__ == "own_one"


def test_a_name_of_ours_is_taken_before_its_module_is_imported(things):
    with pytest.raises(SettingsError, match=r"'one' is taken by own_one.Own; expected a name other than one, two$"):
        things.add("one", int)
    assert things["one"].__module__ == "own_one"
    with pytest.raises(SettingsError, match=r"'one' is taken by own_one.Own"):
        things.add("one", things["one"])


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
