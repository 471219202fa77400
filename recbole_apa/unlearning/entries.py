"""What manifest and report say about the state that requests lead to."""

from collections.abc import Mapping, Sequence

from recbole_apa.core.files.whole import read_json
from recbole_apa.evidence.exactness import EARLIER, FRESH, INHERITED, THIS_DATA
from recbole_apa.runs.counted import n_forgotten
from recbole_apa.runs.ledger import Entry
from recbole_apa.runs.ledger_lines import REQUEST
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import METRICS
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.kept_partition import is_of_samples


def about_state(
    before: Manifest, served: Sequence[Entry], exactness: str, plain_ids: bool, kept: bool
) -> dict[str, object]:
    """What the manifest says about the new state.

    Args:
        served: the requests and additions that led to it.
        plain_ids: as in the manifest.
        kept: whether the partition stays as it was.
    """
    partition_of = EARLIER if exactness == INHERITED else THIS_DATA
    return {
        "full_training": before.get("full_training", {}),
        "forgotten": n_forgotten(served),
        "plain_ids": plain_ids,
        "served_requests": [e.digest for e in served],
        "partition_of": before.get("partition_of", THIS_DATA) if kept else partition_of,
        "draw_of": THIS_DATA if exactness == FRESH else EARLIER,
        "centres_of": THIS_DATA,
    }


def about_grown(before: Manifest, served: Sequence[Entry], plain_ids: bool, retrained: bool) -> dict[str, object]:
    """What the manifest says about the state that an addition leads to.

    Args:
        served: the requests and additions that led to it, with this one.
        plain_ids: as in the manifest.
        retrained: whether everything was computed again, on another kind of machine.
    """
    kept = ("full_training", "partition_of")
    about: dict[str, object] = {name: value for name, value in before.items() if name in kept}
    if retrained or not is_of_samples(before):
        about["partition_of"] = EARLIER  # it was computed elsewhere, or from more than the samples of the first piece
    if "draw_of" in before:
        about["draw_of"] = EARLIER
    if "partition_of" in about:
        about["centres_of"] = THIS_DATA
    told = {"forgotten": n_forgotten(served), "plain_ids": plain_ids, "served_requests": [e.digest for e in served]}
    return {**about, **told}


def opened_metrics(store: RunStore) -> Mapping[str, float]:
    """The run's figures so far."""
    return read_json(store.folder / METRICS) if store.has(METRICS) else {}


def carried_out(served: Sequence[Entry]) -> list[dict[str, object]]:
    """What the report says about each request."""
    return [
        {"position": e.position, "time": e.time, "n_interactions": len(e.content["interactions"])}
        for e in served
        if e.kind == REQUEST
    ]
