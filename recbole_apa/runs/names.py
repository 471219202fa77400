"""Names of a run's files, and of entries of its manifest."""

from typing import Final

TRAINING, COMPLETE = "training", "complete"
LINEAGE, METRICS, REPORT = "lineage.json", "metrics.json", "report.html"
PARTITION, EMBEDDINGS, MEMORY = "partition.json", "embeddings.safetensors", "memory.safetensors"
STATES = "states.safetensors"
MOVED = "moved:"
"""Prefix of the key of a shard that was moved by an approximate method instead of trained."""
KEY: Final = "key"
"""Names the key of digests, in manifest, ledger and certificates."""
BOARDS: Final = "boards"
"""Folders of TensorBoard logs that the training, and its interrupted attempts, made."""
MACHINES: Final = "machines"
"""Kinds of machine, in manifest and certificates."""
REGISTERED_BY: Final = "registered_by"
"""Modules outside the package that registered what a run uses, in manifests."""
LEDGER, CERTIFICATES, PENDING, FIGURES = "ledger.jsonl", "certificates", "pending", "figures"
