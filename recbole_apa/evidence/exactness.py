"""What "exact" means, in one place: certificate, plan and ``--help`` quote it, ``docs/exactness.md`` is held to it."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

INHERITED, STRICT, FRESH = "inherited", "strict", "fresh"
LEVELS = (INHERITED, STRICT, FRESH)
"""From what takes over most to what takes over nothing."""
DEFINITIONS = {
    INHERITED: "what training on the remaining data gives with the split, the draw and the assignment to shards of the "
    "training before",
    STRICT: "what training on the remaining data gives with the split and the draw of the training before; the "
    "assignment to shards is computed anew",
    FRESH: "what a training today on the dataset without those rows gives; nothing is taken over, split and draw "
    "included",
}
"""One line each: which state an exact request leaves."""

KEPT, ANEW, SAME = "taken over", "computed anew", "reused where a training gives the same"
PARTS: dict[str, tuple[str, str, str]] = {
    "split (which row is for training, validation, test)": (KEPT, KEPT, ANEW),
    "draw (which rows become samples) and its cutoffs": (KEPT, KEPT, ANEW),
    "histories of the samples": (ANEW, ANEW, ANEW),
    "item numbers": (ANEW, ANEW, ANEW),
    "item texts, read from the `.item` file": (ANEW, ANEW, ANEW),
    "number of shards": (KEPT, ANEW, ANEW),
    "assignment of samples to shards": (KEPT, ANEW, ANEW),
    "centres of the shards": (ANEW, ANEW, ANEW),
    "embeddings": (SAME, SAME, SAME),
    "adapters and where their training stopped": (SAME, SAME, SAME),
    "validation memory": (SAME, SAME, SAME),
    "tau and n, unless they are given": (ANEW, ANEW, ANEW),
    "figures, report, exports": (ANEW, ANEW, ANEW),
    "settings, seed, backbone": (KEPT, KEPT, KEPT),
}
"""Part of a run -> what becomes of it at each of :data:`LEVELS`."""
THIS_DATA, EARLIER = "this data", "inherited"
"""What a part of a state was computed of, as ``partition_of``, ``draw_of`` and ``centres_of`` of the manifest say."""


class _Request(Protocol):
    @property
    def content(self) -> Mapping[str, Any]: ...


def level_of(manifest: Mapping[str, object]) -> str | None:
    """The level that a state is of, after all its requests; None where there was none."""
    if "partition_of" not in manifest:
        return None
    if manifest["partition_of"] == EARLIER:
        return INHERITED
    return FRESH if manifest.get("draw_of") == THIS_DATA else STRICT


def exactness_of(requests: Iterable[_Request]) -> str:
    """The level at which requests are carried out together: the one that takes over least."""
    return max((e.content["exactness"] for e in requests), key=LEVELS.index, default=INHERITED)
