"""The strict reader of atomic files against a slow, plain reference, and its rules one by one."""

import csv
import io
import re

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from recbole_apa.core.errors import DataError
from recbole_apa.data.reader import FileForm, fast, read, read_header, read_table
from tests.helpers.reader_ways import BAD_NUMBERS, GOOD_NUMBERS, assert_as_the_reference, cells_of, few, read_in_a_way

SEPARATORS = ["\t", ",", ";", "|", " ", "::", "||", "§", "\x1f"]
ODD_TEXTS = [
    "",
    "NA",
    "null",
    "None",
    "N/A",
    "nan",
    "007",
    " a ",
    "a b",
    "é",
    "影",
    "\ufeff",
    "a:b",
    "'x'",
    "\x00",
    "—",
]
QUOTED_TEXTS = ['"O" Is for Outlaw', '"', '"x"', 'a"b', '""', 'x "', '"Two']


@st.composite
def atomic_files(draw):
    """Bytes of a file that is nearly right, its separator, and whether it was made without any fault."""
    separator = draw(st.sampled_from(SEPARATORS))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    types = draw(st.lists(st.sampled_from(["token", "float", "token_seq", "float_seq"]), min_size=1, max_size=4))
    texts = st.sampled_from(ODD_TEXTS + draw(st.sampled_from([[], QUOTED_TEXTS]))) | st.text("ab1 .", max_size=4)
    numbers = st.sampled_from(GOOD_NUMBERS)
    if draw(st.integers(0, 3)) == 0:
        numbers = numbers | st.sampled_from(BAD_NUMBERS)
    row = st.tuples(*[numbers if kind == "float" else texts for kind in types])
    lines = [separator.join(f"c{i}:{kind}" for i, kind in enumerate(types))]
    for cells in draw(st.lists(row, max_size=14)):
        lines.append(separator.join(cells))
    faults = st.sampled_from(["blank", "blank", "one more", "one less", "return", "mixed ends"])
    for fault in draw(st.lists(faults, max_size=2)):
        where = draw(st.integers(1, len(lines)))
        if fault == "blank":
            lines.insert(where, "")
        elif where < len(lines):
            line = lines[where]
            changed = {
                "one more": line + separator + "x",
                "one less": line.rpartition(separator)[0],
                "return": line[:1] + "\r" + line[1:],
                "mixed ends": line + "\r",
            }
            lines[where] = changed[fault]
    text = end.join(lines) + draw(st.sampled_from(["", end, end + end]))
    return draw(st.sampled_from(["", "\ufeff"])) + text, separator


STRAY = "c0:token\tc1:token\tc2:token\n\t\t\n\t\t\n\t\t\n\t"


@pytest.mark.slow
@few
@given(file=atomic_files())
@example(file=(STRAY + '"\t\n\t"\t', "\t"))
@example(file=(STRAY + '"\t"', "\t"))
@example(file=(STRAY + '"\t\n\t"\t\n\t""""\t', "\t"))
def test_nearly_right_files(path, file):
    text, separator = file
    assert_as_the_reference(path, text.encode(), separator)


@pytest.mark.slow
@few
@given(file=atomic_files(), encoding=st.sampled_from(["latin-1", "utf-16", "utf-16-le", "cp1252", "utf-8-sig"]))
def test_encodings(path, file, encoding):
    text, separator = file
    raw = text.removeprefix("\ufeff").encode(encoding, "replace")
    assert_as_the_reference(path, raw, separator, encoding)
    # what other software wrote, under a name that is not its own
    assert_as_the_reference(path, raw, separator, None)


def test_a_nul_is_no_quotation_mark(path):
    """Arrow took it for one where a block of the file ended near it: two rows were lost, without a word."""
    text = 'c0:token\tc1:token_seq\n\t\n\t\n\tnull\nnull\tnull\n"O" Is for Outlaw\t"Two\n\t\x00\n\t\n\tNA\n'
    assert_as_the_reference(path, text.encode(), "\t", None)


@few
@given(
    text=st.text('a1."\t\r\n ,é\x1f', max_size=60),
    head=st.sampled_from(["a:token\tb:float\n", "a:token,b:float\r\n", "a:float\n", '"a:token"\t"b:float"\n', ""]),
    separator=st.sampled_from(["\t", ",", "::"]),
)
def test_any_text(path, text, head, separator):
    assert_as_the_reference(path, (head + text).encode(), separator)


@pytest.mark.quick(1)
@few
@given(noise=st.binary(max_size=12), rows=st.lists(st.sampled_from([b"x\t1\n", b"\xc3\xa9\t2\r\n", b"\n"]), max_size=5))
@pytest.mark.parametrize("unread", [(), ("a",)])
def test_any_bytes(path, noise, rows, unread):
    whole = b"a:token\tb:float\n" + b"".join(rows)
    assert_as_the_reference(path, whole + noise, unread=unread)
    assert_as_the_reference(path, whole + noise + b"\n" + b"".join(rows), unread=unread)


csv_cells = st.text('ab" ,\t\n\r;é:', max_size=6) | st.sampled_from(
    ["Godfather, The", 'The "Best"', "Two\nLines", "\r\n"]
)


def _may_be_no_csv(text, separator):
    """Each line is a row as it stands, and no quotation mark is doubled: it is read so, whoever wrote it."""
    cells = [line.split(separator) for line in text.replace("\r\n", "\n").split("\n")[1:] if line]
    are_rows = all(len(row) == 3 and re.fullmatch(r"[0-9.]*", row[2]) for row in cells)
    return text.startswith("a:token") and '""' not in text and are_rows


