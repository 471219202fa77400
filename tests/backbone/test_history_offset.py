"""The rate of likes in a prompt's history as an offset: in losses and gradients, in each way of scoring, in runs."""

from math import log

import pytest
import torch

from recbole_apa import audit, run, unlearn, verify
from recbole_apa.backbone import engine as engine_module
from recbole_apa.backbone.candidate_scoring import ListScorer
from recbole_apa.backbone.history_offset import offsets_before, training_offsets
from recbole_apa.core.errors import PromptError
from recbole_apa.data.prompts import PromptInput
from tests.helpers.engines import SAMPLES, engine, fill_adapters, train_settings
from tests.helpers.runs import copy_run

LABELS = torch.tensor([1.0, 0.0, 1.0])
USER = (("Alien (1979)", 1), ("Crash (1996)", 1), ("Heat (1995)", 0), ("Babe (1995)", 1))
CANDIDATES = [PromptInput(USER, title) for title in ("Dave (1993)", "Fargo (1996)", "Up (2009)")]


def logits(scores):
    return torch.logit(scores.double())


def test_an_answers_offset_is_of_the_lines_before_it():
    assert offsets_before([]) == [0.0]
    assert offsets_before([1, 1, 0]) == pytest.approx([0.0, log(2), log(3), log(3 / 2)])
    assert offsets_before([0, 0]) == pytest.approx([0.0, -log(2), -log(3)])
    # turned labels turn the sign
    assert offsets_before([1, 0, 0]) == pytest.approx([-value for value in offsets_before([0, 1, 1])])


def test_offsets_are_in_the_order_of_supervised_answers(backbone_folder):
    prompts = engine(backbone_folder).encode(SAMPLES)
    assert training_offsets(prompts, True).tolist() == pytest.approx([0.0, 0.0, 0.0])
    assert training_offsets(prompts, False).tolist() == pytest.approx([0, log(2), 0, 0, 0, -log(2), 0])


@pytest.mark.parametrize("supervise", ["all", "target"])
@pytest.mark.parametrize("over", ["yes_no", "full"])
def test_with_offsets_of_zero_every_bit_is_that_of_a_run_without(supervise, over, backbone_folder, monkeypatch):
    monkeypatch.setattr(engine_module, "target_offset", lambda prompt: 0.0)
    monkeypatch.setattr(engine_module, "training_offsets", lambda *given: torch.zeros_like(training_offsets(*given)))
    found, given = [], train_settings(supervise=supervise, answer_loss=over)
    for adds in (False, True):
        e = engine(backbone_folder, history_offset=adds)
        fill_adapters(e, 1)
        e.bank.train(True)
        prompts = e.encode(SAMPLES)
        (loss,) = e.training_losses(prompts, LABELS, [0, 0, 0], given)
        loss.backward()
        gradients = [p.grad.clone() for p in e.bank.parameters()]
        found.append([loss.detach(), *gradients, e.scores(prompts, torch.ones(3, 1), "decomposition")])
    assert len(found[0]) > 5
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("supervise", ["all", "target"])
@pytest.mark.parametrize("over", ["yes_no", "full"])
def test_the_gradient_is_that_of_the_rate_and_the_adapter_together(supervise, over, backbone_folder):
    """By hand: with p the probability of the answer's margin plus its offset, the margin's gradient is (p - y) / m."""
    e, target = engine(backbone_folder, history_offset=True), supervise == "target"
    fill_adapters(e, 1)
    e.bank.train(True)
    prompts = e.encode(SAMPLES)
    head, seen = e.head, {}

    def kept(hidden, *given):
        seen["hidden"] = hidden
        hidden.retain_grad()
        return type(head).loss(head, hidden, *given)

    head.loss = kept
    (loss,) = e.training_losses(prompts, LABELS, [0, 0, 0], train_settings(supervise=supervise, answer_loss=over))
    loss.backward()
    answers = [[int(y)] if target else [*p.labels, int(y)] for p, y in zip(prompts, LABELS, strict=True)]
    y = torch.tensor([v for row in answers for v in row])
    offsets = torch.tensor([value for p in prompts for value in offsets_before(p.labels)[-1 if target else 0 :]])
    with torch.no_grad():
        hidden, weight = seen["hidden"], head.head.weight
        z = hidden @ weight.T
        z[:, head.answers.yes] += offsets
        if over == "full":
            p, one = torch.softmax(z, 1), torch.zeros_like(z)
            one[torch.arange(len(y)), torch.where(y == 1, head.answers.yes, head.answers.no)] = 1
            expected = (p - one) @ weight / len(y)
        else:
            p = torch.sigmoid(z[:, head.answers.yes] - z[:, head.answers.no])
            expected = ((p - y) / len(y))[:, None] * (weight[head.answers.yes] - weight[head.answers.no])
    assert torch.allclose(hidden.grad, expected, atol=1e-7) and expected.abs().max() > 1e-4


