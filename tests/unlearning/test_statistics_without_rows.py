"""Collaborative statistics after a request are those of a run that was trained without the rows, in every bit.

Splits are by user, every sample is drawn and there is one shard, so that nothing else differs. Items have other numbers
in the other run, and are compared by name.
"""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import recbole

from recbole_apa import audit, evaluate_run, run, unlearn
from recbole_apa.collaborative import CountedRows, ItemCodes
from recbole_apa.core.files.whole import read_json
from recbole_apa.evidence import key_ring, secret_of
from recbole_apa.runs.collaborative_files import load_collaborative
from recbole_apa.runs.names import COLLABORATIVE_SCORES, COMBINATION
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning import light_stage

WHOLE = {
    "train_samples": 1000,
    "valid_samples": 1000,
    "test_samples": 1000,
    "n_shards": 1,
    "epochs": 1,
    "min_history": 4,
}
"""More than there are."""
STATES = {"evidence_columns": ["title", "year"], "evidence_content": "both", "evidence_text": "{title} of {year}"}


def write_data(folder, without=()):
    """``board/``'s users, and two with too few rows for a sample, one of them first; some users left out."""
    lines = [
        f"s{n}\ti{item}\t{rating}\t{time}" for n in (1, 2) for item, rating, time in ((2, 5, 9), (5, 1, 11), (8, 4, 10))
    ]
    for user in range(12):
        items = [(step * 3 + user // 2) % 20 for step in range(16)]
        likes = [5 if (user + item) % 3 else 2 for item in items]
        lines += [f"u{user}\ti{items[n]}\t{likes[n]}\t{1000 * user + n}" for n in range(16)]
    kept = [line for line in [*lines[:3], *lines[6:], *lines[3:6]] if line.split("\t")[0] not in without]
    (folder / "board").mkdir(parents=True)
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    (folder / "board" / "board.inter").write_text("\n".join([head, *kept]) + "\n")
    items = [f"i{n}\tFilm {n}\t{1980 + n}" for n in range(20)]
    (folder / "board" / "board.item").write_text(
        "\n".join(["item_id:token\ttitle:token_seq\tyear:float", *items]) + "\n"
    )
    return folder


def sums_by_name(folder):
    store = RunStore(folder)
    names = store.open_index().items.names
    arrays = load_collaborative(store, ItemCodes(names)).statistics.arrays()
    columns = {
        kind: [arrays[name].tolist() for name in sorted(arrays) if name.startswith(kind)] for kind in ("items", "pairs")
    }
    ends = zip(arrays["pairs.first"].tolist(), arrays["pairs.second"].tolist(), strict=True)
    told = [
        column
        for name, column in sorted(arrays.items())
        if name in ("pairs.n", "pairs.products", "pairs.firsts", "pairs.seconds")
    ]
    of_items = {
        names[code]: [column[code] for column in columns["items"]] for code in np.flatnonzero(arrays["items.n"])
    }
    of_pairs = {(names[a], names[b]): [int(column[place]) for column in told] for place, (a, b) in enumerate(ends)}
    return of_items, of_pairs


def states_by_name(folder):
    store = RunStore(folder)
    codes = ItemCodes(store.open_index().items.names)
    states = load_collaborative(store, codes).states
    if states is None:
        return None
    return {codes.names[code]: row.tobytes() for code, row in zip(states.items.tolist(), states.values, strict=True)}


def counted_of(made, secret):
    use_ratings = made.trainer.combined.fitted.options.use_ratings
    return CountedRows.of(made.data.train_set.run_data, secret, use_ratings).to_json()


def refuse_differences(folder, other):
    """
    Args:
        folder: of a run that has forgotten.
        other: one that was trained without the rows.
    """
    assert sums_by_name(folder) == sums_by_name(other.run_dir)
    assert (folder / COLLABORATIVE_SCORES).read_bytes() == (other.run_dir / COLLABORATIVE_SCORES).read_bytes()
    assert states_by_name(folder) == states_by_name(other.run_dir)
    told, expected = (read_json(of / COMBINATION) for of in (folder, other.run_dir))
    # the digest of what is public about items is by their numbers, and counts those without a row
    assert {**told, "content": ""} == {**expected, "content": ""} and bool(told["content"]) == bool(expected["content"])
    manifest = RunStore(folder).manifest()
    secret = secret_of(manifest["salt"], key_ring({}).key(manifest["key"]))
    assert manifest["counted"] == counted_of(other, secret)
    assert audit(folder).holds


@pytest.mark.quick("light")
@pytest.mark.parametrize("users", [["s1"], ["u3"], ["s2", "u3", "s1"]], ids=["light", "long", "by turns"])
def test_nothing_differs_from_a_run_without_the_rows(users, options, tmp_path):
    given = {**options, **WHOLE, **STATES, "variants": "chosen"}
    made = run(
        "APA", "board", config_dict={**given, "data_path": str(write_data(tmp_path / "all"))}, run_dir=tmp_path / "run"
    )
    before = sums_by_name(made.run_dir)
    for user in users:
        assert bool(unlearn(made.run_dir, users=[user]).plan.affected) == user.startswith("u")
    data = write_data(tmp_path / "less", without=users)
    other = run("APA", "board", config_dict={**given, "data_path": str(data)}, run_dir=tmp_path / "other")
    assert sums_by_name(other.run_dir) != before
    refuse_differences(made.run_dir, other)


def test_what_is_public_about_an_item_goes_with_its_last_row(options, tmp_path, monkeypatch):
    """The run could not be opened any more: its combination was noted with the words of an item that had no name."""
    data = write_data(tmp_path / "all")
    file = data / "board" / "board.inter"
    file.write_text(file.read_text().replace("s1\ti8", "s1\trare"))
    own = {"data_path": str(data), "variants": "chosen", "evidence_columns": ["title", "year"]}
    made = run("APA", "board", config_dict={**options, **WHOLE, **own}, run_dir=tmp_path / "run")
    long = Path(shutil.copytree(made.run_dir, tmp_path / "long"))
    assert not unlearn(made.run_dir, users=["s1"]).plan.affected
    with monkeypatch.context() as patch:
        patch.setattr(light_stage, "open_light", lambda *args: None)
        unlearn(long, users=["s1"])
    assert "rare" not in RunStore(made.run_dir).open_index().items.names
    assert read_json(made.run_dir / COMBINATION) == read_json(long / COMBINATION)
    assert audit(made.run_dir).holds
    assert evaluate_run(made.run_dir).metrics and unlearn(made.run_dir, users=["s2"])


@pytest.mark.slow
@pytest.mark.realdata
def test_the_same_on_movielens(options, tmp_path):
    """The users of ml-100k with most rows among those without a sample, whom the draw does not replace."""
    source = Path(recbole.__file__).parent / "dataset_example" / "ml-100k"
    given = {k: v for k, v in options.items() if k not in ("load_col", "item_text", "MAX_ITEM_LIST_LENGTH")}
    given |= {"train_samples": 24, "valid_samples": 60, "test_samples": 60, "n_shards": 1, "epochs": 1}

    def trained(name, without=()):
        folder = Path(shutil.copytree(source, tmp_path / name / "ml-100k")) / "ml-100k.inter"
        kept = [line for line in folder.read_text().splitlines(True) if line.split("\t")[0] not in without]
        folder.write_text("".join(kept))
        own = {"data_path": str(tmp_path / name), "variants": "chosen"}
        return run("APA", "ml-100k", config_dict={**given, **own}, run_dir=tmp_path / f"{name}-run")

    made = trained("all")
    rows, splits = made.data.train_set.interactions, made.data.train_set.splits
    sampled = {s.user_id for samples in splits.values() for s in samples}
    n_rows = Counter(name for name in rows.users.texts() if name not in sampled)
    users = [name for name, _ in n_rows.most_common(3)]
    assert "content" in made.trainer.combined.fitted.combination.terms
    for user in users:
        assert not unlearn(made.run_dir, users=[user]).plan.affected
    refuse_differences(made.run_dir, trained("less", users))
