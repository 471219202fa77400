"""Make a run of APANext forget: one ledger line, one new state, one certificate."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.system.signals import terminable
from recbole_apa.evidence.exactness import FRESH, INHERITED
from recbole_apa.next_item.run.left_rows import remove_left_rows
from recbole_apa.next_item.run.result import ForgetResult
from recbole_apa.next_item.run.session import Session
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log
from recbole_apa.unlearning.manner import Manner
from recbole_apa.unlearning.requests.groups import groups_of
from recbole_apa.unlearning.requests.lookup import named_demands

LEVELS = (INHERITED, FRESH)


@terminable()
@own_log()
def forget_next_items(
    folder: str | Path,
    requests: str | Path | Sequence[str | Path] | None = None,
    *,
    users: Iterable[object] = (),
    items: Iterable[object] = (),
    interactions: Iterable[Sequence[object]] = (),
    exactness: str = INHERITED,
    skip_unknown: bool = False,
    dry_run: bool = False,
    at_once: bool = False,
    config_dict: Mapping[str, object] | None = None,
    columns: Mapping[str, object] | None = None,
    ids: Mapping[str, str | Path] | None = None,
) -> ForgetResult:
    """Make a finished run forget; first finishes what an interrupted call left waiting.

    Args:
        folder: the run's folder.
        requests, users, items, interactions, columns, ids: as for :func:`recbole_apa.unlearn`; several files are
            carried out together, with a certificate each.
        exactness: ``inherited``, in which the shard of each remaining user stays; or ``fresh``: everything is trained
            again, for a request that was waiting as well.
        skip_unknown: forget what can be found and list the rest, instead of rejecting the whole request.
        dry_run: say what the request changes, and change nothing.
        at_once: in a run with adapters train nothing: changed shards serve theirs from before the first slice that
            changed, or none, and the rest is left for :func:`recbole_apa.catch_up_next_items`. A run of heads alone has
            nothing to leave, and is as ever.
        config_dict: where things are now, e.g. ``{"data_path": ...}``.

    Raises:
        RequestError: malformed, unknown or served before; nothing was changed.
        RunError: the run is damaged, in use, made from other data.
        SettingsError: it was made on another kind of machine, and ``exactness`` is not ``fresh``.
    """
    if exactness not in LEVELS:
        raise SettingsError(f"exactness: found {exactness!r}, expected {INHERITED} or {FRESH} for a run of APANext")
    if at_once and exactness != INHERITED:
        raise SettingsError(f"at_once needs exactness: {INHERITED}, found {exactness}: nothing is trained at once")
    groups = groups_of(requests, named_demands(users, items, interactions), columns, ids)
    is_gathered = bool(requests) and not isinstance(requests, (str, Path))
    manner = Manner(exactness, skip_unknown=skip_unknown, at_once=at_once, passes_over=is_gathered)
    store = NextItemStore(folder)
    store.manifest()
    with run_lock(store.folder, "unlearning", writes=not dry_run):
        session = Session(store, config_dict or {}, manner)
        if dry_run:
            return session.dry_run(groups)
        remove_left_rows()
        return session.run(groups)
