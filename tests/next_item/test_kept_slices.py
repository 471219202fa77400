"""What a certificate says of slices that a request has kept."""

from types import SimpleNamespace

from recbole_apa.next_item.options import read_settings
from recbole_apa.next_item.title_slices import kept_slices, slices_of


def learnt_of(shard_of, **ends):
    return SimpleNamespace(shard_of=shard_of, ends=ends)


def test_no_slice_is_kept_where_nobody_is_in_the_slices_before():
    settings = read_settings({"adapters": "titles", "shard_slices": 4})
    slices = slices_of(settings)
    in_slice = {n: next(f"u{i}" for i in range(999) if slices.of(f"u{i}") == n) for n in range(4)}
    learnt = learnt_of({in_slice[1]: 0, in_slice[3]: 0, in_slice[2]: 1})
    # shard 0 has nobody in its first slice, shard 1 nobody in its first two
    assert kept_slices(learnt, {0: 1}, settings) == {"000": {"kept": 0, "total": 4}}
    assert kept_slices(learnt, {1: 2}, settings) == {"001": {"kept": 0, "total": 4}}
    assert kept_slices(learnt, {0: 3}, settings) == {"000": {"kept": 3, "total": 4}}
    assert kept_slices(learnt, {0: 3}, read_settings({"adapters": "titles"})) == {}
