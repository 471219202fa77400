"""Names of a run's files, and of entries of its manifest."""

from typing import Final

NEXT_ITEMS: Final = "APANext"
"""The entry ``kind`` of manifests of runs of that model; those of APA have none."""
TRAINING, COMPLETE = "training", "complete"
LINEAGE, METRICS, REPORT = "lineage.json", "metrics.json", "report.html"
PARTITION, EMBEDDINGS, MEMORY = "partition.json", "embeddings.safetensors", "memory.safetensors"
STATES = "states.safetensors"
COLLABORATIVE = "collaborative"
"""The folder of collaborative statistics, their model's scores, and what is fitted on both."""
COLLABORATIVE_SUMS, COLLABORATIVE_SCORES, COMBINATION = (
    f"{COLLABORATIVE}/{name}" for name in ("sums.safetensors", "scores.safetensors", "combination.json")
)
ITEM_STATES = f"{COLLABORATIVE}/item_states.safetensors"
"""A language model's states of items' texts, where terms rest on them."""
COUNTED: Final = "counted"
"""Which rows collaborative statistics are counted from, in manifests."""
MOVED = "moved:"
"""Prefix of the key of a shard that was moved by an approximate method instead of trained."""
KEY: Final = "key"
"""Names the key of digests, in manifest, ledger and certificates."""
BOARDS: Final = "boards"
"""Folders of TensorBoard logs that the training, and its interrupted attempts, made."""
TO_MAKE: Final = "to_make"
"""What a state lacks that was left at once, in manifests and certificates: figures and report."""
EVALUATED: Final = "evaluated_as"
"""With that: the option ``variants`` that figures are made with."""
MACHINES: Final = "machines"
"""Kinds of machine, in manifest and certificates."""
REGISTERED_BY: Final = "registered_by"
"""Modules outside the package that registered what a run uses, in manifests."""
LEDGER, CERTIFICATES, PENDING, FIGURES = "ledger.jsonl", "certificates", "pending", "figures"
PIECES = "pieces.json"
"""Sample id -> number of the piece that it is trained in, for numbers above 0; only in a run that has grown."""
POINTS = "points"
"""In the folder of a shard: its adapter as it was before each later place."""
SLICE_ORDER = "slice_order.json"
"""Keyed digest of a user -> slice, of those whom the option ``slice_order`` named."""
PREFIXES = "prefixes.json"
"""Shard -> the first place that its adapter was not trained on, [piece, slice]; only while a run serves prefixes."""
INCOMING = "incoming"
"""The folder of rows that join the run, from before their line is in the ledger until they are in the index."""
SCRATCH: Final = ".recbole-apa-rows"
"""Rows that RecBole's models read from files, only while they are trained (:mod:`recbole_apa.runs.scratch`)."""
APART = (LEDGER, CERTIFICATES, PENDING, INCOMING)
"""What lies beside a state, and is no part of it."""
INDEX = "index"
"""The folder of the index of what the run may see (:mod:`recbole_apa.data.index`)."""


def point_name(piece: int, cut: int) -> str:
    """The restart point before a place, e.g. ``01.00``: before the first slice of piece 1."""
    return f"{piece:02d}.{cut:02d}"


def shard_name(shard: int, point: str = "") -> str:
    """The folder of a shard's adapter, ``shards/003``, or of one of its points, ``shards/003/points/01.00``."""
    return f"shards/{shard:03d}" + (f"/{POINTS}/{point}" if point else "")
