"""Ways to break on purpose how forgotten rows are hidden, and ways to carry out a request."""

from dataclasses import replace

import numpy as np
import pytest

from recbole_apa import evaluate_run
from recbole_apa.data.forgotten import PAIR, USER, Forgotten, Scope
from recbole_apa.data.index.change import Change
from recbole_apa.data.samples import LabelledItems
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.runs import keep_index
from recbole_apa.unlearning import light_stage, touched
from recbole_apa.unlearning.session import Session

SCOPES_OF = "recbole_apa.unlearning.requests.scopes.scopes_of"


def nothing_is_hidden(patch):
    patch.setattr(VisibleData, "visible", lambda self, rows, *more: np.ones(len(rows), dtype=bool))


def only_whole_users_are_hidden(patch):
    patch.setattr(Forgotten, "_last_of_row", lambda self, user, item, time: 0)


def half_of_the_rows_are_hidden(patch):
    whole = Forgotten.visible
    patch.setattr(Forgotten, "visible", lambda self, *a: whole(self, *a) | (np.arange(len(a[0])) % 2 == 0))


def histories_are_made_of_all_rows(patch):
    """Targets are dropped, and what is shown before others stays."""
    from recbole_apa.data import run_data

    def seen_before(rows, windows, row, length):
        sample = make(rows, windows, row, length)
        return replace(sample, history=tuple(e for e in remembered.get(sample.sample_id, sample).history))

    make, remembered = run_data.make_sample, {}
    first = evaluate_run(FOLDER[0]).data[0]._dataset.splits
    remembered |= {s.sample_id: s for samples in first.values() for s in samples}
    patch.setattr(run_data, "make_sample", seen_before)


def digests_are_somebody_elses(patch):
    patch.setattr(SCOPES_OF, lambda *a: [Scope(USER, "u9")])


def one_row_of_a_pair_is_kept_of_the_request(patch):
    patch.setattr(
        "recbole_apa.unlearning.requests.scopes.scopes_of", lambda d, hits, rows: [Scope(PAIR, d.user, "i999")]
    )


def somebody_else_is_hidden_too(patch):
    whole = Forgotten.visible

    def wider(self, rows, *more):
        return whole(self, rows, *more) & np.array([name != "u9" for name in rows.users.texts()])

    patch.setattr(Forgotten, "visible", wider)


def statistics_count_what_is_hidden(patch):
    from recbole_apa.data import run_data

    def with_one_more(items, labels):
        items = items.take(np.concatenate([np.arange(len(items)), [0] * 17]))
        return LabelledItems(items, np.concatenate([labels, np.repeat(labels[:1], 17)]))

    patch.setattr(run_data, "LabelledItems", with_one_more)


FOLDER = []
"""The folder of the run, put here by the test before it breaks something."""


def from_the_index_alone(patch):
    """The request is refused before the run is loaded."""
    patch.setattr(Session, "load", lambda *args, **kwargs: pytest.fail("the run was loaded"))


def with_the_run_in_ram(patch):
    patch.setattr(light_stage, "open_light", lambda *args: None)


def the_index_keeps_its_rows(patch):
    nothing = Change()
    patch.setattr(keep_index, "difference", lambda before, after: nothing)
    patch.setattr(touched, "Change", lambda *args: nothing)
