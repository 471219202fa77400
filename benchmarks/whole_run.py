"""A run with adapters of which nothing is left for later, for the benchmarks of its drafts."""

import argparse

from recbole_apa.next_item.run.opened import NextItemRun, open_state
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.runs.manifest import CHECK


def whole_run(given: argparse.Namespace, parser: argparse.ArgumentParser) -> tuple[NextItemRun, str]:
    """The run of ``--run``, its data from ``--data_path``, and the digest of its manifest; ends the command where it
    has no adapters, or lacks some."""
    changes = {"show_progress": False, **({"data_path": given.data_path} if given.data_path else {})}
    store = NextItemStore(given.run)
    run = open_state(store, changes)
    if not run.state.learnt.adapters:
        parser.error("expected a run with adapters: titles or codes")
    if run.later:
        parser.error(f"{run.later}; expected a run that is whole")
    return run, str(store.manifest()[CHECK])
