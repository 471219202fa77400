"""The option ``plugins``: who may have a module imported, what a run says of its modules, and what is refused."""

import json
import shutil
import sys

import pytest

from recbole_apa import audit, evaluate_run, run
from recbole_apa.adapters import WEIGHT_RULES
from recbole_apa.backbone import FAMILIES
from recbole_apa.cli.main import main
from recbole_apa.core.errors import MissingPluginError, RunError, SettingsError
from recbole_apa.partition import PARTITIONERS
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.plugins import import_plugins, modules_for_workers
from recbole_apa.runs.store import RunStore


def test_a_run_that_does_not_say_its_modules_still_points_at_the_option(finished, tmp_path, capsys):
    shutil.copytree(finished.run_dir, tmp_path / "run")
    store = RunStore(tmp_path / "run")
    manifest = store.manifest()
    assert "registered_by" not in manifest
    store.write_manifest({**manifest, "options": {**manifest["options"], "partition": "by_norm"}})
    with pytest.raises(MissingPluginError, match="may come from a module of the option plugins: if so, give --plugins"):
        audit(tmp_path / "run")
    assert main([f"--run={tmp_path / 'run'}", "--audit"]) == 2 and "does not hold" not in capsys.readouterr().out
    # where something else is wrong with the run, that is what the audit says
    (tmp_path / "run" / "memory.safetensors").write_bytes(b"x")
    found = audit(tmp_path / "run")
    assert not found.holds and any("the data was not checked: partition: found 'by_norm'" in n for n in found.notices)


@pytest.mark.slow
def test_the_command_line_and_a_file_of_options_have_a_module_imported(plugin, options, tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text(f"plugins: [{plugin('my_weight_rule')}]\nweight_rule: nearest_centre\n")
    assert APAConfig("APA", "board", [str(file)], options)["weight_rule"] == "nearest_centre"
    words = [f"--{k}={json.dumps(v) if isinstance(v, (dict, list)) else v}" for k, v in options.items()]
    words += ["--model=APA", "--dataset=board", f"--run_dir={tmp_path / 'run'}", "--partition=by_norm"]
    assert main(words) == 2 and "partition: found 'by_norm', expected one of semantic" in capsys.readouterr().err
    assert main([*words, f"--plugins={plugin('my_partition')}"]) == 0
    told = [f"--run={tmp_path / 'run'}", "--forget_users=u3", "--exactness=strict", "--plugins=[my_partition]"]
    assert main(told) == 0
    assert main([f"--run={tmp_path / 'run'}", "--audit", "--plugins=my_partition"]) == 0


@pytest.mark.slow
def test_workers_are_told_what_was_imported_without_the_option(plugin, options, finished, tmp_path):
    import_plugins([plugin("my_partition"), plugin("my_adapter")])
    given = {**options, "partition": "by_norm", "adapter_type": "shift"}
    one = run("APA", "board", config_dict=given, run_dir=tmp_path / "one")
    two = run("APA", "board", config_dict={**given, "workers": 2}, run_dir=tmp_path / "two")
    assert modules_for_workers(two.config) == ("my_adapter", "my_partition")
    files = [tmp_path / n / "shards" / "000" / "adapter_model.safetensors" for n in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes() and one.trainer.record.trained == [0, 1, 2]


def test_what_the_program_itself_registers_no_worker_can_know(plugin, options, tmp_path, monkeypatch):
    import_plugins(plugin("my_partition"))
    monkeypatch.setattr(PARTITIONERS["by_norm"], "__module__", "__main__")
    with pytest.raises(SettingsError, match="workers: partition 'by_norm' was registered by the main program"):
        given = {**options, "partition": "by_norm", "workers": 2}
        run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    import_plugins(plugin("my_family"))
    monkeypatch.setattr(FAMILIES["gpt_neox"], "__module__", "__main__")
    with pytest.raises(SettingsError, match="workers: a backbone family was registered by the main program"):
        modules_for_workers({"partition": "random", "weight_rule": "average", "adapter_type": "lora"})


def test_a_manifest_cannot_have_a_module_imported(plugin, finished, tmp_path):
    plugin("my_partition")
    shutil.copytree(finished.run_dir, tmp_path / "run")
    store = RunStore(tmp_path / "run")
    manifest = store.manifest()
    store.write_manifest({**manifest, "options": {**manifest["options"], "plugins": ["my_partition"]}})
    with pytest.raises(RunError, match="options that no run has"):
        evaluate_run(tmp_path / "run")
    assert "my_partition" not in sys.modules


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (3, "found 3, expected a list of modules"),
        (["../evil"], "expected a list of modules"),
        (["no_such_module"], "'no_such_module' cannot be imported .ModuleNotFoundError.* installed, or in a folder"),
        ("no_such.module", "'no_such.module' cannot be imported .ModuleNotFoundError.* installed, or in a folder"),
        ("json, json,../evil", "found 'json, json,../evil', expected a list of modules"),
    ],
)
def test_what_is_no_module_is_refused(given, says, options, tmp_path):
    with pytest.raises(SettingsError, match=says):
        run("APA", "board", config_dict={**options, "plugins": given}, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\n1 / 0\n", r"fails while it is imported: ZeroDivisionError: division by zero \(broken_plugin.py, line 2\)"),
        (
            "import no_such_thing\n",
            r"ModuleNotFoundError: No module named 'no_such_thing' \(broken_plugin.py, line 1\)",
        ),
        (
            "from recbole_apa.partition import Nothing\n",
            r"ImportError: cannot import name .*\(broken_plugin.py, line 1\)",
        ),
        ("def f(:\n", r"SyntaxError: .* \(broken_plugin.py, line 1\)"),
        ("import json\njson.loads('{')\n", r"JSONDecodeError: .* \(broken_plugin.py, line 2\)"),
        ("import sys\nsys.exit()\n", r"ends the program while it is imported: SystemExit \(broken_plugin.py, line 2\)"),
        ("raise SystemExit(3)\n", r"ends the program while it is imported: SystemExit: 3 \(broken_plugin.py, line 1\)"),
    ],
)
def test_a_module_that_is_found_and_fails_is_named_with_its_line(text, says, tmp_path, monkeypatch, capsys):
    (tmp_path / "broken_plugin.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SettingsError, match=f"plugins: 'broken_plugin' was found, but .*{says}; repair it"):
        import_plugins(["broken_plugin"])
    assert main(["--model=APA", "--dataset=board", "--plugins=broken_plugin"]) == 2
    assert "broken_plugin" in capsys.readouterr().err and "broken_plugin" not in sys.modules


def test_several_modules_are_named_with_commas_like_other_lists(plugin, options):
    given = f"{plugin('my_partition')}, {plugin('my_weight_rule')}"
    config = APAConfig("APA", "board", [], {**options, "plugins": given, "partition": "by_norm"})
    assert config["partition"] == "by_norm" and "nearest_centre" in WEIGHT_RULES
