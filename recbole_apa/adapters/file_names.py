"""Names of the files in the folder of an adapter; PEFT reads and writes the first."""

ADAPTER = "adapter_model.safetensors"
MOMENTS = "optimizer.safetensors"
"""Ours: the optimiser's moments, beside an adapter that a further slice goes on from."""
