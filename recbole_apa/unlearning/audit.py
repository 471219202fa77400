"""A quick proof that a run is what it says: recompute its lineage, follow its digests, look for forgotten data."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from recbole_apa.assembly import build_data, is_same_data, other_data, stored_view
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.view import DataView, key_of
from recbole_apa.devices import here
from recbole_apa.errors import APAError, RunError
from recbole_apa.files import file_digest, read_json
from recbole_apa.fitting import lineage_of, sample_order, shard_key
from recbole_apa.keys import KeyRing, key_ring
from recbole_apa.ledger import DONE, Entry, Ledger, manifest_digest
from recbole_apa.line_endings import GIT_ATTRIBUTES, GIT_LINES, how_changed
from recbole_apa.recbole_bridge import APAConfig
from recbole_apa.run_lock import HOLDER, LOCK
from recbole_apa.run_store import CERTIFICATES, EMBEDDINGS, KEY, LEDGER, MANIFEST, MEMORY, PENDING, STATES, RunStore
from recbole_apa.storage.place import is_url, strays_of, working_folder
from recbole_apa.unlearning.centres import kept_centres, stale_centres
from recbole_apa.unlearning.checks import reachable
from recbole_apa.unlearning.exactness import THIS_DATA
from recbole_apa.unlearning.leftovers import is_known, leftover
from recbole_apa.unlearning.outside import doubtful, readable_exports
from recbole_apa.unlearning.redraw import data_anew, draw_differences

_WORD = re.compile(r"[^\s\"'<>,;()\[\]{}]+:[^\s\"'<>,;()\[\]{}]+")


@dataclass
class AuditResult:
    """Findings of an audit; it holds where there are none."""

    findings: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    """What was looked at, in words."""
    notices: list[str] = field(default_factory=list)
    """Weaknesses of older formats, which are no findings."""
    head: str = ""
    """Digest of the ledger's last line: kept elsewhere, it dates everything before it."""

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def audit(run_dir: str | Path, config_dict: Mapping[str, Any] | None = None) -> AuditResult:
    """Check a run without training anything.

    Args:
        run_dir: the run's folder, or its URL.
        config_dict: where things lie now, e.g. ``{"data_path": ...}``.

    Raises:
        RunError: not a run folder at all.
    """
    with working_folder(run_dir, "auditing", writes=False) as folder:
        result = _audit(RunStore(folder), config_dict)
    if is_url(run_dir):
        result.checked.append("objects against the index")
        left = strays_of(run_dir)
        result.findings += [f"{key} is an object that the index does not name: a leftover" for key in left]
    return result


def _audit(store: RunStore, config_dict: Mapping[str, Any] | None) -> AuditResult:
    result = AuditResult(checked=["manifest"])
    if not store.manifest_path.is_file():
        store.manifest()  # raises: this is no run folder
    try:
        manifest = store.manifest()
    except RunError as error:
        return AuditResult([str(error)], ["manifest"])
    keys = key_ring(config_dict)
    _guard(result, "files against the manifest's digests", lambda: _files(store, manifest))
    _guard(result, "ledger and certificates", lambda: _ledger(store, manifest, result, keys))
    try:
        view, data = _data_of(store, manifest, config_dict, keys)
    except APAError as error:
        result.findings.append(str(error))
        return result
    _guard(result, "lineage against the data", lambda: _lineage(store, manifest, data, keys))
    if manifest.get("draw_of") == THIS_DATA:
        anew = data[0]._dataset.config
        _guard(result, "split and draw", lambda: draw_differences(manifest, store, data_anew(anew)))
    _guard(result, "centres of the shards", lambda: stale_centres(store, manifest, data[0]._dataset))
    result.notices += kept_centres(manifest)
    told = "the raw files' rows of what was forgotten, by keyed digests, in data and state"
    _guard(result, told, lambda: _reachable(store, data, keys))
    _guard(result, "forgotten interactions in the run folder", lambda: _traces(store, view))
    _guard(result, "traces outside the run folder", lambda: _outside(store, manifest, view, data))
    return result


def _data_of(
    store: RunStore, manifest: Mapping[str, Any], changes: Mapping[str, Any] | None, keys: KeyRing
) -> tuple[DataView, tuple[Any, Any, Any]]:
    """The data that the run may see now."""
    options = {**here(manifest["options"]), **(changes or {})}
    config = APAConfig("APA", options.pop("dataset"), None, options)
    config.view = view = stored_view(store, keys)
    return view, build_data(config)


def _guard(result: AuditResult, title: str, check: Callable[[], Iterable[str]]) -> None:
    """Run one check; what it cannot read is a finding too."""
    result.checked.append(title)
    try:
        result.findings += list(check())
    except APAError as error:
        result.findings.append(str(error))
    except OSError as error:
        result.findings.append(f"cannot read {error.filename}: {error.strerror}")


