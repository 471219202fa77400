"""Runs that have grown, made without training: added rows become no samples, and the run says all that it has to."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from recbole_apa.data.index.additions import next_piece
from recbole_apa.data.index.change import Change, rewrite
from recbole_apa.data.index.facts import Addition
from recbole_apa.data.index.rows import ALLOWED, KEPT, TRAIN
from recbole_apa.data.index.write import write_index
from recbole_apa.evidence import key_ring, secret_of
from recbole_apa.pipeline.indexed_run import data_stem, open_indexed
from recbole_apa.runs.ledger import Ledger, manifest_digest
from recbole_apa.runs.ledger_lines import ADDED, DONE
from recbole_apa.runs.names import INDEX, KEY
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.begin import next_identity
from tests.helpers.index_rows import rows_of


def add_rows(folder: Path, rows, n_rows: int | None = None) -> int:
    """Let rows join a run that has forgotten something; returns their line in the ledger.

    Args:
        rows: (user, item, time, value) of each.
        n_rows: what the ledger says instead of their number.
    """
    store, name = RunStore(folder), RunStore(folder).manifest()[KEY]
    index, ledger = store.open_index(), Ledger(folder, store.salt)
    additions, first = index.facts.about.additions, int(index.all_rows().places.max()) + 1
    content = {"n_rows": n_rows or len(rows), "rows": "ab" * 32, "readmits": [], KEY: name}
    line = ledger.append(ADDED, content)
    users, items, times, values = zip(*rows, strict=True)
    n = len(rows)
    added = rows_of(
        users,
        items,
        times,
        values=np.array(values),
        places=first + np.arange(n),
        roles=np.full(n, TRAIN),
        flags=np.full(n, ALLOWED | KEPT),
        since=np.full(n, len(additions) + 1),
    )
    addition = Addition(n, 0, line.position, next_piece(additions))
    change_index(folder, Change(added=added), [*additions, addition])
    settle(folder, {"served_requests": [*store.manifest()["served_requests"], line.digest]})
    close(folder, line.position)
    return line.position


def change_index(folder: Path, change: Change, additions=None) -> None:
    """Change the index of a run in its place; the manifest is not told."""
    index, aside = RunStore(folder).open_index(), folder.parent / "aside"
    about = index.facts.about
    about = about if additions is None else replace(about, additions=tuple(additions))
    rewrite(index, aside, change, about)
    shutil.copytree(aside, folder / INDEX, dirs_exist_ok=True)
    shutil.rmtree(aside)


def settle(folder: Path, about) -> None:
    """Let the manifest say what is there now."""
    store, ring = RunStore(folder), key_ring(None)
    store.seal(about)
    pinned, manifest = PinnedStore(folder), store.manifest()
    run = open_indexed(pinned, data_stem(manifest["options"]), ring)
    assert run is not None
    key = ring.key(manifest[KEY]) if manifest.get(KEY) else None
    digest = run.data_of(run.index.all_rows()).digest(secret_of(store.salt, key))
    identity = next_identity(store, manifest, digest, manifest["settings"]["backbone"], manifest["draw"])
    store.write_manifest({**manifest, **asdict(identity), "identity_digest": identity.digest()})


def close(folder: Path, position: int) -> None:
    """The ledger's line that an addition was carried out."""
    store = RunStore(folder)
    key = {KEY: store.manifest().get(KEY)}
    told = {"requests": [], "additions": [position], "certificates": {}}
    Ledger(folder, store.salt).append(DONE, {**told, "manifest": manifest_digest(key, store, key_ring(None)), **key})


def close_again(folder: Path) -> None:
    """Write the last line of the ledger, which closes an addition, for the manifest as it is now."""
    last = Ledger(folder, RunStore(folder).salt).entries()[-1]
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "ledger.jsonl").write_bytes(b"".join(lines[:-1]))
    close(folder, last.content["additions"][0])


def as_if_added(folder: Path, is_late) -> None:
    """Let a run whose samples were trained in two pieces say that an addition brought the later ones.

    Args:
        is_late: time -> whether a row came with the addition.
    """
    store = RunStore(folder)
    index = store.open_index()
    rows, about = index.all_rows(), index.facts.about
    late = np.array([is_late(time) for time in rows.times.tolist()])
    content = {"n_rows": int(late.sum()), "rows": "ab" * 32, "readmits": [], KEY: "00" * 8}
    line = Ledger(folder, store.salt).append(ADDED, content)
    addition = Addition(content["n_rows"], len(store.load_pieces()), line.position, 1)
    rows = replace(rows, since=late.astype(np.int32))
    shutil.rmtree(folder / INDEX)
    write_index(folder / INDEX, rows, store.salt, replace(about, additions=(addition,)), n_parts=index.n_parts)
    settle(folder, {"served_requests": [line.digest]})
    close(folder, line.position)


def plant(folder: Path, change) -> None:
    """Change something, and give manifest and ledger the digests of what is there now."""
    store = RunStore(folder)
    change(store)
    sealed = store.manifest()
    store.seal({}, complete=sealed["status"] == "complete")
    if Ledger(folder, store.salt).entries():
        close_again(folder)
