"""Names of the files that PEFT reads and writes."""

ADAPTER = "adapter_model.safetensors"
