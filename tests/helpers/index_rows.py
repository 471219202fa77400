"""Rows of an index: made up, and compared."""

import json

import numpy as np
from hypothesis import strategies as st

from recbole_apa.core.files.whole import json_text
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import IndexRows
from recbole_apa.data.index.write import write_index
from recbole_apa.data.tokens import Tokens

SALT = "00c0ffee00c0ffee"
NAMES = st.one_of(
    st.sampled_from(["a:b", "a\0b", "#2", "%3A", "é", "🎈", "line\nbreak", "tab\t", " ", "﻿x", "0", "None", "u" * 300]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
)
TIMES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0**53 - 1, -(2.0**53), 1e300, 5e-324, 0.5]),
    st.integers(-3, 3).map(float),
)


def rows_of(users, items, times=None, **columns):
    """Rows at places 0, 1, ... unless others are given; columns that are not given are of little interest."""
    n = len(users)
    column = {
        "values": np.arange(n) % 5 + 1,
        "places": np.arange(n),
        "roles": np.arange(n) % 4,
        "flags": np.full(n, 3),
        "since": np.zeros(n),
    } | columns
    kinds = {"values": np.float64, "places": np.int64, "roles": np.int8, "flags": np.uint8, "since": np.int32}
    typed = {name: np.asarray(column[name]).astype(kind) for name, kind in kinds.items()}
    return IndexRows(
        Tokens.of(users), Tokens.of(items), None if times is None else np.asarray(times, dtype=np.float64), **typed
    )


@st.composite
def index_rows(draw, min_size=0):
    """Rows with odd names, repeats, and places with gaps in any order."""
    n = draw(st.integers(min_size, 30))

    def many(one):
        return draw(st.lists(one, min_size=n, max_size=n))

    names = [draw(st.lists(NAMES, min_size=1, max_size=5)) for _ in range(2)]
    users, items = (many(st.sampled_from(some)) for some in names)
    times = many(TIMES) if draw(st.booleans()) else None
    places = draw(st.lists(st.integers(0, 2**62), min_size=n, max_size=n, unique=True))
    values = many(st.floats())
    roles, flags = many(st.integers(0, 3)), many(st.integers(0, 3))
    return rows_of(users, items, times, values=values, places=places, roles=roles, flags=flags)


def told(rows):
    """Rows as tuples, in order of place; numbers as text, as NaN does not equal itself."""
    columns = [rows.users.texts(), rows.items.texts()]
    columns.append([None] * len(rows) if rows.times is None else list(map(repr, rows.times.tolist())))
    columns += [list(map(repr, c.tolist())) for c in (rows.values, rows.places, rows.roles, rows.flags, rows.since)]
    return sorted(zip(*columns, strict=True), key=lambda row: int(row[4]))


def files_of(folder):
    """The bytes of every file below a folder, by name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def opened(folder):
    return Index(folder, SALT)


def some_rows(n=400, times=True, seed=0):
    """Rows of 20 users and 30 items."""
    rng = np.random.default_rng(seed)
    users, items = ([f"{kind}{k}" for k in rng.integers(0, most, n)] for kind, most in (("u", 20), ("i", 30)))
    return rows_of(users, items, rng.integers(0, 50, n) if times else None, values=rng.integers(1, 6, n))


def write_some_index(folder, n_parts):
    write_index(folder, some_rows(120), SALT, About(), n_parts=n_parts)
    return folder


def edit_facts(folder, change):
    """Change ``index.json``, and have its number of rows fit."""
    facts = json.loads((folder / "index.json").read_text())
    change(facts)
    facts["n_rows"] = sum(part[0] for part in facts["parts"])
    (folder / "index.json").write_text(json_text(facts))
