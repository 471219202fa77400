"""The strict reader of atomic files against a slow, plain reference, and its rules one by one."""

import csv
import io
import math
import re
from contextlib import ExitStack
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from recbole_apa.core.errors import DataError
from recbole_apa.data.reader import RECBOLE_MISSING, FileForm, Rule, concat, fast, read, read_table, strict
from tests.helpers import reference_reader

WAYS = ("fast", "small blocks", "slow")
few = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "d.inter"


def read_in_a_way(path, way, form, choose=strict):
    with ExitStack() as stack:
        if way == "small blocks":
            stack.enter_context(patch.object(fast, "_BLOCK", 64))
        if way == "slow":
            stack.enter_context(patch.object(read, "_fast", lambda *_: None))
        return read_table(path, form, choose)


def cells_of(column):
    if isinstance(column, np.ndarray):
        return [None if math.isnan(value) else value for value in column.tolist()]
    return list(column)


def problems_in(says, path):
    """(line, column) of each problem a message shows, and how many it counts."""
    found, more = [], 0
    for says_one in says.split("\n"):
        if match := re.fullmatch(r"\.\.\. and (\d+) more", says_one):
            more = int(match[1])
            continue
        assert says_one.startswith(str(path))
        match = re.match(r", line (\d+): (?:column ([^:]*): )?", says_one[len(str(path)) :])
        found.append((int(match[1]), match[2]) if match else (None, None))
    return found, len(found) + more


def assert_as_the_reference(path, raw, separator="\t", encoding=None, unread=()):
    path.write_bytes(raw)
    right = reference_reader.read(raw, separator, encoding or "utf-8", unread)
    for way in WAYS:
        try:
            table = read_in_a_way(
                path, way, FileForm(separator, encoding), lambda f: None if f.name in unread else strict(f)
            )
        except DataError as error:
            shown, n = problems_in(str(error), path)
            assert (shown, n) == (right.problems[:10], len(right.problems)), (way, str(error))
        else:
            assert not right.problems, (way, right.problems)
            assert {name: cells_of(column) for name, column in table.columns.items()} == right.columns, way
            assert [table.line(row) for row in range(len(table))] == right.lines, way
            assert table.quoted == right.quoted, way
    return right


# --- property tests ---------------------------------------------------------------------------------------------------

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
GOOD_NUMBERS = [
    "",
    "5",
    "4.5",
    "-0",
    "+3",
    ".5",
    "1.",
    "1e5",
    "1E-3",
    "007",
    "0.1",
    "881250949",
    "1e-400",
    "123456789.25",
]
BAD_NUMBERS = [
    "nan",
    "inf",
    "-inf",
    "1e400",
    " 5",
    "5 ",
    "5\x0b",
    "—",
    "NA",
    "1,5",
    "0x10",
    "1_0",
    "五",
    "１",
    "1e",
    ".",
    "+",
]
BAD_NUMBERS += ["NaN", "infinity", "nan(x)", "--1", "1 2", "5\u00a0", "true", '"5"']


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


@few
@given(file=atomic_files())
@example(file=(STRAY + '"\t\n\t"\t', "\t"))
@example(file=(STRAY + '"\t"', "\t"))
@example(file=(STRAY + '"\t\n\t"\t\n\t""""\t', "\t"))
def test_nearly_right_files(path, file):
    text, separator = file
    assert_as_the_reference(path, text.encode(), separator)


@few
@given(file=atomic_files(), encoding=st.sampled_from(["latin-1", "utf-16", "utf-16-le", "cp1252", "utf-8-sig"]))
def test_encodings(path, file, encoding):
    text, separator = file
    raw = text.removeprefix("\ufeff").encode(encoding, "replace")
    assert_as_the_reference(path, raw, separator, encoding)
    # what other software wrote, under a name that is not its own
    assert_as_the_reference(path, raw, separator, None)


