"""Names of a run's files, and of entries of its manifest."""

from typing import Final

TRAINING, COMPLETE = "training", "complete"
LINEAGE, METRICS, REPORT = "lineage.json", "metrics.json", "report.html"
PARTITION, EMBEDDINGS, MEMORY = "partition.json", "embeddings.safetensors", "memory.safetensors"
STATES = "states.safetensors"
MOVED = "moved:"
"""How the key of a shard begins that was moved by an approximate method, and not trained."""
KEY: Final = "key"
"""Names the key of digests, in manifest, ledger and certificates."""
BOARDS: Final = "boards"
"""Folders of tensorboard logs that the training, and its interrupted attempts, made."""
MACHINES: Final = "machines"
"""Kinds of machine, in manifest and certificates."""
LEDGER, CERTIFICATES, PENDING, FIGURES = "ledger.jsonl", "certificates", "pending", "figures"
