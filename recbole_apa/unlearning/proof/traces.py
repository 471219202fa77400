"""Look for names of what was forgotten, in the run folder and in what the run left outside."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import parse_json, read_plain
from recbole_apa.data.export import sample_record
from recbole_apa.data.index.additions import added_at
from recbole_apa.data.prompts import PromptInput, PromptTemplate, choose_template, fill
from recbole_apa.data.recbole_settings import read_settings
from recbole_apa.data.samples import Interactions, Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import VisibleData, key_of, last_added
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import CERTIFICATES, INDEX
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.outside import doubtful, readable_exports
from recbole_apa.unlearning.proof.files import walk
from recbole_apa.unlearning.proof.ledger import certificate

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_apa.data.loaders import Loaders

_WORD = re.compile(r"[^\s\"'<>,;()\[\]{}]+")
"""The colon of an id is looked for in whole words: a pattern with it inside reads megabytes of one word, such as the
zeros of a table, once from each of their places."""


def trace_findings(store: RunStore, visible_data: VisibleData) -> Iterator[str]:
    """Findings about names of forgotten interactions in any file of the run folder, including hidden ones; the index is
    looked through row by row (:mod:`~recbole_apa.unlearning.proof.index`)."""
    if not visible_data.row_digests:
        return
    index, hidden = (
        {name for name in store.manifest()["files"] if name.startswith(f"{INDEX}/")},
        _Hidden(store, visible_data),
    )
    for name in sorted(name for name, kind in walk(store.folder) if kind == "file" and name not in index):
        try:
            words = set(_words(store.folder / name))
        except RunError as error:
            if (store.folder / name).exists():  # else another process removed it
                yield str(error)
            continue
        hits = sum(map(hidden.names, words))
        if hits:
            yield f"{name} names {hits} forgotten interactions"


def outside_findings(store: RunStore, manifest: Manifest, visible_data: VisibleData, data: "Loaders") -> Iterator[str]:
    """Findings about logs that should be gone or name what was forgotten, and exports that differ from the run."""
    outside, hidden = manifest.get("outside", {}), _Hidden(store, visible_data)
    if manifest["forgotten"]:
        yield from doubtful(store, outside)
    for path in sorted((store.folder / CERTIFICATES).glob("*.json")):
        try:
            removed = certificate(path)["removed_outside"]
        except RunError:
            continue  # reported with the certificates
        for name in removed:
            if Path(name).exists() and name not in outside.get("tensorboard", []):
                yield f"{name} exists, although {path.name} says that it was removed"
    for name in outside.get("logs", []):
        try:
            if Path(name).is_file() and any(map(hidden.names, set(_words(Path(name))))):
                yield f"{name} names forgotten interactions"
        except (OSError, RunError) as error:
            yield f"{name} could not be checked ({error})"
    folders = [Path(name) for name in readable_exports(store, outside) if Path(name).is_dir()]
    if folders:
        exported = _Exported(data)
        for folder in folders:
            yield from exported.findings(folder)


class _Hidden:
    """Recognises words that name forgotten interactions."""

    def __init__(self, store: RunStore, visible_data: VisibleData) -> None:
        self.store, self.visible_data = store, visible_data

    def names(self, word: str) -> bool:
        """Whether a word names an interaction that was forgotten and did not join the run again."""
        key, hides = key_of(word), self.visible_data.hides
        return hides(key) and hides(key, self._added.get(key, 0))

    @cached_property
    def _added(self) -> dict[str, int]:
        """Key -> when a row of the index joined the run; read only if a file names something that was forgotten."""
        if not self.store.has_index():
            return {}
        index, out = self.store.open_index(), dict[str, int]()
        additions = index.facts.about.additions
        for rows in index.parts() if additions else ():
            labels, plain = np.zeros(len(rows), dtype=np.int64), self.visible_data.plain_ids
            told = Interactions(rows.users, rows.items, labels, rows.times, rows.values, plain)
            out |= last_added(told, added_at(rows.since, additions))
        return out


class _Exported:
    """What an export of the run would say now."""

    def __init__(self, data: "Loaders") -> None:
        dataset = data.train_set
        self.template = _template(dataset.config)
        tokens = map(str, dataset.field2id_token[dataset.iid_field])
        self.texts = dict(zip(tokens, dataset.item_texts, strict=True))
        self.splits: dict[str, list[Sample]] = {split: dataset.splits[split] for split in SPLITS}

    def findings(self, folder: Path) -> Iterator[str]:
        """The first problem in each file."""
        for split, samples in self.splits.items():
            path = folder / f"{split}.jsonl"
            if path.is_symlink():
                yield f"{path} is a link; an export contains only plain files"
                continue
            try:
                yield from self._file(path, {s.sample_id: s for s in samples})
            except RunError as error:
                yield str(error)

    def _file(self, path: Path, expected: Mapping[str, Sample]) -> Iterator[str]:
        seen = set()
        lines = read_plain(path).split(b"\n")
        if lines.pop():
            yield f"{path} does not end with a whole line"
            return
        for number, line in enumerate(lines, start=1):
            try:
                record = parse_json(line)
                name = record["sample_id"]
                sample = expected.get(name)
            except (ValueError, TypeError, KeyError):
                yield f"{path}, line {number}: not an exported sample"
                return
            if sample is None or name in seen:
                yield f"{path}, line {number}: an export of a sample that was dropped or rewritten"
                return
            seen.add(name)
            wrong = self._differing(record, sample)
            if wrong:
                says = "an export of a sample that was dropped or rewritten" if wrong == "history" else "changed"
                yield f"{path}, line {number}: {says} ({wrong} is not what the run has)"
                return
        if len(seen) < len(expected):
            yield f"{path} lacks {len(expected) - len(seen)} of the run's samples"

    def _differing(self, record: Mapping[str, object], sample: Sample) -> str:
        """The first entry that differs; empty if none does."""
        whole = sample_record(sample, lambda item: self.texts[item], "")
        for name in sorted(record.keys() | whole.keys()):
            if name == "prompt":
                if record.get(name) not in self._prompts(sample):
                    return name
            elif name not in record or name not in whole or record[name] != whole[name]:
                return name
        return ""

    def _prompts(self, sample: Sample) -> set[str]:
        """All texts that a sample's prompt may have: a long one loses the oldest lines of its history, and only the
        tokenizer knows how many."""
        history = tuple((self.texts[e.item_id], e.label) for e in sample.history)
        target = self.texts[sample.item_id]
        kept = (history[n:] for n in range(len(history) + 1))
        return {fill(self.template, PromptInput(part, target)).text for part in kept}


def _template(config: "Config") -> PromptTemplate:
    settings = read_settings(config).prompts
    return choose_template(settings.template, settings.prompt_template)


def _words(path: Path) -> Iterator[str]:
    """Every word in a file that could name an interaction.

    Raises:
        RunError: it cannot be read.
    """
    data = read_plain(path)
    text = data.decode("utf-8", errors="replace")
    if path.suffix == ".html":
        from plotly.offline import get_plotlyjs

        text = text.replace(get_plotlyjs(), "")  # megabytes of third-party code
    yield from (word[0] for word in _WORD.finditer(text) if ":" in word[0][1:-1])
    if path.suffix == ".json":
        try:
            yield from _strings(parse_json(data))
        except ValueError:
            return


def _strings(value: object) -> Iterator[str]:
    """Every string in a parsed JSON value, without recursion."""
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            todo += value
        elif isinstance(value, dict):
            todo += [*value.keys(), *value.values()]
