"""The package's layout. Which room may import which is declared in ``pyproject.toml``; ``lint-imports`` checks it."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

PACKAGE = ROOT / "recbole_apa"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted(str(p.parent.relative_to(PACKAGE.parent)).replace("/", ".") for p in PACKAGE.rglob("*/__init__.py"))


FRONT = {"unlearn", "add", "tune", "compare", "compare_forgetting", "forget_next_items"}
"""What users call with named options: each option is an argument."""


def test_no_file_is_long():
    for folder in (PACKAGE, ROOT / "tests", ROOT / "benchmarks"):
        files = sorted(folder.rglob("*.py"))
        assert len(files) > 50, folder
        for path in files:
            assert path.read_text(encoding="utf-8").count("\n") <= 300, path


def test_no_function_or_list_of_parameters_is_long():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"
                given = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                n = len(set(given) - {"self", "cls"})
                assert n <= 6 or node.name in FRONT, f"{path}: {node.name} takes {n}"


def test_the_package_is_light_to_import():
    code = "import sys, recbole_apa; print(sorted({'torch', 'recbole', 'transformers', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


HEAVY = {"torch", "recbole", "transformers", "peft", "safetensors", "sklearn", "scipy", "pandas", "plotly"}
WITHOUT_NUMPY = """
    core core.files core.system core.progress core.seeding evidence evidence.key_ring partition partition.Partition
    partition.partition_problems unlearning.approximate.known
"""
WITHOUT_ARROW = """
    runs.store runs.RunStore runs.log runs.remote runs.trunk_activations unlearning.requests
    unlearning.requests.columns unlearning.requests.ids unlearning.requests.index
    unlearning.requests.lookup unlearning.requests.scopes cli.main cli.forget cli.add cli.prove runs.ledger.Ledger
    runs.reuse data.samples data.draw data.splits data.dataset_digest data.visible_data data.VisibleData
    data.recbole_split data.recbole_settings data.index.rows evidence.search model.lineage pipeline.plugins
    pipeline.option_names unlearning.plan.make_plan
"""
WITH_BOTH = """
    data.filters data.reader data.run_data data.index.read pipeline.build pipeline.indexed_run unlearning.stage
    unlearning.unlearn unlearning.texts unlearning.proof.quick unlearning.audit
"""
LIGHT = {
    f"recbole_apa.{name}": also | HEAVY
    for names, also in ((WITHOUT_NUMPY, {"numpy", "pyarrow"}), (WITHOUT_ARROW, {"pyarrow"}), (WITH_BOTH, set()))
    for name in names.split()
}
"""Module, or name in one -> what its import must not load: a command that needs nothing heavy has to start at once.
What was loaded stays loaded, so those that may load more come later."""


def test_what_needs_no_heavy_package_does_not_load_it():
    code = (
        "import sys; from pkgutil import resolve_name; known, *names = sys.argv[1:]\n"
        "for name in names: resolve_name(name); print(name, *(set(known.split()) & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, " ".join(set().union(*LIGHT.values())), *LIGHT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    loaded = {name: set(found) for name, *found in map(str.split, done.stdout.splitlines())}
    assert loaded.keys() == LIGHT.keys()
    assert {name: found & LIGHT[name] for name, found in loaded.items() if found & LIGHT[name]} == {}


def test_all_is_sorted_and_importable():
    import recbole_apa

    assert sorted(recbole_apa.__all__) == recbole_apa.__all__
    assert all(hasattr(recbole_apa, name) for name in recbole_apa.__all__)
    with pytest.raises(AttributeError, match="no attribute 'APPA'"):
        recbole_apa.APPA  # noqa: B018


def test_the_root_holds_its_front_doors_alone():
    assert {p.name for p in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_front_door_says_what_the_room_is_for_and_names_what_it_hands_out(room):
    door = import_module(room)
    assert door.__doc__ and door.__doc__.strip().split("\n")[0].endswith((".", "?"))
    names = list(getattr(door, "__all__", []))
    assert all(hasattr(door, name) for name in names)
    # else `from room import name` gives the module, or the name, by what was imported before
    inside = {p.stem for p in Path(door.__file__).parent.iterdir()}
    assert not inside & set(names)


def test_every_package_is_installed():
    code = "import setuptools; setuptools.setup = lambda **how: print(*how['packages']); import setup"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    listed = set(done.stdout.split())
    root = PACKAGE.parent
    folders = {p.parent for p in FILES} | {p.parent for p in (root / "properties").rglob("*.yaml")}
    names = {str(f.relative_to(root)).replace("/", ".") for f in folders}
    expected = {"recbole_apa." + n if n.startswith("properties") else n for n in names} | {"recbole_apa.properties"}
    assert listed == expected


def test_no_test_imports_from_another_and_all_lie_in_folders_of_the_packages_names():
    """What several need lies in ``tests/helpers``."""
    tests = ROOT / "tests"
    assert not list(tests.glob("test_*.py"))
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert {path.parent.name for path in tests.glob("*/test_*.py")} <= {*rooms, "repository"}
    for path in [*tests.glob("*.py"), *tests.glob("*/*.py")]:
        taken = re.findall(r"(?:from|import) (tests[\w.]*) ?(?:import (\w+))?", path.read_text(encoding="utf-8"))
        for module, name in taken:
            assert (module + "." + name).startswith("tests.helpers"), (path, module, name)
