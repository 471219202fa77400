"""Tables that RecBole's own models read are read strictly: ids, labels and times."""

import logging

import numpy as np
import pytest

from recbole_apa import APAConfig
from recbole_apa.core.errors import DataError

HEAD = "user_id:token\titem_id:token\trating:float\ttimestamp:float\tprice:float\n"


@pytest.fixture
def load(tmp_path):
    """Make RecBole's dataset of some model from the text of its ``.inter`` file."""

    def load_text(text, model="DeepFM", item=None, **options):
        from recbole.data import create_dataset

        folder = tmp_path / "d"
        folder.mkdir(exist_ok=True)
        (folder / "d.inter").write_text(text)
        if item:
            (folder / "d.item").write_text(item)
        given = {"data_path": str(tmp_path), "load_col": None, "threshold": {"rating": 4}, **options}
        return create_dataset(APAConfig(model, "d", config_dict=given))

    return load_text


def tokens(dataset, field):
    return dataset.field2id_token[field][dataset.inter_feat[field]].tolist()


ROWS = "u\ti\t5\t1\t1\nv\tj\t3\t2\t2\n"


def test_ids_that_look_like_missing_values_are_ids(load):
    dataset = load(
        HEAD + "NA\tnull\t5\t1\t1\nNone\ti\t3\t2\t2\nnan\tN/A\t4\t3\t\n",
        item="item_id:token\tyear:float\nnull\tNA\ni\t5\nN/A\t7\n",
    )
    assert tokens(dataset, "user_id") == ["NA", "None", "nan"]
    assert tokens(dataset, "item_id") == ["null", "i", "N/A"]
    assert dataset.inter_feat["price"].tolist() == [1, 2, 1.5]  # a feature is filled as ever
    assert dataset.item_feat["year"].tolist()[1:] == [6, 5, 7]


@pytest.mark.parametrize(("place", "column"), [(0, "user_id"), (1, "item_id"), (2, "rating"), (3, "timestamp")])
def test_a_row_without_id_label_or_time_is_left_out_and_its_line_named(load, caplog, place, column):
    cells = ["w", "k", "5", "3", "9"]
    cells[place] = ""
    with caplog.at_level(logging.WARNING):
        dataset = load(f"{HEAD}u\ti\t5\t1\t1\n\n" + "\t".join(cells) + "\nv\tj\t3\t2\t2\n")
    assert tokens(dataset, "user_id") == ["u", "v"] and dataset.inter_feat["label"].tolist() == [1, 0]
    assert f"1 rows have no {column} and are dropped: line 4" in caplog.text
    assert dataset.inter_feat["timestamp"].tolist() == [1, 2] and dataset.inter_feat["price"].tolist() == [1, 2]


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "NA", "—", "5 "])
@pytest.mark.parametrize(("place", "column"), [(2, "rating"), (3, "timestamp")])
def test_a_label_or_time_that_is_no_finite_number_is_refused(load, value, place, column):
    cells = ["w", "k", "5", "3", "9"]
    cells[place] = value
    with pytest.raises(DataError, match=rf"d\.inter, line 4: column {column}: found '{value}', expected a"):
        load(HEAD + ROWS + "\t".join(cells) + "\n")


def test_a_label_without_threshold_is_strict_too(load):
    head = HEAD.replace("rating", "label")
    with pytest.raises(DataError, match="column label: found 'nan'"):
        load(head + ROWS + "w\tk\tnan\t3\t9\n", threshold=None)
    # a rating that is nobody's label is a feature: 4 stands for the mean of 5 and 3
    dataset = load(HEAD + ROWS + "w\tk\t\t3\t9\n", model="BPR", threshold=None)
    assert dataset.inter_feat["rating"].tolist() == [5, 3, 4]


def test_ratings_declared_as_tokens_are_numbers(load):
    dataset = load(
        HEAD.replace("rating:float", "rating:token") + "u\ti\t3\t1\t1\nv\tj\t5\t2\t2\nu\tj\t4.0\t3\t3\nv\ti\t1\t4\t4\n"
    )
    assert dataset.inter_feat["label"].tolist() == [0, 1, 1, 0]


def test_times_declared_as_tokens_are_numbers_or_refused_by_name(load):
    head = HEAD.replace("timestamp:float", "timestamp:token")
    dataset = load(head + "u\ti\t3\t20\t1\nu\tj\t5\t3\t2\n")
    assert dataset.inter_feat["timestamp"].tolist() == [20, 3]
    says = r"line 2: column timestamp: found '2018-09-01', expected a number; the header declares timestamp:token"
    says += r", and labels and times are numbers \(seconds\): write numbers, and timestamp:float"
    with pytest.raises(DataError, match=says):
        load(head + "u\ti\t3\t2018-09-01\t1\n")


def test_an_empty_id_drops_its_own_row_and_no_other(load):
    rows = "u\ti\t5\t1\t1\n\ti\t5\t2\t1\nu\tj\t3\t3\t2\nu\t\t3\t4\t2\nv\tj\t5\t5\t3\nv\ti\t3\t6\t3\n"
    dataset = load(HEAD + rows)
    assert dataset.inter_feat["timestamp"].tolist() == [1, 3, 5, 6]


def test_files_split_beforehand_are_strict_too(load, tmp_path):
    (tmp_path / "d").mkdir()
    for part, rows in (("train", ROWS), ("valid", "NA\ti\t5\t3\t1\n"), ("test", "u\tj\t5\t4\t1\n\tj\t5\t5\t1\n")):
        (tmp_path / "d" / f"d.{part}.inter").write_text(HEAD + rows)
    dataset = load(HEAD, benchmark_filename=["train", "valid", "test"])
    assert tokens(dataset, "user_id") == ["u", "v", "NA", "u"]
    assert [len(part) for part in dataset.build()] == [2, 1, 1]


def test_quotation_marks_marks_of_byte_order_and_encodings(load, tmp_path):
    item = '\ufeffitem_id:token\ttitle:token_seq\ni\t"O" Is for Outlaw\nj\t"Two\n'
    dataset = load("\ufeff" + HEAD + ROWS, item=item)
    titles = dataset.field2id_token["title"][np.concatenate(dataset.item_feat["title"].tolist())]
    assert titles.tolist() == ['"O"', "Is", "for", "Outlaw", '"Two']
    (tmp_path / "d" / "d.item").write_bytes("item_id:token\ttitle:token_seq\ni\té\nj\tü\n".encode("latin-1"))
    assert "é" in load(HEAD + ROWS, encoding="latin-1").field2id_token["title"]
    with pytest.raises(DataError, match=r"d\.item, line 2: byte 0xe9 is not UTF-8"):
        load(HEAD + ROWS)


def test_numbers_of_a_sequence_that_are_none_are_refused_by_column(load):
    head = HEAD.replace("price:float", "vector:float_seq")
    with pytest.raises(DataError, match=r"d\.inter.*column vector: .*'x'"):
        load(head + "u\ti\t5\t1\t1 2\nv\tj\t3\t2\t1 x\n")
