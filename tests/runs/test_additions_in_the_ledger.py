"""Additions are lines of the ledger, and a request hides only what was there when it was made."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.core.errors import RunError
from recbole_apa.data.forgotten import ITEM, PAIR, ROW, USER, Digester, Forgotten, Scope, digests_of
from recbole_apa.data.samples import Interactions
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import Key, key_ring
from recbole_apa.evidence.search import RawRows, count, in_index, n_rows, recognised
from recbole_apa.runs.ledger import Ledger, refuse_gap, refuse_pending, visible_without
from recbole_apa.runs.ledger_lines import ADDED, DONE, REQUEST, line_of, parse_line
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.proof.ledger import ledger_findings
from recbole_apa.unlearning.requests.demands import Demand
from recbole_apa.unlearning.requests.scopes import covers
from tests.helpers.killed_process import fresh_copy
from tests.helpers.runs import copy_run

USERS, ITEMS, TIMES = ("a", "b:c", "d"), ("x", "y"), (1.0, 2.5)
KEYS = {key.name: key for key in (Key(b"1" * 32), Key(b"2" * 32))}
ADDITION = {"n_rows": 3, "rows": "ab", "readmits": ["cd"], "key": next(iter(KEYS))}


def secret(name):
    return KEYS[name].secret


class Ring:
    """As a key ring, with two keys."""

    def key(self, name):
        return KEYS[name]


def test_additions_wait_until_a_line_closes_them(tmp_path):
    ledger = Ledger(tmp_path, "salt")
    ledger.append(REQUEST, {"interactions": ["ab"]})
    ledger.append(ADDED, ADDITION)
    ledger.append(REQUEST, {"interactions": ["cd"]})

    def numbers(entries):
        return [e.position for e in entries]

    assert numbers(ledger.waiting()) == [1, 2, 3]
    assert (numbers(ledger.requests()), numbers(ledger.additions())) == ([1, 3], [2])
    ledger.append(DONE, {"requests": [1]})  # as every line before additions were known
    assert numbers(ledger.waiting()) == [2, 3]
    ledger.append(DONE, {"requests": [], "additions": [2]})
    assert numbers(ledger.waiting()) == [3]
    assert {k: v for k, v in ledger.additions()[0].content.items() if k in ADDITION} == ADDITION


@pytest.mark.parametrize(
    "kind, content",
    [
        (ADDED, {**ADDITION, "n_rows": 0}),
        (ADDED, {**ADDITION, "n_rows": True}),
        (ADDED, {**ADDITION, "rows": 5}),
        (ADDED, {**ADDITION, "key": None}),
        (ADDED, {**ADDITION, "readmits": "ab"}),
        (ADDED, {**ADDITION, "readmits": [1]}),
        (ADDED, {name: ADDITION[name] for name in ("n_rows", "rows", "key")}),
        (DONE, {"requests": []}),
        (DONE, {"additions": [1]}),
        (DONE, {"requests": [], "additions": []}),
        (DONE, {"requests": [1], "additions": ["1"]}),
        (DONE, {"requests": [1], "additions": [0]}),
        (DONE, {"requests": [1], "additions": 1}),
    ],
)
def test_a_line_that_is_no_addition_is_none(kind, content):
    whole = {"time": "2026-11-28T20:00:00+00:00", "position": 1, "previous": "ab"}
    assert parse_line(line_of({**whole, "kind": ADDED, **ADDITION}))
    assert parse_line(line_of({**whole, "kind": kind, **content})) is None


def test_an_addition_that_waits_is_told(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    store = RunStore(folder)
    Ledger(folder, store.salt).append(ADDED, ADDITION)
    with pytest.raises(RunError, match=r"1 request\(s\) and additions waiting .*line 1 of the ledger.* 3 interactions"):
        refuse_pending(store)
    findings = list(ledger_findings(store, store.manifest(), Ring()))
    assert findings == ["the addition in line 1 of the ledger waits to be carried out"]


@pytest.mark.slow
def test_a_state_with_an_addition_that_no_line_closes_yet_is_whole(served, tmp_path):
    """Killed between the commit and the ledger's line, as after a request."""
    folder = fresh_copy(served, tmp_path / "run")
    store = RunStore(folder)
    ring = key_ring(None)
    refuse_gap(store, ring)
    line = Ledger(folder, store.salt).append(ADDED, ADDITION)
    refuse_gap(store, ring)
    manifest = store.manifest()
    store.write_manifest({**manifest, "exactness": "strict"})
    with pytest.raises(RunError, match="was changed after the last request or addition was carried out"):
        refuse_gap(store, ring)
    store.write_manifest({**manifest, "served_requests": [*manifest["served_requests"], line.digest]})
    refuse_gap(store, ring)


