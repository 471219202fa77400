"""A language model, a dataset and options so small that a run takes a second."""

import json
from pathlib import Path
from typing import Any

DATASET = "board"
OPTIONS: dict[str, Any] = {
    "dtype": "float32",
    "trunk_layers": 1,
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "title", "year"]},
    "item_text": "{title} ({year})",
    "MAX_ITEM_LIST_LENGTH": 3,
    "train_samples": 12,
    "valid_samples": 6,
    "test_samples": 6,
    "n_shards": 2,
    "epochs": 1,
    "train_batch_size": 4,
    "learning_rate": 0.01,
    "show_progress": False,
    "seed": 1,
}


def write_tiny(folder: Path) -> dict[str, Any]:
    """A random Llama and a dataset in ``folder``; the options of a run of them."""
    _write_llama(folder / "backbone")
    write_board(folder / "data" / DATASET)
    return {**OPTIONS, "data_path": str(folder / "data"), "backbone": str(folder / "backbone")}


def write_config(path: Path, options: dict[str, Any]) -> Path:
    """Options as a file for ``--config_files``: JSON is YAML."""
    path.write_text(json.dumps(options, indent=1))
    return path


def _write_llama(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(["Film (1990): Yes\nFilm (1991): No\nYes No\n"] * 20, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=320, num_key_value_heads=1, max_position_embeddings=512, **shape)
    LlamaForCausalLM(config).save_pretrained(folder)


def write_board(folder: Path, n_users: int = 8, n_items: int = 12, n_rows: int = 10) -> None:
    """Users who each rated some items, by a checkerboard's rule."""
    folder.mkdir(parents=True)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(n_users):
        for step in range(n_rows):
            item = (step * 5 + user // 2) % n_items
            lines.append(f"u{user}\ti{item}\t{5 if (user + item) % 2 == 0 else 2}\t{1000 * user + step}")
    (folder / f"{DATASET}.inter").write_text("\n".join(lines) + "\n")
    items = ["item_id:token\ttitle:token_seq\tyear:float"]
    items += [f"i{i}\t{'Even' if i % 2 == 0 else 'Odd'} Film {i}\t{1980 + i}" for i in range(n_items)]
    (folder / f"{DATASET}.item").write_text("\n".join(items) + "\n")