def _files(store: RunStore, manifest: Mapping[str, Any]) -> Iterator[str]:
    if manifest["status"] != "complete":
        yield f"the run's training was not finished (status {manifest['status']!r})"
        return
    there = set(store.state_files())
    for name, digest in manifest["files"].items():
        if name not in there:
            yield f"{name} is missing"
        elif file_digest(store.folder / name) != digest:
            yield name + how_changed(store.folder / name, digest, " was changed after it was written")
    for name in sorted(there - set(manifest["files"])):
        yield leftover(name) if is_known(name) else f"{name} is not in the manifest: a file that nobody answers for"
    attributes = store.folder / GIT_ATTRIBUTES
    if attributes.is_file() and attributes.read_bytes().replace(b"\r\n", b"\n") != GIT_LINES.encode():
        yield f"{GIT_ATTRIBUTES} holds something else than `{GIT_LINES.strip()}`"
    known = {MANIFEST, LEDGER, CERTIFICATES, PENDING, LOCK, HOLDER, GIT_ATTRIBUTES} | {
        n.split("/")[0] for n in manifest["files"]
    }
    for path in sorted(store.folder.iterdir()):
        if path.name not in known and path.name not in there:
            yield leftover(path.name)
    hidden = [p for p in store.folder.rglob(".*") if p.name not in (LOCK, HOLDER) and p.parent != store.folder]
    for path in sorted(hidden):
        yield leftover(path.relative_to(store.folder).as_posix())
    if (store.folder / PENDING).exists():
        yield f"{PENDING}/ is there: a request is not carried out to its end; finish it with --resume"


def _ledger(store: RunStore, manifest: Mapping[str, Any], result: AuditResult, keys: KeyRing) -> Iterator[str]:
    ledger = Ledger(store.folder, manifest["salt"])
    entries = ledger.entries()
    result.head = ledger.head()
    for entry in ledger.waiting():
        yield f"the request in line {entry.position} of the ledger waits to be carried out"
    asked = {d for e in ledger.requests() for d in e.content["interactions"]}
    done = [e for e in entries if e.kind == DONE]
    if not ledger.waiting() and asked != set(manifest["forgotten"]):
        yield "the manifest's list of forgotten interactions is not what the ledger's requests come to"
    if done and done[-1].content["manifest"] != manifest_digest(done[-1].content, store, keys):
        yield f"{MANIFEST} was changed after the last request was carried out"
    if not entries and manifest["forgotten"]:
        yield f"{LEDGER} is missing, although the manifest says that something was forgotten"
    known = {name for e in done for name in e.content["certificates"]}
    folder = store.folder / CERTIFICATES
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name not in known:
            yield f"{CERTIFICATES}/{path.name} is in no line of the ledger"
    requests = {e.position: e for e in ledger.requests()}
    for entry in done:
        yield from _certificates(folder, entry, requests)
    yield from _last_files(folder, done, manifest, keys)


def _certificates(folder: Path, entry: Entry, requests: Mapping[int, Entry]) -> Iterator[str]:
    """What one ledger line says of its certificates, and what they say of the requests."""
    for name, digest in entry.content["certificates"].items():
        path = folder / name
        if not path.is_file():
            yield f"{CERTIFICATES}/{name} is missing"
        elif file_digest(path) != digest:
            yield f"{CERTIFICATES}/{name}" + how_changed(path, digest, " was changed after it was written")
    for position in entry.content["requests"]:
        path = folder / f"{position:04d}.json"
        if not path.is_file():
            continue
        said, asked = read_json(path)["request"], requests.get(position)
        if asked is None or said["digest"] != asked.digest or said["interactions"] != asked.content["interactions"]:
            yield f"{CERTIFICATES}/{path.name} does not say what the ledger's request says"


def _last_files(folder: Path, done: list[Entry], manifest: Mapping[str, Any], keys: KeyRing) -> Iterator[str]:
    """The files that the certificates say they left behind, the latest word on each."""
    last: dict[str, tuple[str | None, str | None]] = {}
    for entry in done:
        path = folder / f"{entry.content['requests'][0]:04d}.json"
        if path.is_file():
            said = read_json(path)
            last |= {name: (digests["after"], said.get(KEY)) for name, digests in said["files"].items()}
    for name, (digest, key) in sorted(last.items()):
        there = manifest["files"].get(name)
        if (keys.key(key).keyed(there) if there and key else there) != digest:
            yield f"{name} is not the file that its last certificate names"