@few
@given(
    text=st.text('a1."\t\r\n ,é\x1f', max_size=60),
    head=st.sampled_from(["a:token\tb:float\n", "a:token,b:float\r\n", "a:float\n", '"a:token"\t"b:float"\n', ""]),
    separator=st.sampled_from(["\t", ",", "::"]),
)
def test_any_text(path, text, head, separator):
    assert_as_the_reference(path, (head + text).encode(), separator)


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


@few
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
    assert right.quoted and not right.problems
    assert right.columns["a"] == [a for a, _, _ in rows] and right.columns["b"] == [b for _, b, _ in rows]
    assert right.columns["c"] == [None if c == "" else float(c) for *_, c in rows]


def test_a_quoted_cell_that_holds_a_separator_of_several_characters(path):
    right = assert_as_the_reference(path, b'a:token::b:token\n"x::y"::"p""q"\n', "::")
    assert right.columns == {"a": ["x::y"], "b": ['p"q']}


# --- the fast way -----------------------------------------------------------------------------------------------------

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


# --- the rules, one by one --------------------------------------------------------------------------------------------


def refusal(path, text, *form, choose=strict):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError) as caught:
        read_table(path, FileForm(*form), choose)
    return str(caught.value)


HEADERS = [
    ("user_id\titem_id\nu\ti\n", "\t", r"line 1: the header needs name:type for each column, .* found 'user_id'$"),
    ("a:token,b:token\nu,i\n", "\t", "columns are separated by tab here and the line has ',': check field_separator"),
    ("a:token b:token\nu i\n", "\t", "separated by tab here and the line has blank: check field_separator"),
    ("a:token\tb:token\nu\ti\n", ",", "separated by ',' here and the line has tab: check field_separator"),
    ("a:token\tb:token\nu\ti\n", "::", "separated by '::' here and the line has tab: check field_separator"),
    ('"a:token"\t"b:token"\n', "::", "separated by '::' here and the line has tab: check field_separator"),
    (
        "a:token\tb:int\nu\t1\n",
        "\t",
        "column 'b' has the type 'int', expected one of token, token_seq, float, float_seq",
    ),
    ("a:token\ta:token\nu\tu\n", "\t", "column 'a' stands twice; expected each name once"),
    ("a:token\tb :token\nu\tu\n", "\t", "found the column name 'b ', expected one without blanks around it"),
    ("a:token\t\nu\t\n", "\t", "the header needs name:type .* found ''"),
    ("\na:token\n", "\t", "line 1: the header needs name:type"),
    ('\n"a:token"\t"b:token"\n', "\t", "line 1: the header needs name:type"),
    ("a:token\rb\n", "\t", "the lines end in a carriage return alone, expected a line feed"),
    ("a\rb:token\n", "\t", "the lines end in a carriage return alone, expected a line feed"),
    (b"\xe9:token\n", "\t", "line 1: not UTF-8; name the file's encoding, e.g. --encoding=latin-1"),
]


@pytest.mark.parametrize(("text", "separator", "says"), HEADERS)
def test_headers_that_are_refused(path, text, separator, says):
    found = refusal(path, text, separator)
    assert found.startswith(f"{path}, line 1: ") and re.search(says, found)


@pytest.mark.parametrize("value", [v for v in BAD_NUMBERS if "\t" not in v])
@pytest.mark.parametrize("end", ["\n", "\r\n", "", "\t\n", "\t"])
def test_what_is_no_number_is_refused_with_line_column_and_value(path, value, end):
    head = "a:token\tb:float\tc:token\n" if "\t" in end else "a:token\tb:float\n"
    says = refusal(path, f"{head}\nu\t{value}{end}")
    assert says.startswith(f"{path}, line 3: column b: found {value!r}, expected a ")


def test_the_first_ten_problems_are_shown_and_all_are_counted(path):
    says = refusal(path, "a:token\tb:float\n" + "u\tx\nu\t1\n" * 25).split("\n")
    assert len(says) == 11 and says[-1] == "... and 15 more"
    assert says[0] == f"{path}, line 2: column b: found 'x', expected a number" and ", line 20: " in says[9]