def test_every_way_of_scoring_adds_it(backbone_folder):
    bare, full = engine(backbone_folder), engine(backbone_folder, history_offset=True)
    weights = torch.tensor([[0.2, 0.5, 0.3]]).repeat(3, 1)
    expected = log(4 / 2)
    for e in (bare, full):
        fill_adapters(e, 3)
    asked = [e.encode(CANDIDATES) for e in (bare, full)]

    def moved(score):
        one, other = (logits(score(e, prompts)) for e, prompts in zip((bare, full), asked, strict=True))
        return (other - one).flatten().tolist()

    def ranked(e, prompts, alike):
        lists = ListScorer(e)
        read = lists.read(prompts)
        each = weights if alike else torch.eye(3)
        return lists.scores(read, [each[list(one.prompts.places)] for one in read], "decomposition")

    ways = {
        "merged": lambda e, prompts: e.scores(prompts, weights, "decomposition"),
        "frozen": lambda e, prompts: e.scores(prompts, None, "decomposition"),
        "each adapter": lambda e, prompts: e.adapter_scores(prompts),
        "list, alike": lambda e, prompts: ranked(e, prompts, True),
        "list, each its own": lambda e, prompts: ranked(e, prompts, False),
    }
    for name, way in ways.items():
        found = moved(way)
        assert found == pytest.approx([expected] * len(found), abs=1e-4), name
    z = [e.answer_logits(prompts, adapter=False) for e, prompts in zip((bare, full), asked, strict=True)]
    assert (z[1] - z[0]).tolist() == [pytest.approx([0, expected], abs=1e-6)] * 3
    # what is cached is without it: another engine may take it
    assert full.cache.get(asked[1][0].ids).offset == 0.0


def test_a_template_without_answered_lines_is_refused(backbone_folder):
    with pytest.raises(PromptError, match="history_offset: found True with template: tallrec, which has no answered"):
        engine(backbone_folder, template="tallrec", history_offset=True)


@pytest.fixture(scope="module")
def made(options, tmp_path_factory):
    given = {**options, "history_offset": True}
    return run("APA", "board", config_dict=given, run_dir=tmp_path_factory.mktemp("offset") / "run")


@pytest.mark.slow
def test_a_run_says_so_and_is_forgotten_from_exactly(made, finished, tmp_path):
    settings = [one.store.manifest()["settings"] for one in (made, finished)]
    assert settings[0]["history_offset"] is True and "history_offset" not in settings[1]
    shard = "shards/000/adapter_model.safetensors"
    assert made.store.manifest()["files"][shard] != finished.store.manifest()["files"][shard]
    folder = copy_run(made, tmp_path / "run")
    assert unlearn(folder, users=["u3"]).plan.affected
    result = verify(folder)
    assert result.holds, result.differences
    assert audit(folder).findings == []


@pytest.mark.slow
def test_a_sample_depends_on_its_own_users_rows_alone(made):
    """The offset follows from the prompt: equal prompts of two users have equal offsets."""
    encoded = made.model.engine.encode(CANDIDATES[:1] * 2)
    assert encoded[0] == encoded[1]
    frozen = made.model.engine.freeze(encoded)
    assert [one.offset for one in frozen] == [pytest.approx(log(2))] * 2
