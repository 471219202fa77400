"""Stacked per-sample LoRA: pure torch, knows neither RecBole nor transformers."""
