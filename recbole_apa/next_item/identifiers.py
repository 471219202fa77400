"""How the items of a run are written: by their titles, or by codes of their public texts."""

import time
from collections.abc import Iterable
from logging import getLogger

import torch

from recbole_apa.core.errors import SettingsError
from recbole_apa.next_item.backbone_states import HistoryStates
from recbole_apa.next_item.catalogue import Catalogue
from recbole_apa.next_item.generation import Identifiers, ItemCodes, code_tokens, coded, residual_codes, title_tokens
from recbole_apa.next_item.heads import StateGrid
from recbole_apa.next_item.history_text import HistoryEncoder
from recbole_apa.next_item.sequences import UserSequence
from recbole_apa.next_item.settings import NextItemSettings


def titles_of(catalogue: Catalogue, encoder: HistoryEncoder) -> Identifiers:
    """
    Raises:
        ValueError: titles cannot be told apart.
    """
    lines = tuple(map(encoder.line, catalogue.texts))
    return Identifiers("titles", tuple(title_tokens(catalogue.texts, catalogue.items, encoder.line)), lines)


def identifiers_of(catalogue: Catalogue, encoder: HistoryEncoder, codes: ItemCodes | None = None) -> Identifiers:
    """
    Args:
        codes: None writes titles.

    Raises:
        SettingsError: the tokenizer has too few tokens to write codes with.
        ValueError: titles cannot be told apart.
    """
    if codes is None:
        return titles_of(catalogue, encoder)
    alphabet = alphabet_of(encoder, codes.numbers.shape[1], codes.size)
    written = code_tokens(codes.numbers.tolist(), codes.size, alphabet)
    return coded(written, [encoder.line(text) for text in catalogue.texts])


def alphabet_of(encoder: HistoryEncoder, n_levels: int, size: int) -> tuple[int, ...]:
    """The tokens that codes are written with: those of each level, and as many again for items that share a code.

    Raises:
        SettingsError: the tokenizer has too few.
    """
    n = (n_levels + 1) * size
    found = encoder.plain_tokens(n)
    if len(found) < n:
        raise SettingsError(
            f"code_levels, code_size: found {n_levels} and {size}, which take {n} tokens of letters and digits; the "
            f"backbone's tokenizer has {len(found)}"
        )
    return found


def codes_of(
    states: HistoryStates, catalogue: Catalogue, grid: StateGrid, settings: NextItemSettings
) -> ItemCodes | None:
    """The codes of a catalogue, from the frozen model's state after each text alone: one short pass an item. None where
    no codes are written.

    Args:
        grid: states are rounded to it, so that all that follows is exact.

    Raises:
        SettingsError: the tokenizer has too few tokens to write codes with.
    """
    if settings.adapters != "codes":
        return None
    alphabet_of(states.encoder, settings.code_levels, settings.code_size)  # before all texts are read
    start = time.perf_counter()
    read = states.of_many([[text] for text in catalogue.texts])
    vectors = torch.cat([grid.on_grid(state)[:, :-1] for state in read])
    numbers = residual_codes(vectors, settings.code_levels, settings.code_size, settings.seed)
    getLogger().info(
        f"codes: {len(catalogue)} items, {len(numbers.unique(dim=0))} different before the last level, "
        f"{time.perf_counter() - start:.1f} s"
    )
    return ItemCodes(numbers, settings.code_size)


def refuse_long(
    identifiers: Identifiers, states: HistoryStates, catalogue: Catalogue, sequences: Iterable[UserSequence]
) -> None:
    """Without a pass.

    Raises:
        SettingsError: a history, as it shows these identifiers, has more tokens than the backbone reads.
    """
    for sequence in sequences:
        states.encoded(identifiers.lines_of(catalogue.columns(sequence.shown(states.length))))
