"""Whole files and folders take the place of what has their name."""

import pytest

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import write_bytes, write_whole


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "mine.txt").write_text("kept")
    with pytest.raises(RunError, match="cannot write"):
        write_bytes(tmp_path / "place", b"new")
    assert (tmp_path / "place" / "mine.txt").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    (tmp_path / "place" / "old").mkdir(parents=True)
    write_whole(tmp_path / "place", lambda path: (path / "new").mkdir(parents=True))
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["new"]
