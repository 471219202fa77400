"""A certificate for each request: JSON for programs, and a page that a data officer can read."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from recbole_apa.core.files.whole import write_json, write_text
from recbole_apa.data.splits import SPLITS
from recbole_apa.evaluation.report.pages import render
from recbole_apa.evidence import Key
from recbole_apa.evidence.exactness import FRESH, INHERITED, STRICT, definition
from recbole_apa.runs.index_files import with_index_as_one
from recbole_apa.runs.names import MACHINES, TO_MAKE
from recbole_apa.unlearning.earlier_certificates import APPROXIMATE_BEFORE, KEYED_LATER, MEANING_BEFORE
from recbole_apa.unlearning.plan import ADDED, DROPPED, LEFT_OUT, REWRITTEN, Plan
from recbole_apa.unlearning.statistics_check import StatisticsDone

FORMAT = 2
"""Format 1 had plain digests of files, and salted digests of rows."""
FIRST_FORMAT = "first_format"
"""Names the format that a certificate was first written in, if its digests were keyed later."""
IN_PIECES, STATISTICS, SLICES, SERVED = "in_pieces", "statistics", "slices", "served"
PACKAGES = ("recbole-apa", "recbole", "torch", "transformers", "peft", "safetensors", "numpy", "pandas", "scikit-learn")
_POINT = "from the restart point before the first"
_FROM = {
    (False, False): "from its start",
    (True, False): "from its start or, where only samples changed that had been added, from what it was before these",
    (False, True): f"from its start, or {_POINT} slice that holds a changed sample",
    (True, True): f"from its start, or {_POINT} slice or addition that holds a changed sample",
}
"""Where a training begins again, by whether the run has grown and whether its shards are cut into slices."""
_TRAINED = "Every adapter whose samples changed was trained again on what remains, {}. "
_KEPT = {
    INHERITED: "What is taken over was computed when the forgotten data was still there: which samples lie in which "
    "shard, which of them are for training, validation and test, and which were drawn. No centre of a shard "
    "contains any of it: each is computed of what remains.",
    STRICT: "What is taken over was computed when the forgotten data was still there: which samples are for training, "
    "validation and test, and which were drawn.",
    FRESH: "Samples may have changed from one split to another, or have come in, for that reason alone; figures before "
    "and after may be of different samples.",
}
FROM_PREFIX = (
    "Nothing was trained: the adapter of every shard that had seen forgotten data was replaced by the one kept from "
    "before the first slice that saw any of it, or left out where none was, and all that was kept from later was "
    "deleted. The state is exact, from a prefix: what training gives on what remains, if it ends, in each shard named "
    "below, after the slices that are served. What is missing is trained later (--catch_up); figures and report are "
    "made then, and the old ones were deleted. "
)
"""Of a request that was carried out at once."""
NO_PREFIX = (
    "Nothing was trained, and no adapter has to be: each one that is served has learnt all that remains of its shard, "
    "and nothing of what was forgotten. The state is {}; but RecBole models of the evidence, if there are any, have no "
    "terms until they are trained again. What is named below is made later (--catch_up); the old one was deleted. "
)
"""Of one that left every shard all of its slices."""
APPROXIMATE = (
    "Each affected shard's adapter was moved by an approximate method, starting from the one that had learnt the "
    "forgotten data; it was not trained again. How much of that data it still holds is not known, and neither an audit "
    "nor a verification of this run holds until the next exact request: whatever that names, it also trains the moved "
    f"adapters again or, if it is carried out at once, no longer serves them. {_KEPT[INHERITED]}"
)
MIXED = "What had seen the forgotten data was computed again or deleted. "
"""In place of a definition, for a run whose parts come from several kinds of machine: no training from scratch gives
exactly its bits."""
LEFT = (
    "Text logs of earlier processes hold aggregate figures (losses, AUC) and no identifiers; the manifest lists them "
    "under outside.logs. A log that an older version wrote in a program that made several runs may hold "
    "those of others.",
    "The dataset's own files are not this program's to change: remove the rows there as well. The run stays valid "
    "with or without them.",
    "Digests in ledger and certificate are keyed. Whoever holds the run folder alone cannot tell from them who was "
    "forgotten; whoever holds the key file too can tell it of any candidate whose identifier he has.",
    "Deleted files are unlinked; what a storage device keeps of unlinked blocks is up to that device.",
)


@dataclass(frozen=True)
class CertifiedRequest:
    """The request that a certificate is for."""

    position: int
    """Its line in the ledger."""
    time: str
    digest: str
    """Digest of that line."""
    n_interactions: int
    interactions: Sequence[str]
    """Keyed digests."""
    served_together: int
    """How many requests were carried out together."""


@dataclass(frozen=True)
class Certificate:
    """What a certificate says about one request; its fields are the names in the JSON file."""

    request: CertifiedRequest
    title: str
    method: str
    run: str
    completed: str
    exactness: str
    affected: Mapping[str, Mapping[str, int]]
    """Split -> kind of change -> samples."""
    shards: Mapping[str, int | Sequence[int]]
    """``trained`` and ``switched_off``, and the number in ``total``."""
    seconds: Mapping[str, float | None]
    """Of ``training``, and of the ``full_training`` of the whole state; without evaluation. After a request at once
    ``training`` is 0, and ``without_training`` what all of it took, without opening the run."""
    figures: Mapping[str, Mapping[str, float | None]]
    """Title -> ``before`` and ``after``."""
    seed: int
    bit_exact: bool
    machines: Mapping[str, object]
    fused_shards: int
    versions: Mapping[str, str]
    files: Mapping[str, Mapping[str, str | None]]
    """File -> keyed digests ``before`` and ``after``."""
    key: str
    """Name of the key used for the digests."""
    removed_outside: Sequence[str]
    rewritten_outside: Sequence[str]
    left_outside: Sequence[str]
    statistics: StatisticsDone | None = None
    """Of a run with collaborative statistics; written only there."""
    in_pieces: bool = False
    """Whether the run has grown, and has training samples in several pieces; written only if it is so."""
    slices: Mapping[str, int] | None = None
    """Of an exact request to a run whose shards are cut into slices: how many were ``trained``, of a ``total`` that
    have samples."""
    served: Mapping[str, Mapping[str, int]] | None = None
    """After a request at once: shard -> how many slices are ``served``, of ``total``, for those that lack some."""
    to_make: Sequence[str] | None = None
    """After a request at once: what is made later."""
    format: int = FORMAT


def affected_counts(plan: Plan) -> dict[str, dict[str, int]]:
    """Affected samples by split and kind."""
    kinds = (DROPPED, REWRITTEN, *((ADDED, LEFT_OUT) if plan.exactness == FRESH else ()))
    return {s: {kind: plan.count(s, kind) for kind in kinds} for s in SPLITS}


def write_certificate(folder: Path, certificate: Certificate) -> tuple[Path, Path]:
    """Write ``0001.json`` and ``0001.html``, named by the request's place in the ledger."""
    content = asdict(certificate)
    for name in (IN_PIECES, STATISTICS, SLICES, SERVED, TO_MAKE):
        if content[name] is None or content[name] is False:
            del content[name]
    return write_again(folder, content)


