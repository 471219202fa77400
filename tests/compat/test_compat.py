"""What the hook does to RecBole for models other than APA: ids, label and time strict, all else as it was."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.helpers.places import ROOT


def python(code, *args, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()


@pytest.mark.slow
def test_the_package_is_light_to_import():
    heavy = "{'recbole', 'torch', 'pandas', 'pyarrow', 'numpy', 'transformers', 'ray'}"
    assert python(f"import sys, recbole_apa; print(sorted({heavy} & set(sys.modules)))") == ["[]"]


HOOKED = "; import recbole.data.dataset.dataset as d; print(d.Dataset._load_feat.__module__, d.__loader__.name)"
OURS, NAME = "recbole_apa.compat.load_feat", "recbole.data.dataset.dataset"
FIND = "import importlib.util; found = importlib.util.find_spec('recbole.data.dataset.dataset'); assert found"


@pytest.mark.slow
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


@pytest.mark.slow
def test_it_can_be_turned_off():
    order = "import recbole_apa, recbole.data; recbole_apa.compat.install()"
    assert python(order + HOOKED, RECBOLE_APA_COMPAT="0") == [f"{NAME} {NAME}"]


def test_subclasses_and_the_original_are_there():
    from recbole.data.dataset import Dataset, KnowledgeBasedDataset, SequentialDataset

    for kind in (Dataset, SequentialDataset, KnowledgeBasedDataset):
        assert kind._load_feat.__module__ == OURS
        assert kind.recbole_load_feat.__module__ == NAME


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


@pytest.mark.slow
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