@few
@example(rows=[("", "", 1), ("", "\t\n\t", 1)], separator="\t", quoting=csv.QUOTE_MINIMAL, end="\n")
@given(
    rows=st.lists(st.tuples(csv_cells, csv_cells, st.sampled_from([1, 2.5, ""])), min_size=1, max_size=6),
    separator=st.sampled_from(["\t", ",", ";"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_csv_writer_wrote_is_read_back(path, rows, separator, quoting, end):
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerows([("a:token", "b:token_seq", "c:float"), *rows])
    raw = written.getvalue().encode()
    assume('"' in written.getvalue())
    # Python 3.11 leaves a carriage return bare then, and nobody can read it back
    assume(quoting != csv.QUOTE_MINIMAL or end != "\n" or not any("\r" in cell for a, b, _ in rows for cell in (a, b)))
    right = assert_as_the_reference(path, raw, separator)
    assert not right.problems and (right.quoted or _may_be_no_csv(written.getvalue(), separator))
    assume(right.quoted)
    assert right.columns["a"] == [a for a, _, _ in rows] and right.columns["b"] == [b for _, b, _ in rows]
    assert right.columns["c"] == [None if c == "" else float(c) for *_, c in rows]


@pytest.mark.parametrize(
    "text",
    [
        "a:token\tb:float\nx\t1\n",
        "\ufeffa:token\tb:float\r\nx\t1\r\n",
        '"a:token"\t"b:float"\n"x\ty"\t1\n',
        'a:token\tb:float\n"x\ty"\t1\n',
        "a:token\tb:float",
    ],
)
def test_the_header_alone_is_that_of_the_table(path, text):
    path.write_text(text, newline="", encoding="utf-8")
    assert read_header(path) == read_table(path).header


@pytest.mark.parametrize("data", [b"", b"a\tb\n", b"\xe9:token\tb:float\n"])
def test_what_is_wrong_with_a_header_is_said_as_of_the_table(path, data):
    path.write_bytes(data)
    with pytest.raises(DataError) as alone:
        read_header(path)
    with pytest.raises(DataError) as whole:
        read_table(path)
    assert str(alone.value) == str(whole.value)


def test_a_quoted_cell_that_holds_a_separator_of_several_characters(path):
    right = assert_as_the_reference(path, b'a:token::b:token\n"x::y"::"p""q"\n', "::")
    assert right.columns == {"a": ["x::y"], "b": ['p"q']}


CLEAN = [
    "a:token\tb:float\tc:token_seq\nu1\t5\tx y\nNA\t\t\nu1\t4.5\té\n",
    "a:token\tb:float\tc:token_seq\r\nu1\t5\tx y\r\nu2\t3\t\r\n",
    "a:token\tb:float\tc:token_seq\nu1\t5\tx y\n\n\nu2\t.5\tz",
    'a:token\tb:float\tc:token_seq\nu1\t5\t"O" Is for Outlaw\nu2\t1e3\t x \n',
    "\ufeffa:token\tb:float\tc:token_seq\nu1\t-5\t\n",
    "a:token::b:float::c:token_seq\nu1::5::x:y\n",
]


@pytest.mark.parametrize("text", CLEAN)
def test_clean_files_are_read_the_fast_way(path, text, monkeypatch):
    path.write_text(text, newline="")
    form = FileForm("::" if "::" in text else "\t")
    right = read_in_a_way(path, "slow", form)
    monkeypatch.setattr(read, "collect", lambda *_, **__: pytest.fail("read the slow way"))
    found = read_table(path, form)
    assert found.header == right.header and found.rules == right.rules and len(found) == len(right)
    assert {n: cells_of(c) for n, c in found.columns.items()} == {n: cells_of(c) for n, c in right.columns.items()}
    assert [found.line(row) for row in range(len(found))] == [right.line(row) for row in range(len(right))]


def test_a_large_file_is_read_in_blocks_and_its_lines_are_right(path, monkeypatch):
    rng = np.random.default_rng(0)
    users, values = rng.integers(0, 50, 5000), rng.random(5000)
    pairs = zip(users.tolist(), values.tolist(), strict=True)
    lines = [f"u{u}\t{v!r}" + ("\n" if i % 97 == 0 else "") for i, (u, v) in enumerate(pairs)]
    path.write_text("a:token\tb:float\n" + "\n".join(lines) + "\n")
    monkeypatch.setattr(read, "collect", lambda *_, **__: pytest.fail("read the slow way"))
    monkeypatch.setattr(fast, "_BLOCK", 1000)
    table = read_table(path)
    assert list(table.texts("a")) == [f"u{u}" for u in users]
    assert len(table.texts("a").names) == 50
    assert table.numbers("b").tolist() == values.tolist()
    text = path.read_text().split("\n")
    assert all(text[table.line(row) - 1].startswith(f"u{users[row]}\t") for row in range(0, 5000, 61))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16])
def test_what_is_rare_is_found_across_the_borders_of_chunks(size, monkeypatch):
    from recbole_apa.data.reader import scan

    whole = "a:token\tb:float\r\n\r\nu\t1\r\né\t2 \n\nü\t3\rx\n"
    monkeypatch.setattr(scan, "_CHUNK", size)
    for end in range(1, len(whole) + 1):
        raw = whole[:end].encode()
        found, text = scan.scan(memoryview(raw), b"\t"), whole[:end]
        assert found.has_lone_returns == bool(re.search(r"\r(?!\n)", text))
        assert found.has_empty_lines == bool(re.search(r"\n\r?\n", text))
        assert found.has_blanks_at_edges == (" " in text)
        assert not found.has_quotes and found.is_utf8
        assert not scan.scan(memoryview(raw + b"\xe9\n"), b"\t").is_utf8
        rows = [i for i, line in enumerate(text.split("\n"), 1) if line not in ("", "\r")][1:]
        assert scan.row_lines(memoryview(raw)).tolist() == rows