def _lineage(store: RunStore, manifest: Mapping[str, Any], data: tuple[Any, Any, Any], keys: KeyRing) -> Iterator[str]:
    splits: dict[str, list[Sample]] = data[0]._dataset.splits
    if not is_same_data(manifest, data[0]._dataset, keys):
        yield other_data(manifest, data[0]._dataset.config, data[0]._dataset, keys)
        return
    partition = store.load_partition()
    if partition is None:
        raise RunError(f"{store.folder} has no partition.json")
    said = store.lineage()
    unknown = set(partition.shard_of) - {s.sample_id for s in splits["train"]}
    if unknown:
        yield f"partition.json holds {len(unknown)} samples that the data no longer has"
        return
    found = lineage_of(partition, splits, store.has(STATES))
    for name in sorted(found.keys() | said.keys()):
        if found.get(name) != said.get(name):
            yield f"lineage of {name}: it saw other samples than the data now gives"
    by_id = {s.sample_id: s for s in splits["train"]}
    for shard in range(partition.n_shards):
        members = partition.members(shard)
        key = shard_key(shard, [by_id[name] for name in members])
        if members and store.finished_shard(shard, key) is None:
            moved = store.finished_shard(shard, key, or_moved=True)
            if moved:
                method = moved[1]["key"].split(":")[1]
                yield f"shards/{shard:03d} was moved by {method}, not trained again: what it holds is not known"
                continue
            yield f"shards/{shard:03d} was trained on other samples than its lineage says"
        if not members and store.shard_folder(shard).exists():
            yield f"shards/{shard:03d} should be empty, and an adapter is there"
    yield from _rows(store, splits)


def _reachable(store: RunStore, data: tuple[Any, Any, Any], keys: KeyRing) -> Iterator[str]:
    for found in reachable(store, data, keys):
        yield f"what was forgotten can be reached: {found}"


def _rows(store: RunStore, splits: Mapping[str, list[Sample]]) -> Iterator[str]:
    """Whether the tensors have one row for each sample, with its label."""
    n_rows = len(store.load_embeddings())
    if n_rows != len(splits["train"]):
        yield f"{EMBEDDINGS} has {n_rows} rows for {len(splits['train'])} training samples"
    memory, _ = store.load_memory()
    labels = [splits["valid"][i].label for i in sample_order(splits["valid"])]
    if [int(y) for y in memory.labels.tolist()] != labels:
        yield f"{MEMORY} has {len(memory.labels)} rows that are not those of the {len(labels)} validation samples"


def _traces(store: RunStore, view: DataView) -> Iterator[str]:
    """Names of forgotten interactions in any file of the run folder, hidden ones included."""
    for path in sorted(p for p in store.folder.rglob("*") if p.is_file()):
        hits = sum(view.hides(key_of(word)) for word in set(_words(path)))
        if hits:
            yield f"{path.relative_to(store.folder)} names {hits} forgotten interactions"


def _outside(store: RunStore, manifest: Mapping[str, Any], view: DataView, data: tuple[Any, Any, Any]) -> Iterator[str]:
    outside = manifest.get("outside", {})
    if manifest["forgotten"]:
        yield from doubtful(store, outside)
    for certificate in sorted((store.folder / CERTIFICATES).glob("*.json")):
        for name in read_json(certificate)["removed_outside"]:
            if Path(name).exists() and name not in outside.get("tensorboard", []):
                yield f"{name} is there, although {certificate.name} says that it was removed"
    for name in outside.get("logs", []):
        try:
            if Path(name).is_file() and any(view.hides(key_of(word)) for word in set(_words(Path(name)))):
                yield f"{name} names forgotten interactions"
        except OSError as error:
            yield f"{name} could not be looked at ({error.strerror})"
    expected = {s.sample_id: s for split in SPLITS for s in data[0]._dataset.splits[split]}
    for name in readable_exports(store, outside):
        for path in sorted(Path(name).glob("*.jsonl")):
            yield from _export(path, expected)


def _export(path: Path, expected: Mapping[str, Sample]) -> Iterator[str]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        record = json.loads(line)
        sample = expected.get(record["sample_id"])
        shown = [[item, label] for item, _, label in record["history"]]
        if sample is None or shown != [[e.item_id, e.label] for e in sample.history]:
            yield f"{path}, line {number}: an export of a sample that was dropped or rewritten"
            return


def _words(path: Path) -> Iterator[str]:
    """Everything in a file that could name an interaction."""
    text = path.read_bytes().decode("utf-8", errors="replace")
    if path.suffix == ".html":
        text = text.replace(get_plotlyjs(), "")  # megabytes of somebody else's program
    yield from _WORD.findall(text)
    if path.suffix == ".json":
        try:
            yield from _strings(json.loads(text))
        except ValueError:
            return


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
