"""People's ordinary files, as public bug reports describe them: each with the value that is right."""

import csv
import logging

import pytest

from recbole_apa import APAConfig, audit, run, unlearn
from recbole_apa.core.errors import DataError
from recbole_apa.pipeline.datasets import make_dataset
from tests.helpers.field_files import HEAD, ITEM_HEAD, OPTIONS, presplit


def told(samples):
    return [(s.item_id, s.label) for s in samples]


U0 = [("i3", 1), ("i6", 0), ("i1", 1), ("i4", 0), ("i7", 1), ("i2", 0), ("i5", 1)]
"""u0's samples on files that nothing is wrong with."""


def test_files_that_nothing_is_wrong_with(files):
    assert told(files.write().samples()) == U0


def test_03_ratings_declared_as_tokens_are_read_as_numbers(files):
    files.inter[0] = HEAD.replace("rating:float", "rating:token")
    for n, line in enumerate(files.inter[1:], start=2):
        cells = line.split("\t")
        files.inter[n - 1] = "\t".join([cells[0], cells[1], str(1 + n * 2 % 5), cells[3]])
    labels = dict(told(files.write().samples()))
    assert (labels["i6"], labels["i1"], labels["i4"]) == (1, 0, 0)


def test_04_dates_declared_as_tokens_are_refused_by_name(files):
    files.inter[0] = HEAD.replace("timestamp:float", "timestamp:token")
    files.inter[1:] = [
        f"{line.rsplit(chr(9), 1)[0]}\t2018-09-{9 - n % 8:02d}" for n, line in enumerate(files.inter[1:])
    ]
    with pytest.raises(
        DataError, match=r"small\.inter, line 2: column timestamp: found '2018-09-09', expected a number"
    ):
        files.write().build()


@pytest.mark.parametrize(("line", "column", "gone"), [(2, 2, "i3"), (2, 3, "i3"), (2, 0, "i3"), (5, 1, "i4")])
def test_05_06_09_a_row_without_rating_time_user_or_item_is_left_out_alone(files, line, column, gone, caplog):
    cells = files.inter[line].split("\t")
    cells[column] = ""
    files.inter[line] = "\t".join(cells)
    with caplog.at_level(logging.WARNING):
        found = told(files.write().samples())
    assert found == [pair for pair in U0 if pair[0] != gone]
    assert (
        f"small.inter: 1 rows have no {HEAD.split()[column].split(':')[0]} and are dropped: line {line + 1}"
        in caplog.text
    )


@pytest.mark.slow
def test_06_no_statistic_over_other_peoples_rows_enters_a_sample(files, options, tmp_path):
    """An empty time was filled with the mean of all: forgetting u3 moved it, and u0's sample vanished."""
    files.inter[2] = "u0\ti3\t5\t"
    files.write()
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    before = run("APA", "small", config_dict=changes, run_dir=tmp_path / "run")
    ids = {s.sample_id for part in before.data[0]._dataset.splits.values() for s in part if s.user_id == "u0"}
    after = unlearn(tmp_path / "run", users=["u3"]).outcomes[0].result
    assert ids == {s.sample_id for part in after.data[0]._dataset.splits.values() for s in part if s.user_id == "u0"}
    assert audit(tmp_path / "run").holds


def test_07_an_empty_year_is_empty(files):
    files.item[4] = "i3\tFilm Number 3\t"
    assert files.write().texts()["i3"] == "Film Number 3"


def test_08_texts_that_look_like_missing_values_are_texts(files):
    files.inter = [line.replace("u0\t", "NA\t").replace("\ti3\t", "\tnull\t") for line in files.inter]
    files.item[4] = "null\tNone\t1983"
    files.item[5] = "i4\tN/A\t1984"
    files.item[6] = "i5\tNA\t1985"
    files.write()
    assert told(files.samples("NA")) == [("null", 1), *U0[1:]]
    texts = files.texts()
    assert (texts["null"], texts["i4"], texts["i5"]) == ("None (1983)", "N/A (1984)", "NA (1985)")


def test_10_items_written_by_a_csv_writer_have_the_titles_that_were_written(files, caplog):
    files.write()
    with open(files.folder / "small.item", "w", newline="") as file, caplog.at_level(logging.INFO):
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(ITEM_HEAD.split("\t"))
        titles = ['"O" Is for Outlaw', "Two\nLines", "Tab\tInside", *(f"Film {i}" for i in range(3, 8))]
        writer.writerows([f"i{i}", title, 1980 + i] for i, title in enumerate(titles))
    texts = files.texts()
    assert [texts[f"i{i}"] for i in range(4)] == [
        '"O" Is for Outlaw (1980)',
        "Two Lines (1981)",
        "Tab Inside (1982)",
        "Film 3 (1983)",
    ]
    assert told(files.samples()) == U0


