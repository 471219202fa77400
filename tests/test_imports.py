"""Imports point one way (README, Architecture)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "recbole_apa"

# a module may import from its own rank or a lower one
RANKS = [
    {"errors", "seeding", "properties_folder", "terminable", "modes", "file_locks", "surroundings"},
    {
        "settings",
        "cache",
        "files",
        "line_endings",
        "progress",
        "capacity",
        "devices",
        "idle_options",
        "recbole_evaluator",
        "outside",
        "intervals",
        "keys",
        "machine_kind",
        "repeatable",
        "streams",
        "board",
        "plain_files",
        "tensor_files",
        "manifest",
    },
    {"options", "yaml_options"},
    {"recbole_checks", "eval_checks", "option_names", "pickles", "run_log"},
    {"recbole_settings", "manifest_options"},
    {"partition", "adapters", "data"},
    {"compat"},
    {"backbone", "approximate", "storage"},
    {"model", "run_files", "run_identity", "run_store", "pinned_run", "ledger", "run_lock", "run_place"},
    {"shard_trainer", "former_state", "frozen_states", "log_places"},
    {"fitting"},
    {"trainer"},
    {"evaluation"},
    {"comparison_record"},
    {"report"},
    {"recbole_bridge"},
    {"recbole_programs"},
    {"assembly", "baselines"},
    {"collaborative_model"},
    {"workers"},
    {"make_trainer"},
    {"evaluation_stage"},
    {"unlearning"},
    {"tuning"},
    {"methods"},
    {"quick_start", "comparison", "experiment"},
    {"forgetting", "capacity_stage"},
    {"cli", "cli_keys", "cli_stage", "cli_tune", "cli_usage"},
    {"__main__"},
]
MAY_IMPORT_RECBOLE = {
    "compat/release.py",
    "data/dataset.py",
    "data/load.py",
    "data/old_reading.py",
    "data/recbole_tables.py",
    "eval_checks.py",
    "recbole_evaluator.py",
    "evaluation/ranking.py",
    "data/dataloader.py",
    "fitting.py",
    "model.py",
    "progress.py",
    "log_places.py",
    "run_log.py",
    "run_place.py",
    "trainer.py",
    "recbole_bridge.py",
    "assembly.py",
    "baselines.py",
    "tuning/study.py",
}
MAY_IMPORT_TRANSFORMERS = {
    "backbone/wheel.py",
    "backbone/load.py",
    "backbone/quantization.py",
    "backbone/shared_prefix.py",
}


def rank(module):
    part = module.split(".")[1] if "." in module else module
    return next(i for i, names in enumerate(RANKS) if part in names)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


FILES = [p for p in sorted(PACKAGE.rglob("*.py")) if p.name != "__init__.py" or p.parent != PACKAGE]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    relative = str(path.relative_to(PACKAGE))
    own = rank("recbole_apa." + relative.removesuffix(".py").split("/")[0])
    found = set(imports(path))
    for name in found:
        if name.startswith("recbole_apa."):
            lazy = relative == "recbole_bridge.py"  # register() names the classes it registers
            assert lazy or rank(name) <= own, f"{relative} imports {name}"
    roots = {name.split(".")[0] for name in found}
    assert "recbole" not in roots or relative in MAY_IMPORT_RECBOLE
    assert "transformers" not in roots or relative in MAY_IMPORT_TRANSFORMERS
    if relative.startswith(("partition/", "adapters/", "approximate/")):
        assert not roots & {"recbole", "transformers"}


def test_no_file_or_function_is_long():
    for path in FILES:
        text = path.read_text()
        assert text.count("\n") <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 60, f"{path}: {node.name}"


def test_the_package_is_light_to_import():
    code = "import sys, recbole_apa; print(sorted({'torch', 'recbole', 'transformers', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


def test_all_is_sorted_and_importable():
    import recbole_apa

    assert sorted(recbole_apa.__all__) == recbole_apa.__all__
    assert all(hasattr(recbole_apa, name) for name in recbole_apa.__all__)
    with pytest.raises(AttributeError, match="no attribute 'APPA'"):
        recbole_apa.APPA  # noqa: B018


def test_every_package_is_installed():
    from configparser import ConfigParser

    config = ConfigParser()
    config.read(PACKAGE.parent / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    folders = {p.parent for p in PACKAGE.rglob("*.py")} | {
        p.parent for p in (PACKAGE.parent / "properties").rglob("*.yaml")
    }
    root = PACKAGE.parent
    names = {str(f.relative_to(root)).replace("/", ".") for f in folders}
    expected = {"recbole_apa." + n if n.startswith("properties") else n for n in names} | {"recbole_apa.properties"}
    assert listed == expected