def test_a_row_of_another_width_says_what_to_look_at(path):
    assert "found 1 values, expected 2 (a, b); check field_separator" in refusal(path, "a:token\tb:float\nu 1\n")
    assert "found 3 values, expected 2 (a, b)" in refusal(path, "a:token\tb:float\nu\t1\t2\n")
    cut = refusal(path, 'a:token\tb:token\nu\t"O" Is\nv\t"Two\nLines"\n')
    assert ", line 4: " in cut and "the line has a quotation mark" in cut


def test_bytes_that_are_not_in_the_encoding_are_named_with_line_and_option(path):
    says = refusal(path, "a:token\tb:token\nu\té\n".encode("latin-1"))
    assert says == f"{path}, line 2: byte 0xe9 is not UTF-8; name the file's encoding, e.g. --encoding=latin-1"
    says = refusal(path, "a:token\tb:token\nu\té\nv\t\ud800".encode("utf-16-le", "surrogatepass"), "\t", "utf-16-le")
    assert says.startswith(f"{path}, line 3: not utf-16-le (") and "set encoding to" in says
    # a character whose bytes hold that of a line feed is none
    says = refusal(path, "a:token\nĊĊĊ\n\ud800".encode("utf-16-le", "surrogatepass"), "\t", "utf-16-le")
    assert says.startswith(f"{path}, line 3: ")


def test_a_column_that_is_not_read_is_in_the_encoding_all_the_same(path):
    """What is refused must not depend on which way the file was read."""
    for number in ("1", "+1", "1e400"):
        raw = f"a:float\tb:token\n{number}\té\n".encode("latin-1")
        assert "byte 0xe9 is not UTF-8" in refusal(path, raw, choose=lambda f: strict(f) if f.name == "a" else None)


@pytest.mark.parametrize("encoding", ["klingon", "hex", "rot13", "undefined", 8859])
def test_an_encoding_that_is_none_is_refused_by_name(path, encoding):
    assert refusal_of_form("\t", encoding).startswith(f"encoding: found {encoding!r}, expected one that Python knows")


@pytest.mark.parametrize("separator", ["", "\n", '"', "\r", None, 7])
def test_a_separator_that_is_none_is_refused_by_name(separator):
    assert refusal_of_form(separator, None).startswith(f"field_separator: found {separator!r}, expected e.g.")


def refusal_of_form(separator, encoding):
    with pytest.raises(DataError) as caught:
        FileForm(separator, encoding)
    return str(caught.value)


def test_an_empty_file_and_one_that_is_not_there(path):
    assert refusal(path, "") == f"{path} is empty: expected a header such as user_id:token"
    with pytest.raises(DataError, match=r"cannot read .*nothing\.inter"):
        read_table(path.with_name("nothing.inter"))


@pytest.mark.parametrize(
    "text", ["a:token\tb:float", "a:token\tb:float\n", "a:token\tb:float\r\n\r\n", "\ufeffa:token\tb:float"]
)
def test_a_header_alone_is_a_table_without_rows(path, text):
    right = assert_as_the_reference(path, text.encode())
    assert right.columns == {"a": [], "b": []}


def test_columns_that_are_not_asked_for_are_left_out_but_stand_in_the_header(path):
    path.write_text("a:token\tb:float\nu\tx\n")
    table = read_table(path, choose=lambda f: strict(f) if f.name == "a" else None)
    assert list(table.columns) == ["a"] and [f.name for f in table.header] == ["a", "b"] and len(table) == 1


def test_texts_are_texts(path):
    words = ["NA", "null", "None", "N/A", "nan", "#N/A", "007", "1e5", " x ", "", "影", "'a'", "-", "true"]
    path.write_text("a:token\tb:token_seq\n" + "".join(f"{w}\t{w}\n" for w in words))
    table = read_table(path)
    assert list(table.texts("a")) == list(table.texts("b")) == words
    assert table.missing("a").tolist() == [word == "" for word in words]


