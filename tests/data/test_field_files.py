"""People's ordinary files, as public bug reports describe them: each with the value that is right."""

import csv
import logging
from pathlib import Path

import pytest

from recbole_apa import APAConfig, audit, run, unlearn, verify
from recbole_apa.core.errors import DataError
from recbole_apa.data.samples import Sample
from recbole_apa.pipeline.datasets import make_dataset

OPTIONS = {
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "title", "year"]},
    "item_text": "{title} ({year})",
    "threshold": {"rating": 4},
    "train_samples": None,
    "valid_samples": None,
    "test_samples": None,
    "MAX_ITEM_LIST_LENGTH": 3,
    "show_progress": False,
}
HEAD = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
ITEM_HEAD = "item_id:token\ttitle:token_seq\tyear:float"


@pytest.fixture
def files(tmp_path):
    """Four users who rated eight items. u0: i0 5 t0; i3 5 t1; i6 2 t2; i1 5 t3; i4 2 t4; i7 5 t5; i2 2 t6; i5 5 t7."""
    return Files(tmp_path / "small")


class Files:
    """Atomic files that tests spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.inter = [HEAD]
        for u in range(4):
            for s in range(8):
                i = (s * 3 + u) % 8
                self.inter.append(f"u{u}\ti{i}\t{5 if (u * u + i + s) % 3 < 2 else 2}\t{1000 * u + s}")
        self.item = [ITEM_HEAD, *(f"i{i}\tFilm Number {i}\t{1980 + i}" for i in range(8))]

    def write(self, encoding: str = "utf-8") -> "Files":
        for kind in ("inter", "item"):
            text = "\n".join(getattr(self, kind)) + "\n"
            (self.folder / f"small.{kind}").write_text(text, encoding=encoding, newline="")
        return self

    def build(self, **options):
        config = APAConfig("APA", "small", config_dict={**OPTIONS, "data_path": str(self.folder.parent), **options})
        return make_dataset(config).build()

    def samples(self, user: str = "u0", **options) -> list[Sample]:
        """All samples of a user by time."""
        found = [s for part in self.build(**options) for s in part.samples if s.user_id == user]
        return sorted(found, key=lambda s: int(s.sample_id.split(":")[2]))

    def texts(self, **options) -> dict[str, str]:
        part = self.build(**options)[0]
        return dict(zip(map(str, part.field2id_token["item_id"]), part.item_texts, strict=True))


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
        f"small.inter: 1 rows have no {HEAD.split()[column].split(':')[0]} and are left out: line {line + 1}"
        in caplog.text
    )


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
    assert "2 of 32 rows have rating 0 and are taken for dislikes" in caplog.text and "--val_interval" in caplog.text
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
    assert "24 of 54 rows left out by val_interval on rating" in caplog.text


def test_23_items_without_a_line_are_counted_or_called_by_their_id(files, caplog):
    del files.item[4]
    files.write()
    with caplog.at_level(logging.WARNING):
        assert told(files.samples()) == [pair for pair in U0 if pair[0] != "i3"]
    assert "4 interactions of 1 items are left out (line 3, 16, 21, 26)" in caplog.text
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
        (lambda f: f.inter.__setitem__(0, HEAD.replace("item_id", "user_id")), "'user_id' stands twice"),
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


def pairs_of(dataset) -> set[tuple[str, str]]:
    return set(zip(dataset.interactions.users, dataset.interactions.items, strict=True))


def presplit(files: Files) -> Files:
    """The same rows in three files: each user's last row for testing, the one before for validation."""
    files.write()
    parts = {"train": range(6), "valid": [6], "test": [7]}
    for name, places in parts.items():
        lines = [line for line in files.inter[1:] if int(line.split("\t")[3]) % 1000 in places]
        (files.folder / f"small.{name}.inter").write_text("\n".join([HEAD, *lines]) + "\n")
    (files.folder / "small.inter").unlink()
    return files


@pytest.mark.parametrize("exactness", ["inherited", "strict"])
def test_01_rows_of_presplit_files_are_forgotten(files, options, tmp_path, exactness):
    """TRUST.md 1: 8 interactions, 0 samples affected, a certificate, and u1 in every prompt still."""
    presplit(files)
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    changes["benchmark_filename"] = ["train", "valid", "test"]
    changes["export_samples"] = str(tmp_path / "export")
    made = run("APA", "small", config_dict=changes, run_dir=tmp_path / "run")
    splits = made.data[0]._dataset.splits
    assert {name: len(part) for name, part in splits.items()} == {"train": 20, "valid": 4, "test": 4}
    done = unlearn(tmp_path / "run", users=["u1"], exactness=exactness)
    assert (done.plan.n_interactions, len(done.plan.affected)) == (8, 7)
    left = done.outcomes[0].result.data[0]._dataset
    assert "u1" not in set(left.interactions.users) | {s.user_id for part in left.splits.values() for s in part}
    assert "u1" not in (tmp_path / "export" / "train.jsonl").read_text()
    assert audit(tmp_path / "run").findings == [] and verify(tmp_path / "run").differences == []


