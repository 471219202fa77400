"""Collaborative statistics that somebody with write access to a run has changed, with digests brought in line."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attacks.forged_tensors import reseal
from recbole_apa.collaborative import Contents, CountedRows, Fitted, ItemCodes, Targets, needed_pairs, targets_of
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.data.run_data import RunData
from recbole_apa.evidence import key_ring, secret_of
from recbole_apa.pipeline.indexed_run import IndexedRun, data_stem, open_indexed
from recbole_apa.runs.collaborative_files import load_collaborative, save_collaborative
from recbole_apa.runs.names import COLLABORATIVE_SCORES, COLLABORATIVE_SUMS, COMBINATION, COUNTED
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.runs.store import RunStore

AUDIT, VERIFY = "audit", "verify"
"""Which proof finds a forgery at the latest."""


@dataclass(frozen=True)
class Forgery:
    """One change; ``forge`` makes it in a folder, and digests of files are brought in line after it."""

    name: str
    forge: Callable[[Path], None]
    found_by: str = AUDIT


@dataclass(frozen=True)
class _Opened:
    """A run without requests, as a forger reads it."""

    folder: Path
    run: IndexedRun
    fitted: Fitted
    data: RunData
    contents: Contents

    def targets(self) -> dict[str, Targets]:
        return targets_of([self.data], self.fitted.statistics.codes, self.fitted.options)

    def save(self, fitted: Fitted, fit_again: bool = False) -> None:
        if fit_again:
            targets = self.targets()
            fitted = Fitted.refit(fitted.statistics, targets, fitted.scores, fitted.options, self.contents)
        save_collaborative(RunStore(self.folder), fitted)


def _opened(folder: Path) -> _Opened:
    store = PinnedStore(folder)
    run = open_indexed(store, data_stem(store.manifest()["options"]), key_ring({}))
    assert run is not None
    codes = ItemCodes(run.index.items.names)
    data = run.data_of(run.index.rows_of_users(set(_users(run))))
    fitted = load_collaborative(store, codes)
    settings = CollaborativeSettings.noted(store.manifest()["settings"])
    contents = Contents.of(settings, run.texts, codes.names, fitted.states)
    return _Opened(folder, run, fitted, data, contents)


def _users(run: IndexedRun) -> Iterator[str]:
    for rows in run.index.parts():
        yield from rows.users.names


def _sums(name: str, change: Callable[[np.ndarray], None], fit_again: bool = False) -> Callable[[Path], None]:
    """Change one of the arrays of sums, and perhaps fit the combination again on them."""

    def forge(folder: Path) -> None:
        opened = _opened(folder)
        change(opened.fitted.statistics.arrays()[name])
        opened.save(opened.fitted, fit_again)

    return forge


def _moved(values: np.ndarray) -> None:
    """From one pair, or item, to another: the total stays."""
    values[0] += 1
    values[-1] -= 1


def _one_more(values: np.ndarray) -> None:
    values[len(values) // 2] += 1


def _a_user_twice(folder: Path) -> None:
    """Rows of a user whom the run has, or had, are added to all sums; digest and combination go with them."""
    opened = _opened(folder)
    user = opened.data.rows.users[0]
    rows = opened.run.data_of(opened.run.index.rows_of_users({user}))
    opened.save(replace(opened.fitted, statistics=opened.fitted.statistics.plus(rows)), fit_again=True)
    store = RunStore(folder)
    manifest = store.manifest()
    secret = secret_of(manifest["salt"], None)
    counted = CountedRows.from_json(manifest["counted"], secret).plus(CountedRows.of(rows, secret, use_ratings=False))
    store.write_manifest({**manifest, COUNTED: counted.to_json()})


def _a_pair_less(folder: Path) -> None:
    opened = _opened(folder)
    pairs = opened.fitted.statistics.pairs.pairs
    fewer = replace(pairs, firsts=pairs.firsts[1:], seconds=pairs.seconds[1:])
    opened.save(replace(opened.fitted, statistics=opened.fitted.statistics.only(fewer)))
    assert len(fewer.firsts) < len(needed_pairs(opened.targets(), opened.fitted.options).firsts)


def _score(split: str, fit_again: bool) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        opened = _opened(folder)
        scores = opened.fitted.scores[split]
        scores[0] = 1 - scores[0] / 2
        opened.save(opened.fitted, fit_again)

    return forge


def _combination(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        told = read_json(folder / COMBINATION)
        change(told)
        write_json(folder / COMBINATION, told)

    return forge


def _other_served(told: dict[str, Any]) -> None:
    now = told["combination"]["served"]
    told["combination"]["served"] = next(name for name in told["combination"]["log_losses"] if name != now)


def _other_coefficient(told: dict[str, Any]) -> None:
    told["combination"]["both"]["coefficients"][0] += 0.5


FORGERIES = [
    *(Forgery(f"{name}: one more", _sums(name, _one_more)) for name in ("items.n", "items.values", "items.squares")),
    Forgery("items.centred: one more, fitted again", _sums("items.centred", _one_more, True)),
    *(Forgery(f"{name}: moved", _sums(name, _moved)) for name in ("pairs.n", "pairs.products", "pairs.firsts")),
    Forgery("pairs.products: moved, fitted again", _sums("pairs.products", _moved, True)),
    Forgery("a user's rows again, all in line", _a_user_twice),
    Forgery("a pair less", _a_pair_less),
    Forgery("a validation score", _score("valid", False)),
    Forgery("a validation score, fitted again", _score("valid", True), VERIFY),
    Forgery("a test score", _score("test", False), VERIFY),
    Forgery("another of the three is served", _combination(_other_served)),
    Forgery("a coefficient", _combination(_other_coefficient)),
    Forgery("another digest of the columns", _combination(lambda told: told.update(content="00" * 32))),
    Forgery("a further entry", _combination(lambda told: told.update(users=["u3"]))),
    Forgery("a further entry in a regression", _combination(lambda told: told["combination"]["alone"].update(more=1))),
    Forgery("no combination", _combination(lambda told: told.update(combination=None))),
]


def forged(folder: Path, forgery: Forgery) -> None:
    """Forge a run without requests, and bring the digests of its files in line."""
    forgery.forge(folder)
    reseal(folder, [COLLABORATIVE_SUMS, COLLABORATIVE_SCORES, COMBINATION])


def forged_statistics(
    run: Path, outcome: Callable[[Path, Mapping[str, Any]], tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """Make each forgery that an audit has to find, on a copy, and see what comes of it.

    Args:
        run: has served no request; nothing of it lies outside.
        outcome: audits a folder.
    """
    folder = run.parent.parent / "forged" / run.name
    for forgery in FORGERIES:
        if forgery.found_by != AUDIT:
            continue  # test_forged_statistics.py: an audit runs no model
        shutil.rmtree(folder.parent, ignore_errors=True)
        shutil.copytree(run, folder)
        forged(folder, forgery)
        start = time.monotonic()
        result, says = outcome(folder, {})
        yield {
            "case": f"collaborative | {forgery.name} | resealed",
            "kind": "collaborative, resealed",
            "how": forgery.name,
            "outcome": result,
            "says": says,
            "seconds": round(time.monotonic() - start, 3),
        }
    shutil.rmtree(folder.parent, ignore_errors=True)
