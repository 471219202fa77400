"""Rows that a killed comparison left in the temporary folder name people whom a later request forgets."""

import os
import shutil
import tempfile
from pathlib import Path

from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.left_rows import folder_of_rows, left_rows
from recbole_apa.next_item.run.proof import audit_next_items

GONE = 2**22 + 1
"""No process of this machine: Linux numbers end below it."""


def test_an_audit_names_what_a_killed_comparison_left_and_a_request_deletes_it(head_run, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(head_run.folder, tmp_path / "run"))
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    left, in_use = (temporary / f"recbole-apa-next-{process}-x" for process in (GONE, os.getpid()))
    for place in (left, in_use):
        place.mkdir()
        (place / "presplit.train.inter").write_text("u5\ti3\n")
    audited = audit_next_items(folder)
    assert audited.holds and [line for line in audited.notices if str(left) in line]
    forget_next_items(folder, users=["u5"], dry_run=True)
    assert left.exists()
    forget_next_items(folder, users=["u5"])
    assert not left.exists() and in_use.exists() and audit_next_items(folder).notices == []


def test_what_is_in_use_or_no_folder_of_a_process_is_left_alone(tmp_path, monkeypatch):
    """A number that no process can have ended every audit with an OverflowError; in another container the number of a
    process at work is nobody's here."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("99999999999-x", "0-x", "4194305", "x-y"):
        (tmp_path / f"recbole-apa-next-{name}").mkdir()
    (tmp_path / f"recbole-apa-next-{GONE}-file").write_text("")
    (tmp_path / f"recbole-apa-next-{GONE}-link").symlink_to(tmp_path)
    monkeypatch.setattr(os, "getpid", lambda: GONE)
    with folder_of_rows() as folder:
        assert folder.is_dir() and left_rows() == []
    assert not folder.exists()
