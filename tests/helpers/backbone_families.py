"""Tiny random models of many families, with windows so short that every prompt reaches beyond them."""

import shutil

import torch
import transformers

WINDOW = 5
ALL = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
UPPER_WINDOWS = {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 3}
NARROW = {"head_dim": 8, "sliding_window": WINDOW}
FAMILIES = {
    "Llama": {},
    "Mistral": {"sliding_window": WINDOW},
    "Gemma": {"head_dim": 8},
    "Gemma2": {**NARROW, "final_logit_softcapping": 2.0},
    "Gemma3Text": NARROW,
    "Qwen2": UPPER_WINDOWS,
    "Qwen3": {**UPPER_WINDOWS, "head_dim": 8},
    "Olmo2": {},
    "Olmo3": {"sliding_window": WINDOW},
    "Cohere2": {"sliding_window": WINDOW},
    "SmolLM3": {"no_rope_layer_interval": 2},
    "Phi3": {"sliding_window": WINDOW},
    "Granite": {"logits_scaling": 3.0, "residual_multiplier": 0.5, "embedding_multiplier": 2.0},
}
FUSED = {"Phi3": ("qkv_proj",)}
"""Names of layers for adapters, where they are not q_proj and v_proj."""
GEMMA3N = {
    **NARROW,
    "num_kv_shared_layers": 2,
    "vocab_size_per_layer_input": 320,
    "hidden_size_per_layer_input": 8,
    "laurel_rank": 4,
    "activation_sparsity_pattern": [0.0] * 8,
    "layer_types": (["sliding_attention"] * 3 + ["full_attention"]) * 2,
}


def write_model(family, options, tokenizer_folder, target):
    """A model of a family, float32, with a tokenizer of another folder."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**{**ALL, **options})
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(target)
    for file in tokenizer_folder.glob("tokenizer*"):
        shutil.copy(file, target)
    return target
