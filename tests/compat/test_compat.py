"""What the hook does to RecBole for models other than APA: ids, label and time strict, all else as it was."""

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from recbole_apa import APAConfig
from recbole_apa.core.errors import DataError
from tests.helpers.places import ROOT


def python(code, *args, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()


# --- when and how it takes effect -------------------------------------------------------------------------------------


def test_the_package_is_light_to_import():
    heavy = "{'recbole', 'torch', 'pandas', 'pyarrow', 'numpy', 'transformers', 'ray'}"
    assert python(f"import sys, recbole_apa; print(sorted({heavy} & set(sys.modules)))") == ["[]"]


HOOKED = "; import recbole.data.dataset.dataset as d; print(d.Dataset._load_feat.__module__, d.__loader__.name)"
OURS, NAME = "recbole_apa.compat.load_feat", "recbole.data.dataset.dataset"
FIND = "import importlib.util; found = importlib.util.find_spec('recbole.data.dataset.dataset'); assert found"


@pytest.mark.parametrize(
    "order",
    [
        "import recbole_apa; recbole_apa.compat.install(); from recbole.quick_start import run_recbole",
        "from recbole.data.dataset import Dataset; import recbole_apa; recbole_apa.compat.install()",
        # who only asks for the module does not use the hook up
        f"import recbole_apa; {FIND}; import recbole.data.dataset.dataset as d, importlib; importlib.reload(d)",
    ],
)
def test_recbole_is_repaired_whatever_was_imported_first(order):
    assert python(order + HOOKED) == [f"{OURS} {NAME}"]


def test_it_can_be_turned_off():
    order = "import recbole_apa, recbole.data; recbole_apa.compat.install()"
    assert python(order + HOOKED, RECBOLE_APA_COMPAT="0") == [f"{NAME} {NAME}"]


def test_subclasses_and_the_original_are_there():
    from recbole.data.dataset import Dataset, KnowledgeBasedDataset, SequentialDataset

    for kind in (Dataset, SequentialDataset, KnowledgeBasedDataset):
        assert kind._load_feat.__module__ == OURS
        assert kind.recbole_load_feat.__module__ == NAME


# --- features as they were, tensor for tensor -------------------------------------------------------------------------

DIGESTS = """
import hashlib, json, sys, warnings
warnings.filterwarnings("ignore")
import numpy as np, torch
from recbole_apa import APAConfig
from recbole.data import create_dataset

def digest(value):
    h = hashlib.sha256()
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    h.update(f"{value.dtype} {value.shape} ".encode())
    h.update(json.dumps(value.tolist()).encode() if value.dtype == object else value.tobytes())
    return h.hexdigest()

def told(dataset):
    out = {}
    for feat in ("inter_feat", "user_feat", "item_feat", "kg_feat"):
        for field, value in getattr(getattr(dataset, feat, None), "interaction", {}).items():
            out[f"{feat}.{field}"] = digest(value)
    for field, tokens in dataset.field2id_token.items():
        out[f"tokens.{field}"] = digest(tokens)
    for name in ("field2type", "field2source", "field2seqlen", "field2bucketnum"):
        out[name] = str({k: str(v) for k, v in getattr(dataset, name).items()})
    return out

found = {}
for name, (model, data, options) in json.loads(sys.argv[1]).items():
    config = APAConfig(model, data, config_dict=options)
    torch.manual_seed(0)
    dataset = create_dataset(config)
    parts = dataset.build()
    found[name] = [told(part) for part in parts]
    found[name][0]["loader"] = type(dataset)._load_feat.__module__
print(json.dumps(found))
"""
MISSING = ["", "NA", "nan", "null", "None", "N/A", "NaN", "#N/A", "<NA>"]
EVERYTHING = {"load_col": None, "show_progress": False}
POINTWISE = {**EVERYTHING, "threshold": {"rating": 4}, "train_neg_sample_args": None}
SEQUENTIAL = {**EVERYTHING, "train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": 5}
CONFIGURATIONS = {
    "BPR": ("BPR", EVERYTHING),
    "BPR, k-core": ("BPR", {**EVERYTHING, "user_inter_num_interval": "[3,inf)", "item_inter_num_interval": "[2,inf)"}),
    "LightGCN": ("LightGCN", {"load_col": {"inter": ["user_id", "item_id"]}}),
    "Pop, unload": ("Pop", {"load_col": None, "unload_col": {"inter": ["price", "tags"], "user": ["history"]}}),
    "DeepFM": ("DeepFM", POINTWISE),
    "FM, lengths": ("FM", {**POINTWISE, "seq_len": {"tags": 2, "vector": 1, "history": 9}}),
    "WideDeep, by value": ("WideDeep", {**POINTWISE, "val_interval": {"price": "[2,inf)", "kind": ["x", "y"]}}),
    "xDeepFM, normalized": ("xDeepFM", {**POINTWISE, "normalize_field": ["price"], "numerical_features": ["price"]}),
    "SASRec": ("SASRec", SEQUENTIAL),
    "GRU4Rec, features": ("GRU4RecF", {**SEQUENTIAL, "selected_features": ["kind"]}),
    "DIN": ("DIN", {**POINTWISE, "MAX_ITEM_LIST_LENGTH": 5}),
    "BPR, all rows": ("BPR", {**EVERYTHING, "filter_inter_by_user_or_item": False, "rm_dup_inter": "last"}),
}


def write_gaps(folder):
    """A dataset without a fault but gaps in its features, and users and items that only partly overlap."""
    rng = np.random.default_rng(5)

    def gap(value, often=0.3):
        return str(rng.choice(MISSING)) if rng.random() < often else str(value)

    def words(n):
        return gap(" ".join(rng.choice(["a", "b", "c", "NA", "é"], size=rng.integers(1, n))))

    def floats():
        return gap(" ".join(f"{v:.3f}" for v in rng.normal(size=rng.integers(1, 4))))

    lines = [
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\tprice:float\tcontext:token\ttags:token_seq\tvector:float_seq"
    ]
    times = rng.permutation(300)
    for time in times:
        cells = [f"u{rng.integers(12)}", f"i{rng.integers(20)}", rng.choice(["1", "3.5", "4", "5"]), str(time)]
        lines.append(
            "\t".join([*cells, gap(f"{rng.normal() * 10:.7g}"), gap(rng.choice(["q", "r"])), words(5), floats()])
        )
    items = ["item_id:token\tkind:token\tyear:float\ttitle:token_seq"]
    items += [f"i{i}\t{gap(rng.choice(['x', 'y', 'z']))}\t{gap(1980 + i)}\t{words(4)}" for i in range(3, 24)]
    items.append("i4\tx\t1999\tsaid twice")
    users = ["user_id:token\tage:float\tjob:token\thistory:token_seq"]
    users += [f"u{u}\t{gap(20 + u / 3)}\t{gap('clerk')}\t{words(6)}" for u in range(1, 14)]
    folder.mkdir()
    for kind, text in (("inter", lines), ("item", items), ("user", users)):
        (folder / f"gaps.{kind}").write_text("\n".join(text) + "\n")


# what RecBole 1.2.1 reads by itself with numpy 1.26.4, pandas 2.3.3 and scipy 1.12.0, from asked_of and DIGESTS as they
# stand here, run at commit 835ee77 with RECBOLE_APA_COMPAT=0
AS_RELEASED = json.loads((ROOT / "tests" / "data" / "recbole_tables.json").read_text())


def asked_of(folder):
    """Configuration -> model, dataset and options, for ``DIGESTS``."""
    write_gaps(folder / "gaps")
    own = {"data_path": str(folder), "checkpoint_dir": str(folder)}
    asked = {name: (model, "gaps", {**own, **options}) for name, (model, options) in CONFIGURATIONS.items()}
    everything = {"load_col": None}
    asked |= {
        "ml-100k, BPR": ("BPR", "ml-100k", everything),
        "ml-100k, DeepFM": ("DeepFM", "ml-100k", {**everything, "threshold": {"rating": 4}}),
        "ml-100k, SASRec": ("SASRec", "ml-100k", {"train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": 3}),
        "ml-100k, KGAT": ("KGAT", "ml-100k", {}),
    }
    return asked


@pytest.fixture(scope="module")
def digests(tmp_path_factory):
    """Configuration -> what RecBole's datasets hold, with the strict reader and without."""
    options = json.dumps(asked_of(tmp_path_factory.mktemp("compat")))
    with ThreadPoolExecutor() as both:  # each waits for a process of its own
        said = both.map(lambda on: python(DIGESTS, options, RECBOLE_APA_COMPAT=on), "10")
        return [json.loads(lines[-1]) for lines in said]


@pytest.mark.parametrize("name", [*CONFIGURATIONS, *(f"ml-100k, {m}" for m in ("BPR", "DeepFM", "SASRec", "KGAT"))])
def test_other_models_get_the_same_tensors(digests, name):
    released = AS_RELEASED[name]
    for found, loader in zip([found[name] for found in digests], (OURS, NAME), strict=True):
        assert found[0]["loader"] == loader and released[0]["loader"] == NAME
        assert len(found) == len(released) == 3
        for before, now in zip(released, found, strict=True):
            differing = {key for key in before | now if before.get(key) != now.get(key)}
            assert differing - {"loader"} == set()
            assert any(key.startswith("inter_feat.") for key in now)


# --- ids, label and time are strict -----------------------------------------------------------------------------------

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
    assert f"1 rows have no {column} and are left out: line 4" in caplog.text
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
