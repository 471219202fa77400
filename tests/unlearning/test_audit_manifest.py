"""A manifest that was changed or cannot be is named before anything is done."""

import json

import pytest

from recbole_apa import audit, evaluate_run
from recbole_apa.cli.main import main
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import write_json
from recbole_apa.runs.manifest import with_check
from tests.helpers.runs import copy_run, tree


@pytest.mark.parametrize("name", ["tau", "seed", "full_training", "code", "salt"])
def test_a_manifest_that_was_changed_is_found_before_any_request(name, finished, tmp_path):
    """Without a request no ledger holds the manifest's digest: a flipped digit of tau changed every prediction."""
    run = copy_run(finished, tmp_path / "run")
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    where = {"tau": manifest["chosen"], "seed": manifest["settings"]}.get(name, manifest)
    where[name] = {"seconds": 1} if name == "full_training" else "ab" * 16 if name in ("code", "salt") else 7
    write_json(path, manifest)
    assert "manifest.json was changed after it was written" in audit(run).findings
    with pytest.raises(RunError, match=r"manifest\.json was changed after it was written"):
        evaluate_run(run)
    write_json(path, with_check(manifest))
    if name == "seed":
        assert any("identity_digest" in f for f in audit(run).findings)


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m: m.pop("salt"), "lacks salt"),
        (lambda m: m.update(forgotten="u3"), "found forgotten 'u3'"),
        (lambda m: m["files"].update({"../../x": "ab" * 32}), "expected digests of files in the run folder"),
        (lambda m: m["files"].update({"/etc/passwd": "ab" * 32}), "expected digests of files in the run folder"),
        (lambda m: m.update(chosen={"tau": "1000", "n_neighbors": 3}), "expected tau and n_neighbors"),
        (lambda m: m.update(outside={"exports": "/home"}), "expected lists of places"),
        (lambda m: m.update(settings=[]), "expected settings"),
        (lambda m: m.update(format_version=True), "has format version True"),
        (lambda m: m.update(draw={"train": 3}), "expected a cutoff for each split"),
    ],
)
def test_a_malformed_manifest_is_refused_by_what_is_wrong(edit, says, finished, tmp_path, capsys):
    run = copy_run(finished, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    edit(manifest)
    write_json(run / "manifest.json", with_check(manifest))
    before = tree(run)
    assert any(says in f for f in audit(run).findings)
    for command in ([], ["--verify"], ["--forget_users=u5"], ["--resume"]):
        assert main([f"--run={run}", *command]) == 2
        assert says in capsys.readouterr().err
    assert tree(run) == before
