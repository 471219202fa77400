"""Titles: the exact ranking, best-first, beams; and drafts that change no list."""

import random

import pytest
import torch

from recbole_apa.backbone.load import load_backbone
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.errors import BackboneError, DataError
from recbole_apa.next_item.catalogue import Catalogue
from recbole_apa.next_item.generation import (
    BeamDraft,
    HeadGuess,
    NodeChances,
    Trie,
    beam_search,
    best_first,
    rank_all,
    title_tokens,
)
from recbole_apa.next_item.history_text import HistoryEncoder
from recbole_apa.next_item.titles import TitleModel

WORDS = ("Star", "Wars", "Trek", "of", "the", "Night", "Day")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """60 titles that share beginnings; two pairs are the same."""
    draw = random.Random(3)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 4))) for _ in range(58)]
    return Catalogue(tuple(f"i{i:02d}" for i in range(60)), (*texts, texts[0], texts[7]))


@pytest.fixture(scope="module")
def model(read, catalogue) -> TitleModel:
    options, _, _ = read
    backbone = load_backbone(options.backbone, torch.device("cpu"))
    return TitleModel(SplitDecoder(backbone.model, 0), HistoryEncoder(backbone.tokenizer), catalogue)


@pytest.fixture(scope="module")
def histories(catalogue):
    draw = random.Random(5)
    return [[draw.randrange(len(catalogue)) for _ in range(draw.randint(1, 6))] for _ in range(6)]


class Uniform:
    """Reads nothing; says the same everywhere but for the first token below the root."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def has(self, node):
        return node == 0 or node in self.seen

    def read(self, nodes):
        assert self.seen.isdisjoint(nodes)
        self.seen |= set(nodes)

    def fresh(self):
        return Uniform()

    def logits(self, node, tokens):
        return torch.tensor([1.0 if node == 0 and token == 2 else 0.0 for token in tokens])


def test_a_trie_of_known_titles():
    trie = Trie.of([(1, 5, 9), (1, 6, 9), (2, 5, 7, 9), (3, 9)])
    assert len(trie) == 12 and trie.depth == 4 and trie.branching == [0, 1]
    assert trie.item_of[trie.landing(trie.children[0][1])] == 2  # forced to the end
    assert trie.first_item[0] == 0 and trie.sums_below([1, 2, 3, 4])[1] == 3
    scores = rank_all(NodeChances(trie, Uniform()))
    e = torch.e
    expected = torch.tensor([0.5 / (2 + e), 0.5 / (2 + e), e / (2 + e), 1 / (2 + e)], dtype=torch.float64)
    assert torch.allclose(scores.exp(), expected)
    for wrong in ([()], [(1, 2), (1, 2)], [(1, 2), (1, 2, 3)], [(1, 2, 3), (1, 2)]):
        with pytest.raises(ValueError, match="title"):
            Trie.of(wrong)


def test_equal_titles_are_told_apart_by_their_ids(catalogue):
    line = lambda text: [*map(ord, text), 10]  # noqa: E731
    titles = title_tokens(catalogue.texts, catalogue.items, line)
    assert len(set(titles)) == 60 and "(i58)" in "".join(map(chr, titles[58])) and Trie.of(titles)


def test_of_equal_titles_whose_letters_take_many_tokens_no_id_is_cut_off():
    """As of Japanese ones, with tokens of bytes; what is told apart by more letters keeps them."""
    texts = ("日本語の映画" * 5, "日本語の映画" * 5, "Alike", "Alike", "x" * 60 + "1", "x" * 60 + "2")

    def line(text):
        return [*text.encode()[:47], 10]

    titles = title_tokens(texts, "abcdef", line)
    assert len(set(titles)) == 6 and bytes(titles[0]) == "日本語の映画日本語の (a)\n".encode()
    assert bytes(titles[3]) == b"Alike (d)\n" and bytes(titles[4]) == b"x" * 40 + b" (e)\n"
    with pytest.raises(DataError, match=r"2 items, .*adapters: codes"):
        title_tokens(("Alike", "Alike"), ("i" * 60 + "1", "i" * 60 + "2"), line)


def test_the_ranking_is_a_distribution_and_equals_plain_scores(model, catalogue, histories, read):
    """Against transformers' own forward pass of prompt and title, renormalised over the children of each node."""
    chances = model.after(histories[0])
    scores = rank_all(chances)
    assert abs(float(scores.exp().sum()) - 1) < 1e-9 and chances.n_passes == 1
    options, _, _ = read
    backbone = load_backbone(options.backbone, torch.device("cpu"))
    encoder, trie = HistoryEncoder(backbone.tokenizer), model.trie
    prompt = list(encoder.encode([catalogue.texts[column] for column in histories[0]]).ids)
    for column in (0, 17, 58):
        leaf = next(node for node, item in enumerate(trie.item_of) if item == column)
        path = trie.path(leaf)
        ids = prompt + [trie.tokens[node] for node in path]
        with torch.no_grad():
            logits = backbone.model(torch.tensor([ids])).logits[0].double()
        told = 0.0
        for place, node in enumerate(path):
            children = trie.children[trie.parents[node]]
            row = logits[len(prompt) - 1 + place, [trie.tokens[child] for child in children]]
            told += float(torch.log_softmax(row, 0)[children.index(node)])
        assert told == pytest.approx(float(scores[column]), abs=1e-4)


