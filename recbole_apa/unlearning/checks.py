"""The independent check of a run: what to look for, where, and what follows."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.core.errors import CertificateError, RunError
from recbole_apa.data.samples import Interactions, LabelledItems, Sample
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import KeyRing
from recbole_apa.evidence.search import (
    Name,
    RawFiles,
    RawRows,
    Sought,
    count,
    in_data,
    in_exports,
    in_index,
    in_state,
    n_rows,
    named,
    recognised,
    scan,
    scan_index,
    scan_names,
)
from recbole_apa.runs.ledger import Ledger, served_by
from recbole_apa.runs.names import EMBEDDINGS, INDEX, MEMORY, PIECES
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.requests.demands import Demand

if TYPE_CHECKING:
    from recbole_apa.data.dataset import APADataset
    from recbole_apa.data.loaders import Loaders
    from recbole_apa.data.run_data import RunData


def raw_files(dataset: "APADataset") -> RawFiles:
    """The interaction files of a RecBole dataset, as its options name them."""
    config, folder, name = dataset.config, Path(dataset.dataset_path), dataset.dataset_name
    parts = config["benchmark_filename"]
    paths = tuple(folder / f"{name}.{part}.inter" for part in parts) if parts else (folder / f"{name}.inter",)
    time = dataset.time_field if dataset.interactions.times is not None else None
    return RawFiles(
        paths, dataset.uid_field, dataset.iid_field, time, config["field_separator"], config["encoding"] or "utf-8"
    )


def sought_of(
    store: RunStore,
    dataset: "APADataset",
    lines: Sequence[Mapping[str, object]],
    keys: KeyRing,
    demands: Sequence[Demand] = (),
) -> Sought:
    """What must not be found: the rows that requests refer to, by keyed digest, and by name if known. They are looked
    for in the run's index, which has all that the run may see; in the raw files if it has none.

    Args:
        store: the run as it is before the requests.
        lines: contents of requests, carried out or not yet.
        demands: the names in the last request, known only to the process that took it.

    Raises:
        CertificateError: the digests do not cover what the names do; the rest would come back when the run is opened.
    """
    raw = scan_index(store.folder / INDEX) if store.has_index() else scan(raw_files(dataset))
    return sought_in(raw, dataset.visible_data, lines, store.salt, keys, demands)


def sought_in(
    raw: RawRows,
    seen: VisibleData,
    lines: Sequence[Mapping[str, object]],
    salt: str,
    keys: KeyRing,
    demands: Sequence[Demand] = (),
) -> Sought:
    """As :func:`sought_of`.

    Args:
        raw: the rows to search, of the raw files or of the run's index.
        seen: says how ids are written, and what pairs mean in old requests.
    """
    known = recognised(raw, lines, salt, lambda name: keys.key(name).secret, seen.once_a_pair, seen.plain_ids)
    asked = named(raw, [Name(d.user, d.item, d.time) for d in demands], seen.plain_ids)
    if not (asked.users <= known.users and asked.items <= known.items and asked.keys <= known.keys):
        raise CertificateError(_refusal(["the request's digests do not cover what it names"]))
    return known | asked


def rows_to_search(
    folder: Path,
    seen: VisibleData,
    lines: Sequence[Mapping[str, object]],
    salt: str,
    keys: KeyRing,
    others: Set[str] = frozenset(),
) -> RawRows:
    """The rows of a run's index among which those that requests mean can be told: of all users whom the requests name,
    and of everybody if they name an item that the index has.

    Args:
        folder: of the index.
        others: further users whose rows are wanted.

    Raises:
        CertificateError: the index cannot be scanned.
    """
    whom = sought_in(scan_names(folder), seen, lines, salt, keys)
    return scan_index(folder, None if whom.items else whom.users | whom.some | others)


@dataclass
class _Searched:
    """Some rows and what is made of them, as the check looks through them; there are no tables of RecBole."""

    run_data: "RunData"
    raw_interactions: Interactions
    interactions: Interactions
    train_rows: LabelledItems
    splits: Mapping[str, Sequence[Sample]]
    uid_field: str = ""
    iid_field: str = ""
    field2token_id: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: {"": {}})
    inter_feat: object = None


def refuse_in_rows(after: "RunData | None", raw: RawRows, n_hidden: int, sought: Sought) -> None:
    """
    Args:
        after: what requests leave of the users whose rows they name.
        raw: all rows of the index before the requests.
        n_hidden: how many rows are to be taken out of it.

    Raises:
        CertificateError: what remains still contains something sought, or something else would be gone.
    """
    if after is not None:
        refuse_found(in_data([_Searched(after, after.raw, after.rows, after.train_rows, after.samples)], sought))
    _refuse_other_number(n_hidden, count(raw, sought))


def refuse_in_data(before: "Loaders", data: "Loaders", sought: Sought) -> None:
    """
    Args:
        before: loaders of the data before the requests.
        data: loaders of what is left.

    Raises:
        CertificateError: the remaining data still contains something sought, or something else is gone.
    """
    refuse_found(in_data(data.parts, sought))
    was, is_left = before.train_set.raw_interactions, data.train_set.raw_interactions
    _refuse_other_number(len(was) - len(is_left), n_rows(was, sought, before.train_set.run_data.added_at))


def _refuse_other_number(gone: int, asked: int) -> None:
    if gone != asked:
        raise CertificateError(
            f"{gone} rows of the data would be forgotten, but the request covers {asked}: nothing was changed; this is "
            "a bug in the program: please report it"
        )


def refuse_in_index(pending: RunStore, sought: Sought) -> None:
    """
    Args:
        pending: the new state, whose index has the parts that changed.

    Raises:
        CertificateError: its index still contains something sought, or cannot be read.
    """
    assert pending.base is not None
    new, old, whom = pending.folder / INDEX, pending.base.folder / INDEX, sought.users | sought.some
    refuse_found([*in_index(scan_names(new, old), sought), *in_index(scan_index(new, whom, old), sought)])


def refuse_hidden(pending: RunStore, data: "Loaders", lines: Sequence[Mapping[str, object]], keys: KeyRing) -> None:
    """
    Args:
        pending: the state that an addition leads to.
        data: what it was trained on.
        lines: contents of the requests that were carried out before.

    Raises:
        CertificateError: it contains something that these made the run forget.
    """
    if lines:
        assert pending.base is not None
        raw = scan_index(pending.folder / INDEX, None, pending.base.folder / INDEX)
        sought = sought_in(raw, data.train_set.visible_data, lines, pending.salt, keys)
        refuse_found([*in_index(raw, sought), *in_data(data.parts, sought), *in_run(pending, sought)])


def refuse_in_state(store: RunStore, data: "Loaders", sought: Sought) -> None:
    """
    Raises:
        CertificateError: a state, or the data that it was trained on, still contains something sought.
    """
    refuse_found(in_data(data.parts, sought) + in_run(store, sought))


def refuse_in_exports(exports: Sequence[str], data: "Loaders", sought: Sought) -> None:
    """
    Raises:
        CertificateError: the run's exports still contain something sought.
    """
    refuse_found(in_exports(map(Path, exports), data.train_set.splits, sought))


def in_run(store: RunStore, sought: Sought) -> list[str]:
    """Where a state's records say that it saw something sought, in words.

    Raises:
        RunError: the state's files are missing or damaged.
    """
    partition = store.load_partition()
    if partition is None:
        raise RunError(f"{store.folder} has no partition.json")
    n_told = {EMBEDDINGS: len(store.load_embeddings()), MEMORY: len(store.load_memory()[0].labels)}
    pieces = store.load_pieces()
    seen: dict[str, Iterable[str]] = {**store.lineage(), **({PIECES: pieces} if pieces else {})}
    return in_state(partition.shard_of, seen, n_told, sought)


def reachable(store: RunStore, data: "Loaders", keys: KeyRing) -> list[str]:
    """Where rows that a run has forgotten can still be reached, in words. The names are no longer known: rows of the
    raw files are recognised by keyed digests, if those files still contain them; what joined the run again is told by
    its index.

    Raises:
        KeyFileError: a key is not in the ring.
        CertificateError: the files cannot be scanned.
    """
    manifest = store.manifest()
    lines = [e.content for e in served_by(manifest, Ledger(store.storage, store.salt).requests())]
    if not lines:
        return []
    dataset = data.train_set
    raw = scan(raw_files(dataset))
    if dataset.run_data.additions:
        raw = raw.and_rows(scan_index(store.folder / INDEX))
    sought = sought_in(raw, dataset.visible_data, lines, store.salt, keys)
    return in_data(data.parts, sought) + in_run(store, sought)


def refuse_found(found: Sequence[str]) -> None:
    """
    Raises:
        CertificateError: something was found.
    """
    if found:
        raise CertificateError(_refusal(found))


def _refusal(found: Sequence[str]) -> str:
    return (
        f"what was to be forgotten is still there ({'; '.join(found)}): nothing is certified, and the run stays as it "
        "was; this is a bug in the program: please report it"
    )
