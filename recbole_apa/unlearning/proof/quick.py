"""A quick proof that a run is what it says: recompute its lineage, check its digests, look for forgotten data.

The checks are in the files next to this one: ``files``, ``ledger``, ``data``, ``centres``, ``index`` and ``traces``.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from recbole_apa.core.errors import APAError, MissingPluginError, OtherModelError, RunError
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import KeyRing, key_ring
from recbole_apa.evidence.exactness import THIS_DATA
from recbole_apa.pipeline.option_names import NEVER_TAKEN
from recbole_apa.runs.collaborative_files import keeps_statistics
from recbole_apa.runs.ledger import Entry, Ledger
from recbole_apa.runs.ledger_lines import CHECK, REQUEST
from recbole_apa.runs.manifest import CHECK as MANIFEST_CHECK
from recbole_apa.runs.manifest import Manifest, is_checked
from recbole_apa.runs.names import COUNTED, KEY, SLICE_ORDER
from recbole_apa.runs.pinned_run import PinnedStore, read_settled
from recbole_apa.runs.remote.working_copy import is_url, open_place, strays_of
from recbole_apa.runs.store import RunStore, is_old_format, knows_no_scopes
from recbole_apa.unlearning.proof.centres import kept_centres, stale_centres
from recbole_apa.unlearning.proof.data import (
    lineage_findings,
    reachable_findings,
    row_findings,
    shard_findings,
    state_findings,
)
from recbole_apa.unlearning.proof.files import file_findings
from recbole_apa.unlearning.proof.index import hidden_findings, index_findings
from recbole_apa.unlearning.proof.ledger import ledger_findings
from recbole_apa.unlearning.proof.order import order_findings
from recbole_apa.unlearning.proof.sums import collaborative_findings
from recbole_apa.unlearning.proof.surveyed import surveyed
from recbole_apa.unlearning.proof.traces import outside_findings, trace_findings
from recbole_apa.unlearning.redraw import data_anew, draw_differences

if TYPE_CHECKING:
    from recbole_apa.data.loaders import Loaders
    from recbole_apa.pipeline.config import APAConfig


@dataclass
class AuditResult:
    """Findings of an audit; it holds if there are none.

    A *finding* says that the run is not what it claims to be: something was changed, is missing, is unaccounted for, or
    shows what was forgotten. A *notice* says what this run cannot show because an older version wrote it, or what was
    ignored; it does not affect whether the audit holds (the command line's status 1 is for findings alone).
    """

    findings: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    """What was checked, in words."""
    head: str = ""
    """Digest of the ledger's last line: a copy kept elsewhere proves that everything before it existed then."""
    notices: list[str] = field(default_factory=list)
    """Weaknesses of old formats, and options that are not taken from a manifest."""

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def audit(run_dir: str | Path, config_dict: Mapping[str, object] | None = None) -> AuditResult:
    """Check a run without training or writing anything.

    Any damage is reported as a finding. If a request puts another state in place meanwhile, the audit starts again.

    Args:
        run_dir: the run's folder, or its URL.
        config_dict: where things are now, e.g. ``{"data_path": ...}``.

    Raises:
        RunError: not a run folder at all, or requests were repeatedly carried out meanwhile.
        OtherModelError: a run of APANext.
        MissingPluginError: the data cannot be checked without a module that is not imported here.
    """
    with open_place(run_dir, "auditing", writes=False) as place:
        result = _audit_settled(RunStore(place), config_dict)
    if is_url(run_dir):
        result.checked.append("objects against the index")
        left = strays_of(run_dir)
        result.findings += [f"{key} is an object that the index does not name: a leftover" for key in left]
    return result


def _each_once(result: AuditResult) -> AuditResult:
    result.checked = list(dict.fromkeys(result.checked))
    result.findings = list(dict.fromkeys(result.findings))
    return result


def _audit_settled(store: RunStore, changes: Mapping[str, object] | None) -> AuditResult:
    if not store.manifest_path.is_file():
        store.manifest()  # raises: this is no run folder
    try:
        PinnedStore(store.storage)
    except OtherModelError:
        raise  # not a fault of the run
    except RunError as error:
        return AuditResult([str(error)], ["manifest"])
    return _each_once(read_settled(store, lambda pinned: _audit(pinned, changes)))


def _audit(store: PinnedStore, changes: Mapping[str, object] | None) -> AuditResult:
    result = AuditResult(checked=["manifest"])
    manifest = store.manifest()
    _guard(result, "manifest", lambda: _identity(store, manifest))
    _guard(result, "files against the manifest's digests", lambda: file_findings(store, manifest))
    if store.has_index():
        _guard(result, "index", lambda: index_findings(store, manifest))
    keys = key_ring(changes)
    _guard(result, "ledger and certificates", lambda: ledger_findings(store, manifest, keys))
    try:
        ledger = Ledger(store.storage, manifest["salt"])
        result.notices += _notices(manifest, ledger.entries())
        result.head = ledger.head()
        visible_data, data, other = _data_of(store, changes, keys)
    except MissingPluginError as error:
        if not result.findings:
            raise  # not a fault of the run
        result.notices.append(f"the data was not checked: {error}")
        return result
    except (APAError, OSError) as error:
        result.findings.append(_said(error))
        return result
    if other:
        result.findings.append(f"the data files are not those that the run was made of: {other}")
    _guard(result, "lineage against the data", lambda: lineage_findings(store, manifest, data, keys))
    if manifest.get("draw_of") == THIS_DATA:
        _guard(result, "split and draw", lambda: draw_differences(manifest, store, data_anew(data.train_set)))
    _guard(result, "adapters", lambda: shard_findings(store, data, keys))
    _guard(result, "embeddings and memory", lambda: row_findings(store, data))
    if keeps_statistics(manifest):
        told = "collaborative statistics and their combination"
        _guard(result, told, lambda: collaborative_findings(store, manifest, data, keys))
    _guard(result, "centres of the shards", lambda: stale_centres(store, manifest, data.train_set))
    result.notices += kept_centres(manifest)
    _guard(result, "frozen activations", lambda: state_findings(store))
    if store.has_index():  # the run sees nothing else of its files
        _guard(result, "forgotten interactions in the index", lambda: hidden_findings(store, visible_data, keys))
        if store.has(SLICE_ORDER):
            _guard(result, "the order of users", lambda: order_findings(store, keys))
    else:
        told = "the raw files' rows of what was forgotten, by keyed digests, in data and state"
        _guard(result, told, lambda: reachable_findings(store, data, keys))
    _guard(result, "forgotten interactions in the run folder", lambda: trace_findings(store, visible_data))
    _guard(result, "traces outside the run folder", lambda: outside_findings(store, manifest, visible_data, data))
    return result


def _data_of(
    store: PinnedStore, changes: Mapping[str, object] | None, keys: KeyRing
) -> "tuple[VisibleData, Loaders, str | None]":
    """The data that the run may see now, and how its files differ from its index, if they do. The backbone's own code
    is not run for this, so it need not be trusted."""
    from recbole_apa.pipeline.build import run_config, stored_visible_data
    from recbole_apa.pipeline.stored_data import read_stored

    trust = {"trust_remote_code": True} if store.manifest()["options"].get("trust_remote_code") else {}
    config = run_config(store, {**(changes or {}), **trust})
    visible_data = stored_visible_data(store, keys)
    if store.has_index() and not _is_of(store.open_index().facts.about.options, config):
        raise RunError(f"{store.place}: the index was written with other options than manifest.json has")
    found = surveyed(store, Path(config["data_path"]) / config["dataset"], keys)
    if found is not None:  # it has what an audit asks of RecBole's loaders
        return visible_data, cast("Loaders", found), None
    data, _, other = read_stored(store, config, visible_data, keys, filtered=False)
    return visible_data, data, other


def _is_of(options: Mapping[str, object], config: "APAConfig") -> bool:
    """Whether an index was written with a configuration's options."""
    from recbole_apa.data.recbole_data_options import data_options
    from recbole_apa.data.recbole_settings import read_settings

    return json.loads(json.dumps(data_options(config, read_settings(config).samples).to_json())) == options


def _guard(result: AuditResult, title: str, check: Callable[[], Iterable[str]]) -> None:
    """Run one check; anything that it cannot read is also a finding."""
    result.checked.append(title)
    try:
        for finding in check():
            result.findings.append(finding)
    except (APAError, OSError) as error:
        result.findings.append(_said(error))


def _said(error: Exception) -> str:
    """The text of a finding; an ``OSError`` may mean that another process removed a file meanwhile."""
    if isinstance(error, OSError):
        return f"cannot read {error.filename or 'a file of the run'}: {error.strerror or error}"
    return str(error)


def _identity(store: PinnedStore, manifest: Manifest) -> Iterable[str]:
    if not is_checked(manifest) or (MANIFEST_CHECK in manifest and not store.is_as_written()):
        yield "manifest.json was changed after it was written"
    keyed_later = is_old_format(manifest) and manifest.get(KEY)
    if not keyed_later and store.identity_in_manifest().digest() != manifest["identity_digest"]:
        yield "manifest.json was changed: its settings, dataset, backbone or draw are not what its identity_digest says"


def _notices(manifest: Manifest, entries: Sequence[Entry]) -> list[str]:
    """What this run cannot show."""
    out = []
    if knows_no_scopes(manifest):
        out.append(
            "the run has format 2, which identified forgotten data only by digests of single rows; the next request "
            "converts it to the current format"
        )
    if any(entry.kind == REQUEST and KEY not in entry.content for entry in entries):
        out.append(
            "digests of what was forgotten are salted but not keyed: whoever has this folder can find a name by "
            "guessing; key them with --run=DIR --key_digests"
        )
    if MANIFEST_CHECK not in manifest:
        out.append("manifest.json has no digest of itself: until a request, a change in it may go unnoticed")
    if any(CHECK not in entry.content for entry in entries):
        out.append("lines of the ledger have no digest of their own: a change in its last line may go unnoticed")
    if keeps_statistics(manifest) and COUNTED not in manifest:
        out.append(
            "manifest.json has no digest of the rows that collaborative statistics are counted from: an audit still "
            "counts them again, and the next request notes it"
        )
    passed = sorted(NEVER_TAKEN & set(manifest["options"]))
    if passed:
        out.append(f"options in the manifest that are ignored: {', '.join(passed)}")
    return out
