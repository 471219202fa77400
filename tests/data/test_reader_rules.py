"""The rules of the strict reader one by one, and RecBole's own."""

import csv
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.core.errors import DataError
from recbole_apa.data.reader import RECBOLE_MISSING, FileForm, Rule, concat, read_table, strict
from tests.helpers.reader_ways import BAD_NUMBERS, WAYS, assert_as_the_reference, cells_of, few, read_in_a_way


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
    ("a:token\ta:token\nu\tu\n", "\t", "column 'a' occurs twice; expected each name once"),
    ("a:token\tb :token\nu\tu\n", "\t", "found the column name 'b ', expected one without blanks around it"),
    ("a:token\t\nu\t\n", "\t", "the header needs name:type .* found ''"),
    ("\na:token\n", "\t", "line 1: the header needs name:type"),
    ('\n"a:token"\t"b:token"\n', "\t", "line 1: the header needs name:type"),
    ("a:token\rb\n", "\t", "the lines end in a carriage return alone, expected a line feed"),
    ("a\rb:token\n", "\t", "the lines end in a carriage return alone, expected a line feed"),
    (b"\xe9:token\n", "\t", "line 1: not UTF-8; set the file's encoding, e.g. --encoding=latin-1"),
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
    assert says == f"{path}, line 2: byte 0xe9 is not UTF-8; set the file's encoding, e.g. --encoding=latin-1"
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
    with pytest.raises(DataError, match="do not have the same columns: b is in only one"):
        concat(path, [read_table(path), read_table(other)])
    other.write_text("a:token\tb:token\nu\t1\n")
    with pytest.raises(DataError, match="column b is float in one and token in the other"):
        concat(path, [read_table(path), read_table(other)])


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


@pytest.mark.slow
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
