"""What the tests of runs whose shards are cut into slices share."""

from recbole_apa import audit, verify
from recbole_apa.core.places import Slices
from recbole_apa.evidence import key_ring
from recbole_apa.runs.ledger import Ledger, manifest_digest
from recbole_apa.runs.ledger_lines import DONE
from recbole_apa.runs.names import KEY
from recbole_apa.runs.store import RunStore

L = 3
"""Slices of each shard."""


def cut_of(made, user):
    """The slice of a user's samples."""
    return Slices(L, made.model.settings.seed).of(user)


def spots(made):
    """Shard -> slice -> its training samples."""
    out = {}
    for sample in made.data.train_set.samples:
        shard = made.trainer.partition.shard_of[sample.sample_id]
        out.setdefault(shard, {}).setdefault(cut_of(made, sample.user_id), []).append(sample)
    return out


def pair_in(made, which):
    """User and item of a training target in the first or last slice of a shard that has several."""
    for shard in sorted(found := spots(made)):
        cuts = sorted(found[shard])
        if len(cuts) > 1:
            sample = found[shard][cuts[0] if which == "first" else cuts[-1]][-1]
            return sample.user_id, sample.item_id
    raise AssertionError("no shard has several slices")


def assert_holds(folder):
    """Neither an audit nor a training from scratch finds anything."""
    findings = audit(folder).findings
    assert not findings, findings
    differences = verify(folder).differences
    assert not differences, differences


def close_again(folder):
    """Write the last line of the ledger anew, for the manifest as it is now."""
    store = RunStore(folder)
    ledger = Ledger(folder, store.salt)
    last = ledger.entries()[-1]
    assert last.kind == DONE
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "ledger.jsonl").write_bytes(b"".join(lines[:-1]))
    kept = ("requests", "certificates", "slices_trained", KEY)
    told = {name: value for name, value in last.content.items() if name in kept}
    ledger.append(DONE, {**told, "manifest": manifest_digest(last.content, store, key_ring(None))})
