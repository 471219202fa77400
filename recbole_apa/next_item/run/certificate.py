"""What a certificate of a run of APANext says: JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from recbole_apa.evidence import Key
from recbole_apa.next_item.run.opened import NextItemRun

FORMAT = 1
PACKAGES = ("recbole-apa", "recbole", "torch", "transformers", "safetensors", "numpy", "scikit-learn")
_TODAY = "what a training today on {} without those rows gives"
_INHERITED = "what training on the remaining data gives with the assignment of users to shards of the training before"
BY_NAME = (
    "The shard of each user follows from the user's name alone. Of shards in which nobody changed all was kept but "
    "what requests at once had left for later: a training today that leaves the same out gives the bits that they have."
)
BY_STATES = "The shard of each remaining user was chosen when the forgotten data was still there."
HEADS = (
    " Of the heads of changed shards nothing is taken over: sums are whole numbers, the forgotten part was subtracted "
    "from them, and what is left has the bits of a count without it."
)
ADAPTED = (
    " The drafts of changed shards were deleted before anything else; their adapters and drafts were trained again, "
    "from the start that all shards have."
)
"""Added where titles or codes are trained."""
RESTARTED = (
    " The drafts of changed shards were deleted before anything else, and trained again; so were their adapters, each "
    "from its restart point before the first slice that holds a user who changed, which has seen nobody of that slice "
    "or later ones ('slices' says how many are kept)."
)
"""Added in its place where slices of a changed shard were kept."""
_OPTIONAL = ("slices", "at_once", "caught_up")
DROPPED = (
    " The drafts of changed shards were deleted before anything else; with the state before went their adapters, and "
    "every restart point of a slice after the first that changed. No adapter and no draft was trained."
)
"""Added in its place where the request was carried out at once."""
CODED = " The codes that they write stay: they are made of the item file's texts, in which no user has a part."
"""Added where codes are trained."""
LEFT = (
    "The dataset's own files are not this program's to change: remove the rows of the .inter file as well. The run "
    "stays valid with or without them. It needs the .item file as it is, with the lines of items that were forgotten.",
    "Digests in ledger and certificate are keyed. Whoever holds the run folder alone cannot tell from them who was "
    "forgotten; whoever holds the key file too can tell it of any candidate whose identifier he has.",
    "Deleted files are unlinked; what a storage device keeps of unlinked blocks is up to that device.",
)


@dataclass(frozen=True)
class NextItemCertificate:
    """Its fields are the names in the JSON file."""

    request: Mapping[str, object]
    """``position``, ``time`` and ``digest`` of its line in the ledger; ``n_interactions``; ``interactions``, keyed."""
    exactness: str
    means: str
    kept: str
    users: Mapping[str, int]
    """``changed`` and, among them, ``gone``."""
    shards: Mapping[str, Sequence[int] | int]
    """``changed``: those whose sums, head, adapter and draft are others; and the ``total``."""
    files: Mapping[str, Mapping[str, str | None]]
    """File of the state -> keyed digests ``before`` and ``after``."""
    figures: Mapping[str, Mapping[str, float | None]]
    """Figure of what is served -> ``before`` and ``after``."""
    seconds: Mapping[str, float]
    machine: Mapping[str, str]
    key: str
    left_outside: Sequence[str]
    """Files with recommendations of a state before, and what else this program cannot remove."""
    slices: Mapping[str, Mapping[str, int]] | None = None
    """Of changed shards (:func:`~recbole_apa.next_item.title_slices.kept_slices`); written only where there are any."""
    at_once: Mapping[str, object] | None = None
    """After a request at once (:func:`served_at_once`); written only then."""
    caught_up: Sequence[int] | None = None
    """Shards whose adapters requests at once had left for later, and which this one trained; written only if any."""

    def plain(self) -> dict[str, object]:
        """As it is written."""
        content = {name: value for name, value in asdict(self).items() if name not in _OPTIONAL or value is not None}
        return {
            "format": FORMAT,
            "title": f"Certificate of forgetting, next items (exact{'' if self.at_once is None else ', at once'})",
            "completed": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "versions": _versions(),
            **content,
        }


def means(run: NextItemRun, inherits: bool, keeps: bool) -> str:
    """A definition of exact.

    Args:
        run: in its new state.
        inherits: whether users stay in the shards of the training before.
        keeps: whether anything was taken over, which a training today would give in the same bits.
    """
    if inherits:
        return _INHERITED + left_out(run)
    rows = "the dataset and the rows that have joined, in their order," if len(run.data.added) else "the dataset"
    return _TODAY.format(rows) + "; nothing is taken over" * (not keeps) + left_out(run)


def served_at_once(run: NextItemRun) -> dict[str, object]:
    """What a certificate says of a state that a request at once has left: ``without_adapter``, the shards that have
    none until they are trained; ``prefixes``, how many slices of a ``total`` are ``served`` of others that lack some;
    and ``to_make``, what is missing, in a sentence."""
    ends, total = run.state.learnt.ends, run.options.settings.shard_slices
    prefixes = {f"{shard:03d}": {"served": end, "total": total} for shard, end in sorted(ends.items()) if end}
    return {"without_adapter": run.without_adapter, "prefixes": prefixes, "to_make": run.later}


def left_out(run: NextItemRun) -> str:
    """What a definition of exact says besides after requests at once; empty for a run that is whole."""
    ends = {f"{shard:03d}": end for shard, end in sorted(run.state.learnt.ends.items())}
    lacks = ", ".join(shard for shard, end in ends.items() if not end)
    early = ", ".join(f"{shard} before slice {end + 1}" for shard, end in ends.items() if end)
    parts = [f"; adapters and drafts of shards {lacks} are left out"] if lacks else []
    parts += [f"; there is no draft, and training ends early, in shards {early}"] if early else []
    return "".join(parts) + ", until --catch_up" * bool(parts)


def keyed_files(before: Mapping[str, str], after: Mapping[str, str], key: Key) -> dict[str, dict[str, str | None]]:
    """Each file's digests, keyed: a plain digest of a state would tell of what was in it."""

    def keyed(digest: str | None) -> str | None:
        return None if digest is None else key.keyed(digest)

    names = sorted({*before, *after})
    return {name: {"before": keyed(before.get(name)), "after": keyed(after.get(name))} for name in names}


def _versions() -> dict[str, str]:
    out = {}
    for name in PACKAGES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed"
    return out