scopes = st.one_of(
    st.builds(lambda user: Scope(USER, user), st.sampled_from(USERS)),
    st.builds(lambda item: Scope(ITEM, None, item), st.sampled_from(ITEMS)),
    st.builds(lambda user, item: Scope(PAIR, user, item), st.sampled_from(USERS), st.sampled_from(ITEMS)),
    st.builds(Scope, st.just(ROW), st.sampled_from(USERS), st.sampled_from(ITEMS), st.sampled_from(TIMES)),
)
requests = st.tuples(
    st.lists(scopes, min_size=1, max_size=2), st.sampled_from(sorted(KEYS)), st.sampled_from(["new", "old", "waits"])
)
histories = st.lists(st.one_of(st.none(), requests), max_size=8)
"""Events of a run, in order; None is an addition. Some requests have the oldest format, some are in no ledger yet."""


def names(scope, user, item, time):
    """Whether what was named covers a row."""
    wanted = ((scope.user, user), (scope.item, item), (scope.time, time))
    return all(asked is None or asked == found for asked, found in wanted)


def interactions_of(rows, plain):
    """As the dataset holds them; ``plain``: as ids were before format 3."""
    users, items, times = zip(*rows, strict=True)
    return Interactions(list(users), list(items), np.zeros(len(rows), dtype=np.int64), np.array(times), None, plain)


def check_the_search(rows, keys, lines, hidden, plain, asked):
    """What the independent check looks for is what is hidden, in runs with some of the rows."""
    for kept in (slice(0, 12), slice(None), slice(3, None, 5), slice(1, None, 7)):
        users, items, times, added = zip(*rows[kept], strict=True)
        codes = [np.array([known.index(name) for name in column]) for known, column in ((USERS, users), (ITEMS, items))]
        raw = RawRows(codes[0], USERS, codes[1], ITEMS, np.array(times), np.array(added))
        found = recognised(raw, [e.content for e in lines], "salt", secret, plain=plain)
        left = {key for key, gone in zip(keys[kept], hidden[kept], strict=True) if not gone}
        for (user, item, time, at), key, gone in zip(rows[kept], keys[kept], hidden[kept], strict=True):
            assert found.has_row(user, item, time, at) == gone
            # the id of a row that was forgotten and joined again may be found
            assert found.has_id(key) == found.has_id(f"{key}#2") == (gone and key not in left)
        n_hidden, data = sum(hidden[kept]), interactions_of([row[:3] for row in rows[kept]], plain)
        assert count(raw, found) == n_rows(data, found, raw.added) == n_hidden
        assert (n_hidden > 0) == ("forgotten interactions" in " ".join(in_index(raw, found)))
        for names_found, column, kind in ((found.users, users, USER), (found.items, items, ITEM)):
            there = {name for name, gone in zip(column, hidden[kept], strict=True) if not gone}
            named = {getattr(scope, kind) for _, scopes in asked for scope in scopes if scope.kind == kind}
            assert names_found == named - there
        if max(added) == 0:
            assert (
                recognised(replace(raw, added=None), [e.content for e in lines], "salt", secret, plain=plain) == found
            )