def test_take_and_concat_keep_the_lines(path):
    path.write_text("a:token\tb:float\nu\t1\n\nv\t2\nw\t\n")
    table = read_table(path)
    part = table.take(np.array([True, False, True]))
    assert list(part.texts("a")) == ["u", "w"] and [part.line(0), part.line(1)] == [2, 5]
    assert part.missing("b").tolist() == [False, True]
    both = concat(path, [part, table.take(np.array([1]))])
    assert list(both.texts("a")) == ["u", "w", "v"] and [both.line(r) for r in range(3)] == [2, 5, 4]


def test_concat_refuses_files_whose_columns_differ(path):
    path.write_text("a:token\tb:float\nu\t1\n")
    other = path.with_name("e.inter")
    other.write_text("a:token\nu\n")
    with pytest.raises(DataError, match="do not have the same columns: b is in one alone"):
        concat(path, [read_table(path), read_table(other)])
    other.write_text("a:token\tb:token\nu\t1\n")
    with pytest.raises(DataError, match="column b is float in one and token in the other"):
        concat(path, [read_table(path), read_table(other)])


# --- RecBole's own filling --------------------------------------------------------------------------------------------


def recbole_rule(field):
    return Rule.RECBOLE_NUMBER if field.type == "float" else Rule.RECBOLE_TEXT


def as_pandas(path, separator="\t"):
    """As RecBole calls it, but for quoting: without quotation marks that makes no difference."""
    kinds = {"a:token": str, "b:float": np.float64}
    frame = pd.read_csv(
        path, delimiter=separator, usecols=list(kinds), dtype=kinds, engine="python", quoting=csv.QUOTE_NONE
    )
    return [[None if pd.isna(v) else v for v in frame[name]] for name in kinds]


words = st.sampled_from([*sorted(RECBOLE_MISSING), "x", " NA", "na", "NAN", "0", "007", "é", "Null"])
loose = st.sampled_from(
    [*sorted(RECBOLE_MISSING), "1", "2.5", "-3", "inf", "-inf", "1e5", "+4", ".5", "1.", "1e400", "Infinity", "NAN"]
)
wrong = st.sampled_from(["x", "—", "nan(x)", "1 2", "5 x", " NA", "tRUE", "1_", "0x10"])


yes_no = st.sampled_from(["True", "False", "TRUE", "FALSE", "true", "false", "", "NA"])


def test_what_recbole_takes_for_missing_is_what_pandas_does():
    from pandas._libs.parsers import STR_NA_VALUES

    assert set(RECBOLE_MISSING) == set(STR_NA_VALUES)


@few
@given(
    texts=st.lists(words, min_size=9, max_size=9),
    numbers=st.lists(loose, max_size=8) | st.lists(yes_no, max_size=8),
    last=loose | yes_no | wrong,
)
def test_features_are_read_as_recbole_reads_them(path, texts, numbers, last):
    rows = list(zip(texts, [*numbers, last], strict=False))
    path.write_text("a:token\tb:float\n" + "".join(f"{a}\t{b}\n" for a, b in rows))
    try:
        texts, numbers = as_pandas(path)
    except ValueError:
        for way in WAYS:
            with pytest.raises(DataError, match=rf"line {len(rows) + 1}: column b: found"):
                read_in_a_way(path, way, FileForm(), recbole_rule)
        return
    for way in WAYS:
        table = read_in_a_way(path, way, FileForm(), recbole_rule)
        gone = table.missing("a")
        assert [None if m else t for m, t in zip(gone, table.texts("a"), strict=True)] == texts
        assert cells_of(table.numbers("b")) == numbers
        assert [v is None for v in numbers] == table.missing("b").tolist()