def test_10_a_line_cut_within_a_title_is_refused_and_stray_quotation_marks_are_text(files):
    files.item[1] = 'i0\t"O" Is for Outlaw\t1980'
    files.item[2] = 'i1\tThe 12" Record\t1981'
    files.item[3] = 'i2\t"Whole"\t1982'
    texts = files.write().texts()
    assert (texts["i0"], texts["i1"]) == ('"O" Is for Outlaw (1980)', 'The 12" Record (1981)')
    assert texts["i2"] == '"Whole" (1982)'
    files.item[4:5] = ['i3\t"Two', 'Lines"\t1983']
    with pytest.raises(DataError, match=r"line 5: found 2 values, expected 3 .*quotation mark(.|\n)*line 6: found 2"):
        files.write().build()


def test_11_commas_and_quoted_titles(files):
    files.inter = [line.replace("\t", ",") for line in files.inter]
    files.item = [line.replace("\t", ",") for line in files.item]
    files.item[4] = 'i3,"Godfather, The",1983'
    files.write()
    assert files.texts(field_separator=",")["i3"] == "Godfather, The (1983)"
    assert told(files.samples(field_separator=",")) == U0


def test_11_a_separator_within_an_unquoted_title_is_named(files):
    files.inter = [line.replace("\t", ",") for line in files.inter]
    files.item = [line.replace("\t", ",") for line in files.item]
    files.item[4] = "i3,Godfather, The,1983"
    with pytest.raises(DataError, match=r"small\.item, line 5: found 4 values, expected 3 \(item_id, title, year\)"):
        files.write().build(field_separator=",")


def test_12_other_encodings_are_read_where_they_are_named_and_asked_for_where_not(files):
    files.item[4] = "i3\tAmélie\t2001"
    files.write("latin-1")
    with pytest.raises(DataError, match=r"small\.item, line 5: byte 0xe9 is not UTF-8; .*--encoding=latin-1"):
        files.build()
    assert files.texts(encoding="latin-1")["i3"] == "Amélie (2001)"


def test_13_a_byte_order_mark_is_passed_over(files):
    files.inter[0] = "\ufeff" + files.inter[0]
    files.item[0] = "\ufeff" + files.item[0]
    assert told(files.write().samples()) == U0


def test_20_zeros_are_asked_about_and_left_out_where_they_mean_not_rated(files, caplog):
    for n in (2, 5):
        cells = files.inter[n].split("\t")
        files.inter[n] = "\t".join([*cells[:2], "0", cells[3]])
    files.write()
    with caplog.at_level(logging.WARNING):
        assert dict(told(files.samples()))["i4"] == 0
    assert "2 of 32 rows have rating 0 and count as dislikes" in caplog.text and "--val_interval" in caplog.text
    kept = files.samples(val_interval={"rating": "[1,inf)"})
    assert told(kept) == [pair for pair in U0 if pair[0] not in ("i3", "i4")]


def test_20_raw_book_crossing_leaves_out_zeros_and_says_so(tmp_path, caplog):
    folder = tmp_path / "book-crossing"
    folder.mkdir()
    lines = [f"u{u}\tb{(s * 3 + u) % 9}\t{0 if s % 2 else 3 + (u + s) % 7}" for u in range(6) for s in range(9)]
    (folder / "book-crossing.inter").write_text(
        "user_id:token\titem_id:token\trating:float\n" + "\n".join(lines) + "\n"
    )
    head = "item_id:token\tbook_title:token_seq\tbook_author:token_seq\tpublication_year:float\n"
    books = "".join(f"b{i}\tTitle {i}\tAuthor\t1990\n" for i in range(9))
    (folder / "book-crossing.item").write_text(head + books)
    with caplog.at_level(logging.INFO):
        config = APAConfig("APA", "book-crossing", config_dict={"data_path": str(tmp_path), "train_samples": None})
        part = make_dataset(config).build()[0]
    assert len(part.interactions) == 6 * 5 and (part.interactions.values > 0).all()
    assert "24 of 54 rows dropped by val_interval on rating" in caplog.text


