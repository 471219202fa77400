"""Files of an index from a stranger: refused with an error that names the file, whatever they hold."""

import json
import os
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import json_text
from recbole_apa.data.index.check import index_problems
from recbole_apa.data.index.places import file_names, part_file
from recbole_apa.data.tokens import Tokens
from tests.helpers.index_rows import files_of, opened, write_some_index

N_PARTS = 2
PART = part_file(0)
FILES = file_names(N_PARTS)
few = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path):
    return write_some_index(tmp_path / "index", N_PARTS)


def problems(folder):
    return index_problems(opened(folder), [name for name in files_of(folder) if not name.startswith(".")])


def read_all(folder):
    index = opened(folder)
    for _ in index.parts():
        pass


@pytest.mark.slow
@few
@given(name=st.sampled_from(FILES), data=st.binary(max_size=5000))
def test_random_bytes(folder, name, data):
    kept = (folder / name).read_bytes()
    (folder / name).write_bytes(data)
    try:
        with pytest.raises(RunError, match=name):
            read_all(folder)
        assert any(name in finding for finding in problems(folder))
    finally:
        (folder / name).write_bytes(kept)


@pytest.mark.slow
@few
@given(name=st.sampled_from(FILES), data=st.data())
def test_cut_or_continued(folder, name, data):
    kept = (folder / name).read_bytes()
    more = data.draw(st.binary(min_size=1, max_size=20))
    (folder / name).write_bytes(
        data.draw(st.sampled_from([kept[: data.draw(st.integers(0, len(kept) - 1))], kept + more]))
    )
    try:
        with pytest.raises(RunError, match=name):
            read_all(folder)
    finally:
        (folder / name).write_bytes(kept)


@few
@given(name=st.sampled_from(FILES), data=st.data())
def test_changed_bytes_never_raise_anything_else(folder, name, data):
    kept = (folder / name).read_bytes()
    changed = bytearray(kept)
    for _ in range(data.draw(st.integers(1, 4))):
        width = data.draw(st.sampled_from([1, 4, 8]))
        place = data.draw(st.integers(0, len(kept) - 8)) // width * width
        worst = st.sampled_from([0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 2 ** (8 * width - 1) - 1])
        number = data.draw(worst | st.integers(0, 255))
        changed[place : place + width] = number.to_bytes(width, "little")
    (folder / name).write_bytes(changed)
    try:
        read_all(folder)
        problems(folder)
    except RunError as error:
        assert str(folder) in str(error)
    finally:
        (folder / name).write_bytes(kept)


def as_arrow(folder, name=PART):
    with pa.ipc.open_file(folder / name) as file:
        return file.read_all().combine_chunks()


