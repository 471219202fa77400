"""A small dataset of chains: whoever chose item i chooses item i + 1 next, more often than not."""

import shutil
from pathlib import Path

import pytest
import torch

from recbole_apa.backbone.load import load_backbone
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.next_item.backbone_states import HistoryStates
from recbole_apa.next_item.data import read_next_data
from recbole_apa.next_item.options import read_options
from recbole_apa.next_item.run.opened import NextItemRun
from recbole_apa.next_item.state import NextItemState
from recbole_apa.next_item.titles import TitleModel
from recbole_apa.next_item.user_rows import RowReader
from tests.helpers.inside import inside
from tests.helpers.next_item_runs import SLICED, TITLES, train
from tests.helpers.small_adapters import Adapted, fitted

N_USERS, N_ITEMS = 14, 18


def write_chains(folder: Path) -> None:
    """Users of different lengths, one with two items and one with one; item i17 is nobody's."""
    folder.mkdir()
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(N_USERS):
        for step in range({0: 1, 1: 2}.get(user, 5 + user % 6)):
            item = (user + step + (user % 3 == 0 and step == 2)) % (N_ITEMS - 1)
            lines.append(f"u{user}\ti{item}\t{1 + step % 5}\t{100 * user + step}")
    (folder / f"{folder.name}.inter").write_text("\n".join(lines) + "\n")
    items = ["item_id:token\ttitle:token_seq\tyear:float"]
    items += [f"i{i}\tFilm number {i}\t{1980 + i}" for i in range(N_ITEMS)]
    (folder / f"{folder.name}.item").write_text("\n".join(items) + "\n")


@pytest.fixture(scope="session")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that contains ``chains/``."""
    folder = tmp_path_factory.mktemp("next_item")
    write_chains(folder / "chains")
    return folder


@pytest.fixture(scope="session")
def next_options(chains: Path, backbone_folder: Path) -> dict[str, object]:
    """Options of a run that takes a second."""
    return {
        "data_path": str(chains),
        "backbone": str(backbone_folder),
        "dtype": "float32",
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "title", "year"]},
        "item_text": "{title}",
        "MAX_ITEM_LIST_LENGTH": 6,
        "n_shards": 3,
        "partition": "semantic_user",
        "show_progress": False,
        "seed": 1,
    }


@pytest.fixture(scope="session")
def read(next_options, work_folder):
    """Options, data and reader of the small dataset."""
    with inside(work_folder):
        options = read_options("chains", given=next_options)
        data = read_next_data(options.data, options.stem, VisibleData())
        backbone = load_backbone(options.backbone, torch.device("cpu"))
        return options, data, RowReader(HistoryStates(backbone, options.settings.history_length), data.catalogue)


@pytest.fixture(scope="module")
def state(adapted: Adapted) -> NextItemState:
    """A training of the module's ``adapted``."""
    return fitted(adapted)


@pytest.fixture(scope="module")
def model(adapted: Adapted) -> TitleModel:
    """What writes titles with the frozen backbone of the module's ``adapted``."""
    _, data, reader = adapted
    return TitleModel(reader.states.decoder, reader.states.encoder, data.catalogue)


@pytest.fixture(scope="session")
def head_run(next_options, work_folder) -> NextItemRun:
    """A run of heads alone; tests change copies of it."""
    return train(next_options, work_folder / "head_run")


@pytest.fixture(scope="session")
def title_run(next_options, work_folder) -> NextItemRun:
    """A run with adapters; likewise."""
    return train(next_options, work_folder / "title_run", **TITLES)


@pytest.fixture(scope="session")
def sliced_run(next_options, work_folder) -> NextItemRun:
    """A run whose adapters were trained in slices; likewise."""
    return train(next_options, work_folder / "sliced_run", **SLICED)


@pytest.fixture
def folder(made: NextItemRun, tmp_path: Path) -> Path:
    """A copy of the run that the module has made, which the test may change."""
    return Path(shutil.copytree(made.folder, tmp_path / "run"))


@pytest.fixture
def plain(made: NextItemRun, tmp_path: Path) -> Path:
    """Another copy, for ordinary requests."""
    return Path(shutil.copytree(made.folder, tmp_path / "plain"))
