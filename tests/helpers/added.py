"""Rows that join the small run, and what holds of it then."""

from recbole_apa import audit, verify
from recbole_apa.runs.names import INCOMING
from recbole_apa.runs.store import RunStore

START = 90_000
"""Seconds; after everything that the board has."""
ARTEFACTS = ("embeddings.safetensors", "memory.safetensors", "metrics.json")


def later(user, n=16, start=START, liked=0):
    return [(user, f"i{k % 20}", 5 if (k + liked) % 2 == 0 else 2, start + k) for k in range(n)]


def holds(folder):
    audited, verified = audit(folder), verify(folder)
    assert audited.findings == [] and verified.differences == []
    assert not (folder / INCOMING).exists() and not (folder / "pending").exists()


def samples(folder):
    lineage = RunStore(folder).lineage()
    return {name: lineage[file] for name, file in zip(("train", "valid", "test"), ARTEFACTS, strict=True)}
