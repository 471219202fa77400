"""Fixtures: a tiny random Llama with a tokenizer of its own, and a small dataset whose likes follow a rule."""

import os
import time
from pathlib import Path

import pytest

import recbole_apa  # noqa: F401  before torch: how its threads wait is read when it is loaded

# set before any test imports tokenizers
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """CI has an hour: tests that would begin after ``TESTS_END_AT`` (seconds since 1970) are skipped, and named."""
    end = os.environ.get("TESTS_END_AT")
    if end and time.time() > float(end):
        pytest.skip("no time is left (TESTS_END_AT)")


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 4-layer random Llama (hidden 32) whose byte-level tokenizer knows " Yes" and " No" as one token each."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from benchmarks.random_llama import plain_tokenizer

    folder = tmp_path_factory.mktemp("backbone")
    plain_tokenizer().save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``board/``: 12 users who rated 16 of 20 items; user u likes item i iff u + i is even (a checkerboard)."""
    folder = tmp_path_factory.mktemp("data")
    write_board(folder / "board", timestamps=True)
    write_board(folder / "timeless", timestamps=False)
    return folder


def write_board(folder: Path, timestamps: bool, n_users: int = 12, n_items: int = 20) -> None:
    """Write the checkerboard as RecBole's atomic files."""
    folder.mkdir()
    head = "user_id:token\titem_id:token\trating:float" + ("\ttimestamp:float" if timestamps else "")
    lines = [head]
    for user in range(n_users):
        for step in range(16):
            item = (step * 3 + user // 2) % n_items
            rating = 5 if (user + item) % 2 == 0 else 2
            lines.append(f"u{user}\ti{item}\t{rating}" + (f"\t{1000 * user + step}" if timestamps else ""))
    (folder / f"{folder.name}.inter").write_text("\n".join(lines) + "\n")
    items = ["item_id:token\ttitle:token_seq\tyear:float"]
    items += [f"i{i}\t{'Even' if i % 2 == 0 else 'Odd'} Film {i}\t{1980 + i}" for i in range(n_items)]
    (folder / f"{folder.name}.item").write_text("\n".join(items) + "\n")


@pytest.fixture(scope="session")
def options(backbone_folder: Path, data_folder: Path) -> dict:
    """Options of a run that takes a few seconds."""
    return {
        "data_path": str(data_folder),
        "backbone": str(backbone_folder),
        "dtype": "float32",
        "trunk_layers": 2,
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "title", "year"]},
        "item_text": "{title} ({year})",
        "MAX_ITEM_LIST_LENGTH": 4,
        "train_samples": 30,
        "valid_samples": 12,
        "test_samples": 12,
        "n_shards": 3,
        "epochs": 2,
        "train_batch_size": 4,
        "learning_rate": 0.01,
        "show_progress": False,
        "seed": 1,
    }


@pytest.fixture(scope="session")
def work_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RecBole writes ``log`` and ``log_tensorboard`` where it is started: here."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(autouse=True, scope="session")
def _key_file(tmp_path_factory: pytest.TempPathFactory):
    """Nobody's own key file is read or written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECBOLE_APA_KEY_FILE", str(tmp_path_factory.mktemp("keys") / "keys.json"))
        yield


@pytest.fixture(autouse=True)
def _in_work_folder(work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work_folder)


@pytest.fixture(scope="session")
def finished(options: dict, work_folder: Path):
    """One finished run, shared by the tests that only read it."""
    from recbole_apa import run

    here = Path.cwd()
    os.chdir(work_folder)
    try:
        return run("APA", "board", config_dict=options, run_dir=work_folder / "finished")
    finally:
        os.chdir(here)