def test_23_items_without_a_line_are_counted_or_called_by_their_id(files, caplog):
    del files.item[4]
    files.write()
    with caplog.at_level(logging.WARNING):
        assert told(files.samples()) == [pair for pair in U0 if pair[0] != "i3"]
    assert "4 interactions of 1 items are dropped (line 3, 16, 21, 26)" in caplog.text
    assert files.texts(filter_inter_by_user_or_item=False)["i3"] == "item i3"
    assert told(files.samples(filter_inter_by_user_or_item=False)) == U0


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda f: f.item.__setitem__(4, "i3\tFilm\t—"),
            r"small\.item, line 5: column year: found '—', expected a number",
        ),
        (lambda f: f.inter.__setitem__(0, "user_id\titem_id\trating\ttimestamp"), r"needs name:type .*user_id:token"),
        (lambda f: f.inter.__setitem__(slice(None), [x.replace("\t", " ") for x in f.inter]), "check field_separator"),
        (lambda f: f.inter.__setitem__(3, "u0\ti6\tinf\t2"), r"line 4: column rating: found 'inf', expected a number"),
        (lambda f: f.inter.__setitem__(3, "u0\ti6\t1e400\t2"), r"line 4: .*found '1e400', expected a finite number"),
        (lambda f: f.inter.__setitem__(3, "u0\ti6\t 2\t2"), r"line 4: column rating: found ' 2', expected a number"),
        (lambda f: f.inter.__setitem__(3, "u0\ti6\t2"), r"line 4: found 3 values, expected 4"),
        (lambda f: f.inter.__setitem__(0, HEAD.replace("item_id", "user_id")), "'user_id' occurs twice"),
        (
            lambda f: f.inter.__setitem__(0, HEAD.replace("user_id:token", "user_id:string")),
            "expected one of token, token_seq",
        ),
        (
            lambda f: f.inter.__setitem__(0, HEAD.replace("user_id", "customer")),
            "has no column 'user_id'.*found customer",
        ),
    ],
)
def test_24_25_what_is_wrong_is_named_by_file_line_column_and_value(files, spoil, says):
    spoil(files)
    with pytest.raises(DataError, match=says):
        files.write().build()


def test_two_stray_quotation_marks_join_no_rows(files):
    """Taken for a CSV writer's, they would make one title of two lines, and an item would be gone."""
    files.item[3:5] = ['i2\t"Heroes\t1982', 'i3\tVillains"\t1983']
    texts = files.write().texts()
    assert (texts["i2"], texts["i3"]) == ('"Heroes (1982)', 'Villains" (1983)')
    files.item[5] = 'i4\t"""O"" Is for Outlaw"\t1984'
    with pytest.raises(DataError, match=r"some quotation marks look like a CSV writer's and others like text"):
        files.write().build()


def test_likes_as_0_and_1_are_not_asked_about(files, caplog):
    """The advice would leave one label."""
    cells = [line.split("\t") for line in files.inter[1:]]
    files.inter[1:] = ["\t".join([*row[:2], str(int(float(row[2]) >= 4)), row[3]]) for row in cells]
    with caplog.at_level(logging.WARNING):
        files.write().samples(threshold={"rating": 1})
    assert "count as dislikes" not in caplog.text


def test_presplit_files_are_not_filtered_and_the_log_says_so(files, caplog):
    files.inter[3] = "u0\ti6\t0\t2"
    presplit(files)
    with caplog.at_level(logging.WARNING):
        part = files.build(benchmark_filename=["train", "valid", "test"], val_interval={"rating": "[1,inf)"})[0]
    assert len(part.interactions) == 32
    assert "val_interval: no effect on pre-split files" in caplog.text
    assert "1 of 32 rows have rating 0 and count as dislikes" in caplog.text


@pytest.mark.parametrize("kind", ["float", "token_seq"])
def test_ids_are_texts_whatever_the_header_calls_them(files, kind):
    files.inter = [line.replace("u0\t", "7\t").replace("\tu", "\t") for line in files.inter]
    files.inter[0] = HEAD.replace("user_id:token", f"user_id:{kind}")
    files.write()
    if kind == "float":
        assert told(files.samples("7")) == U0
    else:
        with pytest.raises(DataError, match="column 'user_id' has the type token_seq, expected user_id:token"):
            files.build()


def test_times_that_would_become_equal_and_ids_that_would_be_cut_are_refused(files):
    whole = list(files.inter)
    files.inter[4] = "u0\ti1\t5\t1700000000000000003"
    with pytest.raises(DataError, match=r"line 5: column timestamp: found 17\d{17}, expected less than 2\*\*53"):
        files.write().build()
    files.inter = whole
    files.inter[4] = "u0\ti1\0\t5\t3"
    with pytest.raises(DataError, match=r"line 5: column item_id: found 'i1\\x00', expected an id that does not end"):
        files.write().build()


def test_presplit_files_out_of_time_are_warned_of(files, caplog):
    presplit(files)
    path = files.folder / "small.test.inter"
    path.write_text(path.read_text() + "u0\ti1\t5\t2.5\n")
    with caplog.at_level(logging.WARNING):
        files.build(benchmark_filename=["train", "valid", "test"])
    assert "benchmark_filename: 1 rows of the training or validation file come after" in caplog.text


def test_items_without_titles_are_written_by_their_id(files):
    given = {"load_col": {**OPTIONS["load_col"], "item": ["item_id"]}, "item_text": "{item_id}"}
    assert files.write().texts(**given)["i3"] == "i3"