def written(named, digester, plain, old):
    """What a request's line says, by its format."""
    rows = [row for row in product(USERS, ITEMS, TIMES) if any(names(scope, *row) for scope in named)]
    keys = sorted({digester.of(key) for key in interactions_of(rows, plain).row_keys(np.arange(len(rows)))})
    if not old:
        return {"interactions": keys, "hides": sorted(digests_of(named, digester))}
    pairs = [scope._replace(kind=PAIR if scope.kind == ROW else scope.kind, time=None) for scope in named]
    return {"interactions": keys, "names": sorted(digester.of(" ".join(pair.names())) for pair in pairs)}


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(history=histories, plain=st.booleans())
def test_a_request_hides_what_came_before_it(history, plain, tmp_path_factory):
    """A row is hidden if a request names it that stands after the row's addition; rows of the file have position 0."""
    folder = tmp_path_factory.mktemp("ledger")
    ledger, asked, later = Ledger(folder, "salt"), [], []
    for event in history:
        if event is None:
            ledger.append(ADDED, ADDITION)
            continue
        named, key, kind = event
        old = kind == "old" and plain  # ids are plain where such requests are
        digester = Digester("salt", KEYS[key])
        content = {**written(named, digester, plain, old), "key": key}
        if kind == "waits":
            later.append(content)
            asked.append((np.inf, named))
        else:
            asked.append((ledger.append(REQUEST, content).position, named))
    new = [type("New", (), {"content": content}) for content in later]
    seen = visible_without([*ledger.requests(), *new], "salt", Ring())
    assert len(seen.forgotten) == len({event[1] for event in history if event})
    # every row, once for the dataset's file and once for each position that an addition may have
    rows = [(*row, position) for position in range(9) for row in product(USERS, ITEMS, TIMES)]
    interactions, added = interactions_of([row[:3] for row in rows], plain), np.array([row[3] for row in rows])

    def hidden(user, item, time, position):
        return any(at > position and any(names(s, user, item, time) for s in named) for at, named in asked)

    expected = [hidden(*row) for row in rows]
    assert (~seen.visible(interactions, added)).tolist() == expected
    first = added == 0
    file = interactions.take(np.flatnonzero(first))
    assert seen.visible(file).tolist() == seen.visible(file, added[first]).tolist()
    keys = interactions.row_keys(np.arange(len(rows)))
    check_the_search(rows, keys, [*ledger.requests(), *new], expected, plain, asked)
    assert [seen.hides(key, int(at)) for key, at in zip(keys, added, strict=True)] == expected


def test_requests_are_joined_in_any_order():
    digester = Digester("salt")
    one = Forgotten(digester, scopes=frozenset("ab"), since={"a": 1, "b": 5})
    two = Forgotten(digester, scopes=frozenset("abc"), since={"a": 3, "c": 2})  # b is not in the ledger yet
    for joined in (one.joined(two), two.joined(one), VisibleData((one,)).without(VisibleData((two,))).forgotten[0]):
        assert {d: joined.last(d) for d in "abc"} == {"a": 3, "b": np.iinfo(np.int32).max, "c": 2}


@settings(deadline=None, max_examples=150)
@given(named=st.lists(scopes, min_size=1, max_size=4), wanted=scopes)
def test_a_demand_is_covered_until_an_addition_after_the_request(named, wanted):
    digester, parts = Digester("salt"), []
    for position, scope in enumerate(named, start=1):
        digests = digests_of([scope], digester)
        parts.append(Forgotten(digester, scopes=digests, since=dict.fromkeys(digests, position)))
    served = parts[0].joined(*parts[1:])
    kind = "interaction" if wanted.kind in (PAIR, ROW) else wanted.kind
    demand = Demand("line 1", wanted.user, wanted.item, wanted.time)
    assert demand.kind == kind
    for added in range(6):
        more = any(
            position > added and all(getattr(scope, n) in (None, getattr(wanted, n)) for n in ("user", "item", "time"))
            for position, scope in enumerate(named, start=1)
        )
        assert covers(demand, served, added) == more