def write_again(folder: Path, content: Mapping[str, Any]) -> tuple[Path, Path]:
    """Like :func:`write_certificate`, from the content of a certificate file, perhaps of an older version.

    Args:
        content: the parsed JSON file.
    """
    name = f"{content['request']['position']:04d}"
    write_json(folder / f"{name}.json", content)
    page = render(
        "certificate.html",
        f"Certificate {name}",
        c=content,
        meaning=_meaning(content),
        machines=_machines(content),
        left=LEFT,
        name=name,
    )
    write_text(folder / f"{name}.html", page)
    return folder / f"{name}.json", folder / f"{name}.html"


def _meaning(content: Mapping[str, Any]) -> str:
    """What kind of state a request left."""
    exact, level = content["method"] == "exact", content["exactness"]
    if content.get(FIRST_FORMAT, FORMAT) < FORMAT:
        return (MEANING_BEFORE[level] if exact else APPROXIMATE_BEFORE) + KEYED_LATER
    if not exact:
        return APPROXIMATE
    is_grown = content.get(IN_PIECES, False)
    if content.get(TO_MAKE):
        is_cut = content.get(SERVED) != {}
        return (FROM_PREFIX if is_cut else NO_PREFIX.format(definition(level, is_grown))) + _KEPT[level]
    is_comparable = bool(_machines(content)["comparable"])
    return meaning(level, is_grown, content.get(SLICES) is not None, is_comparable)


def meaning(level: str, is_grown: bool, is_sliced: bool, is_comparable: bool = True) -> str:
    """What an exact request left.

    Args:
        level: its exactness.
        is_grown: whether training samples are in several pieces.
        is_sliced: whether shards are cut into slices.
        is_comparable: whether all parts come from one kind of machine.
    """
    state = f"The state is {definition(level, is_grown)}. " if is_comparable else MIXED
    return _TRAINED.format(_FROM[is_grown, is_sliced]) + state + _KEPT[level]


def _machines(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a certificate says about machines; those of older versions say nothing."""
    said: Mapping[str, Any] = content.get(MACHINES) or {"says": "", "retrained": False, "comparable": True}
    return said


def changed_files(before: Mapping[str, str], after: Mapping[str, str], key: Key) -> dict[str, dict[str, str | None]]:
    """Keyed digests of every file that differs, the index as one; None where there was, or is, no file. A certificate
    outlives the files: with plain digests, anyone could test by guessing whether a deleted file was made from certain
    rows."""

    def keyed(digests: Mapping[str, str], name: str) -> str | None:
        return key.keyed(digests[name]) if name in digests else None

    before, after = with_index_as_one(before), with_index_as_one(after)
    names = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    return {n: {"before": keyed(before, n), "after": keyed(after, n)} for n in names}


def versions() -> dict[str, str]:
    """Software and machine that computed the state."""
    import torch

    out = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    for name in PACKAGES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed (a checkout)"
    return {**out, "torch threads": str(torch.get_num_threads())}
