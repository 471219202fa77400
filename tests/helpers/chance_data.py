"""Small datasets drawn at random, options of reading them, and requests: a seed decides everything."""

from recbole_apa.data.forgotten import ITEM, PAIR, ROW, USER, Digester, Forgotten, Scope, digests_of
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence.key import Key

HEAD = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
PARTS = ("train", "valid", "test")
ITEM_HEAD = "item_id:token\ttitle:token_seq\tyear:float"
SPLITS = (
    {"RS": [0.8, 0.1, 0.1]},
    {"RS": [7, 2, 1]},
    {"LS": "valid_and_test"},
    {"LS": "test_only"},
    {"TS": [0.8, 0.1, 0.1]},
)
ODD_COUNTS = (None, None, None, "[3,inf)", "[5,9];[1,2]", "(1,4)", "[2,3];[5,inf)", "[0,inf)")


def drawn_by_chance(chance):
    """Rows of a small dataset, and options of reading it."""
    users, items = [f"u{k}" for k in range(chance.randint(3, 9))], [f"i:{k}" for k in range(chance.randint(4, 12))]
    times = chance.choice((10, 100_000))  # equal times now and then, or hardly ever
    rows = [
        (chance.choice(users), chance.choice(items), chance.choice((1, 2, 4, 5)), chance.randrange(times))
        for _ in range(chance.randint(40, 160))
    ]
    columns = ["user_id", "item_id", "rating", *chance.choice((["timestamp"], ["timestamp"], []))]
    some = [f"{item}\tFilm {k}\t{1980 + k}" for k, item in enumerate(items) if chance.random() < 0.8]
    options = {
        "load_col": {"inter": columns, "item": ["item_id", "title", "year"]},
        "item_text": chance.choice(("{title} ({year})", "{title}")),
        "eval_args": {
            "split": chance.choice(SPLITS),
            "order": chance.choice(("TO", "TO", "RO")),
            "group_by": chance.choice(("user", "user", None)),
            "mode": "labeled",
        },
        "rm_dup_inter": chance.choice((None, None, "first", "last")),
        "user_inter_num_interval": chance.choice((None, "[5,inf)")),
        "item_inter_num_interval": chance.choice((None, "[4,inf)")),
        "val_interval": chance.choice((None, None, {"rating": "[2,5]"})),
        "protocol": chance.choice(("recbole", "recbole", "tallrec")),
        "benchmark_filename": None,
        "MAX_ITEM_LIST_LENGTH": chance.choice((1, 4)),
        "min_history": chance.choice((1, 1, 3)),
        **{f"{part}_samples": chance.choice((None, 3, 10)) for part in PARTS},
    }
    if "timestamp" not in columns and "TS" in options["eval_args"]["split"]:
        options["eval_args"]["split"] = SPLITS[0]
    if chance.random() < 0.2:
        options |= {"benchmark_filename": list(PARTS), "protocol": "recbole"}
    return [(*row, chance.choice(PARTS)) for row in rows], [ITEM_HEAD, *some], options


def request_by_chance(chance, rows, timed):
    """What hides rows, and which rows those are."""
    digester, named = Digester("salt", Key(b"k" * 32)), []
    for _ in range(chance.randint(1, 4)):
        user, item, _, time, _ = chance.choice(rows)
        kind = chance.choice((USER, ITEM, PAIR, *((ROW,) if timed else ())))
        wanted = {USER: (user, None, None), ITEM: (None, item, None), PAIR: (user, item, None)}.get(
            kind, (user, item, float(time))
        )
        named.append((kind, *wanted))

    def is_named(row):
        return any((u in (None, row[0])) and (i in (None, row[1])) and (t in (None, row[3])) for _, u, i, t in named)

    hidden = Forgotten(digester, scopes=digests_of([Scope(*wanted) for wanted in named], digester))
    return VisibleData((hidden,)), [row for row in rows if not is_named(row)]


def write(folder, rows, items):
    (folder / "some").mkdir(parents=True)
    lines = [("\t".join(map(str, row[:4])), row[4]) for row in rows]
    (folder / "some" / "some.inter").write_text("\n".join([HEAD, *(line for line, _ in lines)]) + "\n")
    for name in PARTS:
        part = [line for line, where in lines if where == name]
        (folder / "some" / f"some.{name}.inter").write_text("\n".join([HEAD, *part]) + "\n")
    (folder / "some" / "some.item").write_text("\n".join(items) + "\n")
    return folder


def more_options(chance, changes):
    """Filters on the files of items and users besides those of the interactions."""
    values = chance.choice(
        (None, None, {"year": "[1984,inf)"}, {"item_id": ["i:0", "i:1", "i:2", "i:3"]}, {"rating": "[2,5]"})
    )
    changes = {
        **changes,
        "val_interval": values,
        "filter_inter_by_user_or_item": chance.random() < 0.6,
        "user_inter_num_interval": chance.choice(ODD_COUNTS),
        "item_inter_num_interval": chance.choice(ODD_COUNTS),
    }
    if chance.random() < 0.4:
        changes["load_col"] = {**changes["load_col"], "user": ["user_id", "age"]}
        changes["val_interval"] = chance.choice((values, {"age": "[20,inf)"}))
    return changes
