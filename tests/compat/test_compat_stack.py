"""What RecBole needs on today's numpy, pandas, scipy and torch: each repair, on whatever is installed."""

import importlib
import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_apa.compat import checkpoints, stack
from recbole_apa.compat.repairs import REPAIRS
from recbole_apa.core.errors import SettingsError
from tests.helpers.places import ROOT
from tests.helpers.recbole_data import dataset_of

HEAD = "user_id:token\titem_id:token\trating:float\tprice:float\tkind:token\ttags:token_seq\tvector:float_seq\n"


GAPS = HEAD + "u\ti\t5\t1\tx\ta b\t1 2\nv\tj\t4\t\t\t\t\nu\tj\t3\t3\ty\tb\t\nv\ti\t2\t5\tx\t\t4\n"


def test_missing_values_are_filled(tmp_path):
    """Silent under pandas 3: NaN for the number, -1 for the token."""
    rows = dataset_of(GAPS, tmp_path).inter_feat
    assert rows["price"].tolist() == [1, 3, 3, 5]
    assert rows["kind"].tolist() == [1, 0, 2, 1]
    assert [list(cell) for cell in rows["tags"]] == [[1, 2], [], [2], []]
    assert [list(cell) for cell in rows["vector"]] == [[1, 2], [], [], [4]]


@pytest.mark.slow
def test_missing_values_of_recboles_own_reading_are_filled_too(tmp_path):
    """``RECBOLE_APA_COMPAT=0``, a file without missing lists (those RecBole's own reading refuses under pandas 3)."""
    text = GAPS.replace("\ttags:token_seq\tvector:float_seq", "")
    text = "\n".join("\t".join(line.split("\t")[:5]) for line in text.splitlines()) + "\n"
    code = (
        "import sys; from pathlib import Path; import recbole_apa\n"
        "from tests.helpers.recbole_data import dataset_of\n"
        "rows = dataset_of(sys.argv[1], Path(sys.argv[2])).inter_feat\n"
        "print(rows['price'].tolist(), rows['kind'].tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, text, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RECBOLE_APA_COMPAT": "0"},
        cwd=tmp_path,
    )
    assert done.stdout.splitlines()[-1:] == ["[1.0, 3.0, 3.0, 5.0] [1, 0, 2, 1]"], done.stderr[-2000:]


def test_numpys_old_names_are_there_and_its_own_stay():
    class Found:
        class Config:
            pass

    kept = {name: vars(np)[name] for name in ("bool", "long") if name in vars(np)}
    stack.numpy_names(Found)
    Found.Config().compatibility_settings()
    assert (np.int, np.float, np.object, np.str) == (np.int_, np.float64, np.object_, np.str_)
    assert all(vars(np)[name] is kind for name, kind in kept.items())
    assert np.dtype(np.bool) == np.dtype(bool)


def test_lists_are_counted_cell_by_cell(tmp_path):
    whole = dataset_of(GAPS.replace("token_seq", "float_seq").replace("a b", "1 9").replace("\tb\t", "\t5\t"), tmp_path)
    assert whole.field2seqlen["tags"] == 2
    import pandas as pd

    for name in ("dataset", "kg_dataset", "sequential_dataset"):
        module = importlib.import_module(f"recbole.data.dataset.{name}")
        cells = pd.Series([np.array([1, 2]), np.array([]), np.array([3])])
        assert cells.agg(vars(module)["len"]).tolist() == [2, 0, 1]
        assert vars(module)["len"]([1, 2, 3]) == 3


def test_normalised_lists_keep_their_rows(tmp_path):
    rows = dataset_of(GAPS, tmp_path, normalize_field=["vector"]).inter_feat["vector"]
    # from [1, 4] to [0, 1], row by row: 1 2 | | | 4
    assert [list(cell) for cell in rows] == [pytest.approx([0, 1 / 3]), [], [], [1]]


def test_a_matrix_of_cells_is_filled():
    import scipy.sparse as sp

    importlib.import_module("recbole.model.abstract_recommender")
    matrix = sp.dok_matrix((2, 3), dtype=np.float32)
    matrix._update({(0, 1): 1, (1, 2): 2})
    assert matrix.toarray().tolist() == [[0, 1, 0], [0, 0, 2]]


@pytest.fixture
def trained(tmp_path):
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer

    given = {"epochs": 1, "show_progress": False, "checkpoint_dir": str(tmp_path), "embedding_size": 4, "topk": [10]}
    config = Config("BPR", "ml-100k", config_dict=given)
    loaders = data_preparation(config, create_dataset(config))
    trainer = get_trainer(config["MODEL_TYPE"], "BPR")(config, get_model("BPR")(config, loaders[0]._dataset))
    trainer.fit(loaders[0], loaders[1], show_progress=False)
    return trainer, loaders


@pytest.mark.slow
def test_the_best_state_is_loaded(trained):
    trainer, loaders = trained
    best = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    with torch.no_grad():
        trainer.model.user_embedding.weight.zero_()
    trainer.evaluate(loaders[2], load_best_model=True)
    assert all(torch.equal(best[name], value) for name, value in trainer.model.state_dict().items())
    trainer.resume_checkpoint(trainer.saved_model_file)
    assert trainer.start_epoch == 1