def test_best_first_and_wide_beams_are_the_exact_ranking(model, histories):
    for number, history in enumerate(histories):
        allowed = [(column + number) % 5 != 0 for column in range(60)]
        scores = rank_all(model.after(history))
        order = sorted(range(60), key=lambda c: (-float(scores[c]), c))
        best = [column for column in order if allowed[column]][:10]
        first = best_first(model.after(history), 10, allowed)
        assert [model.trie.item_of[one.node] for one in first] == best
        assert [one.score for one in first] == [float(scores[column]) for column in best]  # in every bit
        beams = beam_search(model.after(history), 60, 10, allowed)
        assert beams == first
    assert best_first(model.after(histories[0]), 3, [False] * 60) == []


@pytest.mark.quick("5")
@pytest.mark.parametrize("k", [1, 5, 10])
def test_a_draft_saves_passes_and_changes_no_list(model, histories, k):
    assert model.keeps_bits()
    draw, saved, allowed = random.Random(k), 0, [True] * 60
    for history in histories:
        plain, exact = model.after(history), rank_all(model.after(history)).exp().tolist()
        expected = beam_search(plain, k, k, allowed)
        wild = [draw.random() for _ in range(60)]
        for chances_of_items in (exact, wild):
            draft = BeamDraft(model.trie, HeadGuess(model.trie, model.trie.sums_below(chances_of_items)), 2 * k, 3)
            ahead = plain.fresh()
            assert beam_search(ahead, k, k, allowed, draft) == expected  # scores in every bit
            assert ahead.n_passes <= plain.n_passes and ahead.n_rows >= plain.n_rows
            saved += (plain.n_passes - ahead.n_passes) * (chances_of_items is exact)
    assert saved >= 3


@pytest.mark.slow
def test_narrow_beams_may_miss_what_the_exact_search_finds(model, histories):
    """Else nothing above would tell beams from the exact search."""
    missed = [
        beam_search(model.after(h), 2, 2, [True] * 60) != best_first(model.after(h), 2, [True] * 60) for h in histories
    ]
    assert any(missed)


def test_another_kind_of_decoder_is_refused(read):
    options, _, _ = read
    backbone = load_backbone(options.backbone, torch.device("cpu"))
    decoder = SplitDecoder(backbone.model, 0)
    decoder.layers[0].self_attn.q_norm = torch.nn.Identity()
    from recbole_apa.backbone.path_decoder import PathDecoder

    with pytest.raises(BackboneError, match="plain attention"):
        PathDecoder(decoder, 8)
    del decoder.layers[0].self_attn.q_norm
    for layer in decoder.layers:
        layer.self_attn.scaling *= 3
    changed = PathDecoder(decoder, 8)
    changed._scale /= 9
    with pytest.raises(BackboneError, match="differ from transformers"):
        changed.check(list(range(5, 40)))
