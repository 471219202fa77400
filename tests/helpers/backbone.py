"""A tiny random Llama."""

from pathlib import Path


def write_backbone(folder: Path) -> Path:
    """A 4-layer random Llama (hidden 32) whose byte-level tokenizer knows " Yes" and " No" as one token each."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from benchmarks.random_llama import plain_tokenizer

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