def test_a_checkpoint_from_elsewhere_is_not_unpickled(trained, tmp_path, monkeypatch):
    trainer, loaders = trained
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return Path.touch, (ran,)

    torch.save({"state_dict": {}, "config": Hostile()}, tmp_path / "theirs.pth")
    Path(trainer.saved_model_file).write_bytes((tmp_path / "theirs.pth").read_bytes())  # exchanged after it was written
    for ask in (
        lambda: trainer.evaluate(loaders[2], model_file=str(tmp_path / "theirs.pth")),
        lambda: trainer.evaluate(loaders[2]),
        lambda: trainer.resume_checkpoint(tmp_path / "theirs.pth"),
    ):
        with pytest.raises(SettingsError, match=r"is a pickle written by another process.*TRUST_CHECKPOINTS=1"):
            ask()
    assert not ran.exists()
    monkeypatch.setenv(checkpoints.TRUST, "1")
    with pytest.raises(KeyError):
        trainer.resume_checkpoint(tmp_path / "theirs.pth")
    assert ran.exists()


def test_what_is_no_file_of_this_process_goes_to_torch_or_is_refused(tmp_path):
    mine = importlib.import_module("recbole.trainer.trainer").torch
    torch.save({"a": torch.ones(2)}, tmp_path / "plain.pt")
    assert mine.load(tmp_path / "plain.pt", weights_only=True)["a"].tolist() == [1, 1]
    with pytest.raises(SettingsError, match="written by another process"):
        mine.load(tmp_path / "plain.pt")
    with pytest.raises(SettingsError, match="written by another process"):
        mine.load(io.BytesIO((tmp_path / "plain.pt").read_bytes()))


@pytest.mark.parametrize(
    "name", sorted(r.module for r in REPAIRS if r.by == "checkpoints:own_torch" and "model" in r.module)
)
def test_models_that_begin_with_other_weights_load_what_this_process_wrote(name, tmp_path):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(str(error))
    importlib.import_module("recbole.trainer.trainer").torch.save({"state_dict": {"w": 1}, "any": dict}, tmp_path / "w")
    assert module.torch.load(tmp_path / "w") == {"state_dict": {"w": 1}, "any": dict}


PRETRAIN = """
import sys, glob, recbole_apa
from recbole.quick_start import run_recbole
folder, sys.argv = sys.argv[1], sys.argv[:1]
own = {"hidden_size": 8, "inner_size": 8, "n_layers": 1, "n_heads": 1, "MAX_ITEM_LIST_LENGTH": 5}
own |= {"train_neg_sample_args": None, "epochs": 1, "show_progress": False, "user_inter_num_interval": "[300,inf)"}
own |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]}}
own["checkpoint_dir"] = folder
run_recbole("S3Rec", "ml-100k", config_dict={**own, "pretrain_epochs": 1, "save_step": 1})
weights = glob.glob(folder + "/*.pth")[0]
found = run_recbole("S3Rec", "ml-100k", config_dict={**own, "train_stage": "finetune", "pre_model_path": weights})
print(sorted(found["test_result"]))
"""


@pytest.mark.slow
def test_s3rec_is_trained_in_its_two_stages(tmp_path):
    done = run_python(PRETRAIN, str(tmp_path / "weights"), cwd=tmp_path)
    assert "ndcg@10" in done.stdout.splitlines()[-1]


def run_python(code, *args, cwd, **variables):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, cwd=cwd, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


WORKERS = """
import multiprocessing, sys
multiprocessing.set_start_method("forkserver")  # the default of Python 3.14
import recbole_apa
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
sys.argv = sys.argv[:1]
config = Config("BPR", "ml-100k", config_dict={"worker": 2, "user_inter_num_interval": "[300,inf)"})
print(len(next(iter(data_preparation(config, create_dataset(config))[0]))))
"""


@pytest.mark.slow
def test_loaders_have_workers_however_processes_are_started_elsewhere(tmp_path):
    assert int(run_python(WORKERS, cwd=tmp_path).stdout.splitlines()[-1]) > 0


def test_warnings_are_kept_from_recboles_modules_alone(recwarn):
    for name, quiet in (("recbole.data.dataset", True), ("recbole", True), ("recbole_apa.x", False), ("other", False)):
        recwarn.clear()
        stack.quiet(importlib.import_module("recbole.data.dataset.dataset"))
        for category in (FutureWarning, DeprecationWarning, UserWarning):
            warnings.warn_explicit("it is deprecated", category, f"{name}.py", 1, module=name)
        assert len(recwarn) == (0 if quiet else 3), name


RELOADED = """
import importlib, sys
import recbole_apa
from recbole_apa.compat import recbole_compat
importlib.reload(recbole_compat).install()
for name in [n for n in sys.modules if n.startswith("recbole_apa")]:
    del sys.modules[name]
import recbole_apa
import recbole.data.dataset.dataset as found, copy, pickle
copy.copy(found.__loader__)
print(found.Dataset._load_feat.__module__, sum(getattr(f, "repairs_recbole", False) for f in sys.meta_path))
"""


@pytest.mark.slow
def test_a_package_that_is_loaded_again_hooks_in_once(tmp_path):
    assert run_python(RELOADED, cwd=tmp_path).stdout.splitlines()[-1] == "recbole_apa.compat.load_feat 1"
