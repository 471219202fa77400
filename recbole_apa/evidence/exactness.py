"""The definition of "exact", quoted by certificate, plan and ``--help``; a test checks ``docs/exactness.md``."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

INHERITED, STRICT, FRESH = "inherited", "strict", "fresh"
LEVELS = (INHERITED, STRICT, FRESH)
"""From the level that keeps most of the earlier state to the one that keeps nothing."""
DEFINITIONS = {
    INHERITED: "what training on the remaining data gives with the split, the draw and the assignment to shards of the "
    "training before",
    STRICT: "what training on the remaining data gives with the split and the draw of the training before; the "
    "assignment to shards is computed anew",
    FRESH: "what a training today on the dataset without those rows gives; nothing is taken over, split and draw "
    "included",
}
"""For each level, one line on the state after an exact request."""
IN_ORDER = "with the additions in their order"
"""What each of these lines says besides where a run has grown and its samples are in several pieces."""

KEPT, ANEW, SAME = "taken over", "computed anew", "reused where a training gives the same"
PARTS: dict[str, tuple[str, str, str]] = {
    "split (which row is for training, validation, test)": (KEPT, KEPT, ANEW),
    "draw (which rows become samples) and its cutoffs": (KEPT, KEPT, ANEW),
    "histories of the samples": (ANEW, ANEW, ANEW),
    "item numbers": (ANEW, ANEW, ANEW),
    "item texts, read from the `.item` file": (ANEW, ANEW, ANEW),
    "number of shards": (KEPT, ANEW, ANEW),
    "assignment of samples to shards": (KEPT, ANEW, ANEW),
    "centres of the shards": (SAME, ANEW, ANEW),
    "embeddings": (SAME, SAME, SAME),
    "adapters and where their training stopped": (SAME, SAME, SAME),
    "validation memory": (SAME, SAME, SAME),
    "collaborative statistics and their combination": (ANEW, ANEW, ANEW),
    "states of item texts (`evidence_content: states`)": (SAME, SAME, SAME),
    "RecBole models of the evidence (`evidence_models`)": (ANEW, ANEW, ANEW),
    "tau and n, unless they are given": (ANEW, ANEW, ANEW),
    "figures, report, exports": (ANEW, ANEW, ANEW),
    "settings, seed, backbone": (KEPT, KEPT, KEPT),
}
"""Part of a run -> what happens to it at each of :data:`LEVELS`."""
THIS_DATA, EARLIER = "this data", "inherited"
"""What a part of a state was computed from: values of ``partition_of``, ``draw_of``, ``centres_of`` in the manifest."""


class _Request(Protocol):
    @property
    def content(self) -> Mapping[str, Any]: ...


def level_of(manifest: Mapping[str, object]) -> str | None:
    """The level of a state after all its requests; None if there were none."""
    if "partition_of" not in manifest:
        return None
    if manifest["partition_of"] == EARLIER:
        return INHERITED
    return FRESH if manifest.get("draw_of") == THIS_DATA else STRICT


def definition(level: str | None, is_grown: bool) -> str:
    """The line for a level, or for a run that has grown and forgot nothing; empty if it did neither.

    Args:
        level: None if there were no requests.
        is_grown: whether training samples are in later pieces than the first.
    """
    if level is None:
        return f"training {IN_ORDER}" if is_grown else ""
    return f"{DEFINITIONS[level]}, {IN_ORDER}" if is_grown else DEFINITIONS[level]


def exactness_of(requests: Iterable[_Request]) -> str:
    """The level at which requests are carried out together: the one that keeps least."""
    return max((e.content["exactness"] for e in requests), key=LEVELS.index, default=INHERITED)