@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize("exactness", ["inherited", "strict"])
def test_a_forgotten_pair_does_not_come_back_through_a_filter(files, options, tmp_path, keep, exactness):
    """TRUST.md 2: u3 rated i16 three times; hiding the row that survived let the next duplicate in."""
    files.inter += [f"u3\ti1\t{rating}\t{3000 + time}" for rating, time in ((5, 20), (2, 40), (5, 60))]
    files.inter += [f"u3\ti{i}\t{rating}\t{3100 + i}" for i, rating in ((5, 5), (6, 2), (7, 5))]
    files.write()
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    made = run("APA", "small", config_dict={**changes, "rm_dup_inter": keep}, run_dir=tmp_path / "run")
    assert ("u3", "i1") in pairs_of(made.data[0]._dataset)
    done = unlearn(tmp_path / "run", interactions=[("u3", "i1")], exactness=exactness)
    assert done.plan.n_interactions == 4  # all of them, not the one that the filter had let through
    left = done.outcomes[0].result.data[0]._dataset
    assert ("u3", "i1") not in set(zip(left.interactions.users, left.interactions.items, strict=True))
    assert not any(
        e.item_id == "i1" for part in left.splits.values() for s in part if s.user_id == "u3" for e in s.history
    )
    assert audit(tmp_path / "run").holds and verify(tmp_path / "run").holds


def test_what_filters_keep_out_can_be_forgotten_too(files, options, tmp_path):
    """u9 has too few rows to be in any sample; deleting other rows must not let them in later."""
    files.inter += ["u9\ti1\t5\t9000"]
    files.write()
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    run("APA", "small", config_dict={**changes, "user_inter_num_interval": "[3,inf)"}, run_dir=tmp_path / "run")
    done = unlearn(tmp_path / "run", users=["u9"])
    assert done.plan.n_interactions == 1 and not done.plan.affected and done.certificates
    assert "u9" not in set(done.outcomes[0].result.data[0]._dataset.raw_interactions.users)
    assert audit(tmp_path / "run").holds


def test_ids_with_colons_and_blanks_are_not_taken_for_others(files, options, tmp_path):
    """User "a:b" of item "c" and user "a" of item "b:c" have the same row id; only one of them is forgotten."""
    rows = [("a:b", "c"), ("a", "b:c")]
    for n, (user, item) in enumerate(rows):
        files.inter += [f"{user}\ti{i}\t{5 if i % 2 else 2}\t{100 + 10 * n + i}" for i in range(5)]
        files.inter.append(f"{user}\t{item}\t5\t500")
        files.inter += [f"{user}\ti{i}\t{5 if i % 2 else 2}\t{600 + 10 * n + i}" for i in range(5, 8)]
        files.item.append(f"{item}\tFilm {item}\t1999")
    files.write()
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    run("APA", "small", config_dict=changes, run_dir=tmp_path / "run")
    done = unlearn(tmp_path / "run", interactions=[rows[0]])
    pairs = pairs_of(done.outcomes[0].result.data[0]._dataset)
    assert rows[1] in pairs and rows[0] not in pairs
    assert audit(tmp_path / "run").holds and verify(tmp_path / "run").holds


def test_two_stray_quotation_marks_join_no_rows(files):
    """Taken for a CSV writer's, they would make one title of two lines, and an item would be gone."""
    files.item[3:5] = ['i2\t"Heroes\t1982', 'i3\tVillains"\t1983']
    texts = files.write().texts()
    assert (texts["i2"], texts["i3"]) == ('"Heroes (1982)', 'Villains" (1983)')
    files.item[5] = 'i4\t"""O"" Is for Outlaw"\t1984'
    with pytest.raises(DataError, match=r"some quotation marks look like a CSV writer's and others like text"):
        files.write().build()


def test_presplit_files_are_not_filtered_and_the_log_says_so(files, caplog):
    files.inter[3] = "u0\ti6\t0\t2"
    presplit(files)
    with caplog.at_level(logging.WARNING):
        part = files.build(benchmark_filename=["train", "valid", "test"], val_interval={"rating": "[1,inf)"})[0]
    assert len(part.interactions) == 32
    assert "val_interval: no effect on files that were split beforehand" in caplog.text
    assert "1 of 32 rows have rating 0 and are taken for dislikes" in caplog.text


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


def test_a_run_without_test_samples_left_still_holds(files, options, tmp_path):
    files.write()
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    made = run("APA", "small", config_dict=changes, run_dir=tmp_path / "run")
    tested = [(s.user_id, s.item_id) for s in made.data[0]._dataset.splits["test"]]
    unlearn(tmp_path / "run", interactions=tested)
    assert audit(tmp_path / "run").findings == []


def test_items_without_titles_are_written_by_their_id(files):
    given = {"load_col": {**OPTIONS["load_col"], "item": ["item_id"]}, "item_text": "{item_id}"}
    assert files.write().texts(**given)["i3"] == "i3"