def write_arrow(folder, table, n_batches=1, name=PART, **options):
    given = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_file(folder / name, table.schema, options=given) as writer:
        for start in range(0, len(table), -(-len(table) // n_batches)):
            writer.write_batch(table.slice(start, -(-len(table) // n_batches)).to_batches()[0])


def compressed_bomb(folder):
    write_arrow(folder, as_arrow(folder), compression="lz4")
    data = (folder / PART).read_bytes()
    length = struct.pack("<q", 8 * len(as_arrow(folder)))
    assert length in data
    (folder / PART).write_bytes(data.replace(length, struct.pack("<q", 2**46)))


def with_metadata(folder):
    write_arrow(folder, as_arrow(folder).replace_schema_metadata({"hidden": "u3 liked i7"}))


def with_field_metadata(folder):
    table = as_arrow(folder)
    field = table.schema.field(1).with_metadata({"hidden": "u3"})
    write_arrow(folder, table.cast(table.schema.set(1, field)))


def hidden_between(folder):
    """Bytes in the padding of the last column."""
    data = bytearray((folder / PART).read_bytes())
    n = len(as_arrow(folder))
    roles = np.frombuffer(data, dtype=np.int8)
    known = as_arrow(folder)["role"].to_numpy().tobytes()
    place = bytes(roles).index(known) + n
    assert n % 8 and data[place] == 0
    data[place] = 7
    (folder / PART).write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: write_arrow(folder, as_arrow(folder), compression="zstd"),
        lambda folder: write_arrow(folder, as_arrow(folder), compression="lz4"),
        compressed_bomb,
        lambda folder: write_arrow(folder, as_arrow(folder), n_batches=2),
        with_metadata,
        with_field_metadata,
        hidden_between,
        lambda folder: write_arrow(folder, as_arrow(folder).drop_columns(["since"])),
        lambda folder: write_arrow(folder, as_arrow(folder).append_column("more", as_arrow(folder)["item"])),
        lambda folder: (folder / PART).write_bytes(b""),
        lambda folder: (folder / PART).unlink(),
        lambda folder: ((folder / PART).unlink(), (folder / PART).mkdir()),
        lambda folder: ((folder / PART).unlink(), os.mkfifo(folder / PART)),
    ],
)
def test_other_arrow_files(damage, folder):
    damage(folder)
    with pytest.raises(RunError, match=PART):
        read_all(folder)
    assert any(PART in finding for finding in problems(folder))


def codes(column, code):
    changed = column.codes.copy()
    changed[-1] = code
    return Tokens(changed, column.names)


@pytest.mark.parametrize("code", [-1, -(2**31), 10_000, 2**31 - 1])
@pytest.mark.parametrize("column", ["user", "item"])
def test_codes_out_of_range(column, code, folder):
    table = as_arrow(folder)
    data = bytearray((folder / PART).read_bytes())
    n = len(table)
    known = (table["user"].combine_chunks().indices if column == "user" else table["item"]).to_numpy()
    place = data.index(known.astype("<i4").tobytes()) + 4 * (n - 1)
    data[place : place + 4] = struct.pack("<i", code)
    (folder / PART).write_bytes(data)
    with pytest.raises(RunError, match=PART):
        read_all(folder)


@pytest.mark.parametrize("offset", [-1, 2**31 - 1, -(2**31), 10_000])
@pytest.mark.parametrize("name", [PART, "items.arrow"])
def test_offsets_of_names_out_of_range(name, offset, folder):
    rows = opened(folder).part(0)
    names = rows.users.names if name == PART else rows.items.names
    offsets = np.cumsum([0, *(len(text.encode()) for text in names)]).astype("<i4").tobytes()
    data = (folder / name).read_bytes()
    assert offsets in data
    for at in (0, len(offsets) // 8 * 4, len(offsets) - 4):
        changed = offsets[:at] + struct.pack("<i", offset) + offsets[at + 4 :]
        (folder / name).write_bytes(data.replace(offsets, changed))
        with pytest.raises(RunError, match=name):
            read_all(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.update(version=2),
        lambda facts: facts.update(version=True),
        lambda facts: facts.update(more=1),
        lambda facts: facts.pop("items"),
        lambda facts: facts.update(parts=[]),
        lambda facts: facts.update(parts=[[0, 0, 0]] * 4097),
        lambda facts: facts.update(parts=[[1, 1, 1.0]]),
        lambda facts: facts.update(parts=[[-1, 1, 1]]),
        lambda facts: facts.update(parts=[[10**30, 1, 1]] * 2),
        lambda facts: facts.update(parts=[[10**9, 10**9, 10**9]] * 2),
        lambda facts: facts.update(items=[10**12, 0, 0]),
        lambda facts: facts.update(items=[2**62, 2**62, 2**62]),
        lambda facts: facts.update(has_times=False),
        lambda facts: facts.update(has_times=1),
        lambda facts: facts.update(source=[{"name": "x"}]),
        lambda facts: facts.update(source=[{"name": "x", "size": -1, "digest": ""}]),
        lambda facts: facts.update(additions=[[1, 2, 3]]),
        lambda facts: facts.update(options=[]),
    ],
)
def test_index_json_that_is_wrong(change, folder):
    edit_quietly = json.loads((folder / "index.json").read_text())
    change(edit_quietly)
    (folder / "index.json").write_text(json_text(edit_quietly))
    with pytest.raises(RunError, match=r"index\.json|items\.arrow|parts/0000"):
        read_all(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "7", '{"version": 1}', '{"version": 1' + "0" * 5000 + "}", "[" * 10**5]
)
def test_index_json_that_is_no_index(text, folder):
    (folder / "index.json").write_text(text)
    with pytest.raises(RunError, match=r"index\.json"):
        read_all(folder)
    assert len(problems(folder)) == 1


def test_index_json_in_other_bytes(folder):
    text = (folder / "index.json").read_text()
    (folder / "index.json").write_text(text.replace(" ", "  "))
    with pytest.raises(RunError, match=r"index\.json: text"):
        read_all(folder)
