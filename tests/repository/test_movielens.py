"""The paper's protocol on MovieLens 100k, which ships inside RecBole: known answers, no language model."""

import numpy as np
import pytest

from recbole_apa import APAConfig
from recbole_apa.data.prompts import TEMPLATES, PromptInput, fill
from recbole_apa.evaluation.metrics import auc
from recbole_apa.evaluation.simple_rules import trivial_scores
from recbole_apa.pipeline.datasets import make_dataset


@pytest.fixture(scope="module")
def tallrec(tmp_path_factory):
    options = {"protocol": "tallrec", "train_samples": None, "valid_samples": None, "test_samples": None}
    config = APAConfig("APA", "ml-100k", config_dict={**options, "checkpoint_dir": str(tmp_path_factory.mktemp("x"))})
    return make_dataset(config).build()


def text_of(part, token):
    return part.item_texts[part.field2token_id["item_id"][token]]


@pytest.mark.slow
def test_split_has_tallrecs_sizes_and_share_of_yes(tallrec):
    assert [len(part.samples) for part in tallrec] == [8000, 1000, 1000]
    assert np.mean([s.label for s in tallrec[2].samples]) == pytest.approx(0.528)
    assert all(len(s.history) == 10 for part in tallrec for s in part.samples)
    ids = [s.sample_id for part in tallrec for s in part.samples]
    assert len(set(ids)) == 10_000


def test_first_test_sample_is_tallrecs(tallrec):
    """The row that TALLRec's own evaluation script carries as its example, and its wording."""
    test = tallrec[2]
    sample = test.samples[0]
    history = tuple((text_of(test, e.item_id), e.label) for e in sample.history)
    prompt = fill(TEMPLATES["tallrec_alpaca"], PromptInput(history, text_of(test, sample.item_id))).text
    assert (
        '### Input:\nUser Preference: "Paris, Texas (1984)", "Rebel Without a Cause (1955)", "Return of the Pink '
        'Panther, The (1974)", "Ace Ventura: Pet Detective (1994)", "Magnificent Seven, The (1954)", "Star Trek: The '
        'Wrath of Khan (1982)", "Cat People (1982)", "Orlando (1993)", "Dave (1993)"\nUser Unpreference: "Kalifornia '
        '(1993)"\nWhether the user will like the target movie "Perez Family, The (1995)"?\n'
    ) in prompt
    assert sample.label == 0


def test_trivial_rules_reach_their_known_figures(tallrec):
    train, _, test = tallrec
    scores = trivial_scores(test.samples, train.train_rows)
    labels = np.array([s.label for s in test.samples])
    assert auc(labels, scores["HistoryLikeRate"]) == pytest.approx(0.726, abs=5e-4)
    assert auc(labels, scores["HistoryLikeRate+ItemMean"]) == pytest.approx(0.7627, abs=5e-4)


def test_the_papers_draw_is_part_of_the_whole(tallrec, tmp_path):
    config = APAConfig("APA", "ml-100k", config_dict={"protocol": "tallrec", "checkpoint_dir": str(tmp_path)})
    drawn = make_dataset(config).build()
    assert [len(part.samples) for part in drawn] == [1024, 500, 1000]
    for part, whole in zip(drawn, tallrec, strict=True):
        assert {s.sample_id for s in part.samples} <= {s.sample_id for s in whole.samples}


@pytest.mark.slow
def test_recboles_split_by_time_puts_later_rows_later(tmp_path):
    options = {"train_samples": None, "valid_samples": None, "test_samples": None, "min_history": 5}
    config = APAConfig("APA", "ml-100k", config_dict={**options, "checkpoint_dir": str(tmp_path)})
    train, valid, test = make_dataset(config).build()
    latest: dict[str, float] = {}
    for part in (train, valid, test):
        times = {}
        for s in part.samples:
            when = float(s.sample_id.split(":")[2])
            assert when >= latest.get(s.user_id, 0.0)
            times[s.user_id] = max(when, times.get(s.user_id, 0.0))
        latest |= times
    assert len(train.samples) > 7 * len(test.samples)
