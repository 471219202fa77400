"""Llamas with random weights: measuring speed, or whether a device computes alike, needs no trained ones.

python -m benchmarks.random_llama --shape=7b --out=/data/llama-7b       # 13 GB in bfloat16
python -m benchmarks.inference --backbone=/data/llama-7b --shards=4,16,64 --out=benchmarks/results/inference_7b.json
python -m benchmarks.training --backbone=/data/llama-7b --out=benchmarks/results/training_7b.json
"""

import argparse
import copy
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast

from recbole_apa.backbone.default_model import packaged_model_folder
from recbole_apa.backbone.load import Backbone

SHAPES = {
    # Llama-2-7B's
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
    "1b": {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32},
    # heads of 64, as in large models, so that the attention kernels are the same
    "small": {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4},
    "tiny": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4},
}
N_WORDS = 32_000
"""Llama 2's vocabulary."""


def plain_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and a few words, " Yes" and " No" as one token each; needs no file and no network."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["Film (1990): Yes\nFilm (1991): No\nYes No\n"] * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def random_llama(shape: str, device: torch.device | str, n_words: int = N_WORDS, dtype: Any = torch.bfloat16) -> Any:
    """Frozen weights, drawn on their final device and in their final type."""
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=n_words, **SHAPES[shape]), dtype=dtype)
    return model.requires_grad_(False).eval()


def random_backbone(shape: str, device: torch.device | str) -> Backbone:
    """Only in memory, as seven billion weights take a minute to write, read and digest."""
    return Backbone(f"random {shape}", "", random_llama(shape, device), plain_tokenizer(), f"random {shape}")


def sharing_weights(backbone: Backbone) -> Backbone:
    """The same with its own modules, into which other adapters can be put; the weights exist once."""
    model: Any = backbone.model
    weights = itertools.chain(model.parameters(), model.buffers())
    return replace(backbone, model=copy.deepcopy(model, {id(weight): weight for weight in weights}))


def write_random_llama(folder: Path, shape: str, device: str, tokenizer: Any = None) -> Path:
    """Write weights, drawn on ``device``, and tokenizer into ``folder``.

    Args:
        tokenizer: None means the default backbone's, which may have to be fetched.
    """
    tokenizer = tokenizer or AutoTokenizer.from_pretrained(packaged_model_folder("smollm2-135m"))
    random_llama(shape, device, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="7b")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    print(write_random_llama(given.out, given.shape, given.device))


if __name__ == "__main__":
    main()
