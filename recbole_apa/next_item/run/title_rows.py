"""The rows of titles or codes: exact ranking by what the merged adapters write, for a drawn number of users.

Nothing of this is served. Beside them stands what the heads alone give for the same users.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from recbole_apa.core.progress import progress
from recbole_apa.core.seeding import hash_order
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.generation import rank_all
from recbole_apa.next_item.merged_titles import MergedTitles
from recbole_apa.next_item.options import NextItemOptions
from recbole_apa.next_item.ranking import RankedSplit, recbole_figures, split_of
from recbole_apa.next_item.run.figures import SPLITS, measures
from recbole_apa.next_item.state import NextItemState, SplitStates, head_term
from recbole_apa.next_item.titles import TitleModel
from recbole_apa.next_item.user_rows import RowReader

HEADS = "heads"
_OF = " of {} drawn users"

Figures = dict[str, dict[str, float]]


def title_rows(figures: Mapping[str, Mapping[str, float]]) -> Figures:
    """Those of a table that are of drawn users, in the order of :func:`figures_of_titles`; files have another."""
    rows = sorted((row for row in figures if row.endswith("drawn users")), key=_place)
    return {row: dict(figures[row]) for row in rows}


def told_of_drawn(figures: Mapping[str, Mapping[str, float]], data: NextItemData) -> str:
    """Where rows are named after more users than there are: how many they have, for people; else empty."""
    named = {row.partition(" of ")[2] for row in figures if row.endswith("drawn users")}
    n_of = {name: len(split_of(data, name).targets) for name in SPLITS}
    n_wanted = max((int(told.split()[0]) for told in named), default=0)
    if n_wanted <= min(n_of.values()):
        return ""
    return (
        f"rows of {n_wanted} drawn users: there are {n_of['test']} with a test target and {n_of['valid']} with a "
        "validation target"
    )


def _place(row: str) -> tuple[bool, bool]:
    """What is written alone, with the heads, the heads alone."""
    name = row.partition(" of ")[0]
    return name == HEADS, name.endswith(f" + {HEADS}")


def figures_of_titles(options: NextItemOptions, data: NextItemData, state: NextItemState, reader: RowReader) -> Figures:
    """Row -> figures of both splits; nothing without adapters, or where no users are to be drawn.

    Args:
        reader: with the run's backbone.
    """
    n_users = options.settings.title_users
    if not state.learnt.adapters or not n_users:
        return {}
    model = TitleModel(reader.states.decoder, reader.states.encoder, data.catalogue, state.codes)
    written = model.identifiers.name
    n_below = reader.states.decoder.n_layers - options.settings.adapter_layers
    titles = MergedTitles(model, state, n_below)
    out: Figures = {}
    for name in SPLITS:
        split, states = drawn_users(split_of(data, name), getattr(state.learnt, name), n_users)
        by_title = _by_title(titles, split, states, data, options)
        with one_thread():
            heads = state.head_scores([s.user for s in split.sequences], states)
            scores = {written: by_title, f"{written} + {HEADS}": by_title + head_term(heads), HEADS: heads}
        for row, of_row in scores.items():
            found = recbole_figures(of_row, split, measures(options)) if len(split.targets) else {}
            told = out.setdefault(row + _OF.format(n_users), {})
            told |= {f"{name}.{measure}": value for measure, value in found.items()}
    return out


def drawn_users(split: RankedSplit, known: SplitStates, n_users: int) -> tuple[RankedSplit, Tensor]:
    """The first users of a split by a hash of their names, and their states on the grid, (n_users, d + 1)."""
    rows = sorted(hash_order([s.user for s in split.sequences], 0, "titles")[:n_users])
    part = replace(
        split,
        sequences=tuple(split.sequences[row] for row in rows),
        histories=tuple(split.histories[row] for row in rows),
        targets=split.targets[rows],
    )
    return part, known.states[rows]


def shown_columns(split: RankedSplit, row: int, data: NextItemData, length: int) -> list[int]:
    """Of the items that the language model reads before a user's target, oldest first."""
    shown = split.sequences[row].shown(length)
    return data.catalogue.columns(shown[:-1] if split.name == "valid" else shown)


def _by_title(
    titles: MergedTitles, split: RankedSplit, states: Tensor, data: NextItemData, options: NextItemOptions
) -> Tensor:
    """The log chance of every item, (b, m), float64."""
    scores = torch.zeros(len(split.sequences), len(data.catalogue), dtype=torch.float64)
    bar = progress(
        None,
        f"{titles.model.identifiers.name.capitalize()}, {split.name}",
        options.show_progress,
        total=len(split.sequences),
    )
    with bar:
        for row, sequence in enumerate(split.sequences):
            columns = shown_columns(split, row, data, options.settings.history_length)
            scores[row] = rank_all(titles.after(sequence.user, states[row], columns))
            bar.update()
    return scores
