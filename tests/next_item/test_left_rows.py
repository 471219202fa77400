"""Rows that a killed comparison left in the temporary folder name people whom a later request forgets."""

import os
import shutil
import tempfile
from pathlib import Path

from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.left_rows import ROWS
from recbole_apa.next_item.run.proof import audit_next_items

GONE = 2**22 + 1
"""No process of this machine: Linux numbers end below it."""


def test_an_audit_names_what_a_killed_comparison_left_and_a_request_deletes_it(head_run, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(head_run.folder, tmp_path / "run"))
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    left, in_use = (temporary / f"{ROWS}{process}-x" for process in (GONE, os.getpid()))
    for place in (left, in_use):
        place.mkdir()
        (place / "presplit.train.inter").write_text("u5\ti3\n")
    audited = audit_next_items(folder)
    assert audited.holds and [line for line in audited.notices if str(left) in line]
    forget_next_items(folder, users=["u5"], dry_run=True)
    assert left.exists()
    forget_next_items(folder, users=["u5"])
    assert not left.exists() and in_use.exists() and audit_next_items(folder).notices == []
