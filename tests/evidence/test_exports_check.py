"""Exports in the independent check before a certificate."""

import pytest

from recbole_apa import audit, run, unlearn
from recbole_apa.core.errors import CertificateError


@pytest.mark.slow
def test_exports_are_looked_through_before_the_certificate(options, tmp_path, monkeypatch):
    export = tmp_path / "export"
    made = run("APA", "board", config_dict={**options, "export_samples": str(export)}, run_dir=tmp_path / "run")
    monkeypatch.setattr("recbole_apa.unlearning.exact.clean_outside", lambda own, *a: own)
    with pytest.raises(CertificateError, match=r"lines of .*train\.jsonl"):
        unlearn(made.run_dir, users=["u3"])
    assert not (made.run_dir / "certificates").exists()
    monkeypatch.undo()
    unlearn(made.run_dir)
    assert audit(made.run_dir).holds


@pytest.mark.slow
def test_other_files_in_an_export_folder_stop_no_request(options, tmp_path):
    """A request file that lay there ended the request after the ledger had taken it, each time again."""
    export = tmp_path / "export"
    made = run("APA", "board", config_dict={**options, "export_samples": str(export)}, run_dir=tmp_path / "run")
    (export / "requests.jsonl").write_text('{"user_id": "u3"}\nno JSON\n')
    unlearn(made.run_dir, requests=None, users=["u3"])
    assert audit(made.run_dir).findings == []
