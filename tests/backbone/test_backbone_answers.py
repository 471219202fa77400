"""Tokenizers that close every text by themselves (transformers #22794)."""

from dataclasses import replace

import pytest
from tokenizers import processors
from transformers import AutoTokenizer

from recbole_apa.backbone.prompt_encoder import PromptEncoder, closing_tokens, find_answer_tokens
from recbole_apa.core.errors import BackboneError
from recbole_apa.data.prompts import TEMPLATES, PromptTemplate
from tests.helpers.engines import SAMPLES


def tokenizer_with(folder, single):
    out = AutoTokenizer.from_pretrained(folder)
    out.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    special = [(token, out.convert_tokens_to_ids(token)) for token in ("<s>", "</s>")]
    out.backend_tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=special)
    return out


@pytest.mark.parametrize("template", ["list", "tallrec"])
def test_the_end_token_is_left_out(backbone_folder, template):
    closed, open_ = (tokenizer_with(backbone_folder, s) for s in ("<s> $A </s>", "<s> $A"))
    assert closed("a")["input_ids"][-1] == closed.eos_token_id
    mine, plain = (PromptEncoder(t, TEMPLATES[template], 300) for t in (closed, open_))
    assert mine.answers == plain.answers
    for sample in SAMPLES:
        found = mine.encode(sample)
        assert found == plain.encode(sample)
        assert closed.eos_token_id not in found.ids and found.ids[0] == closed.bos_token_id


def test_an_end_token_that_the_prompt_itself_writes_stays(backbone_folder):
    tokenizer = tokenizer_with(backbone_folder, "<s> $A </s>")
    frame = PromptTemplate("{history}{target}?</s>", line="{item}:{answer}\n")
    ids = PromptEncoder(tokenizer, frame, 300).encode(SAMPLES[0]).ids
    assert ids.count(tokenizer.eos_token_id) == 1 and ids[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize(("single", "n"), [("$A", 0), ("<s> $A", 0), ("<s> $A </s>", 1), ("$A </s> </s>", 2)])
def test_tokens_that_close_a_text_are_counted(backbone_folder, single, n):
    assert closing_tokens(tokenizer_with(backbone_folder, single)) == n


def test_an_answer_that_melts_into_the_prompt_is_named(backbone_folder):
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder)
    frame = PromptTemplate("{history}{target} Y", line="{item}:{answer}\n", yes="es", no=" No")
    with pytest.raises(BackboneError, match="'es' changes the tokens of the prompt before it"):
        PromptEncoder(tokenizer, frame, 300)


@pytest.mark.parametrize(
    ("joined", "answer", "around"), [(" Yes\n", "' Yes'", r"':' and '\\n'"), (": No\n", "' No'", "':'")]
)
def test_an_answer_of_the_history_that_melts_into_the_text_around_it_is_named(backbone_folder, joined, answer, around):
    """At the end of a prompt nothing follows the answer, so that the check of the last one does not see it."""
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder)
    tokenizer.add_tokens([joined])
    ids = lambda text: tokenizer(text)["input_ids"]  # noqa: E731
    assert find_answer_tokens(ids, TEMPLATES["list"])  # the last one is fine
    with pytest.raises(BackboneError, match=f"the answer {answer} in a line of the history, between {around}"):
        PromptEncoder(tokenizer, TEMPLATES["list"], 300)
    assert PromptEncoder(tokenizer, TEMPLATES["tallrec"], 300)  # shows no answers
    parted = replace(TEMPLATES["list"], line="{item}?{answer}.\n")
    assert PromptEncoder(tokenizer, parted, 300).answers


def test_an_answer_that_is_another_token_in_the_history_is_named(backbone_folder):
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder)
    tokenizer.add_tokens(["[ Yes"])
    frame = PromptTemplate("{history}{target}:", line="{item}[{answer}]\n")
    with pytest.raises(BackboneError, match=r"' Yes' in a line of the history, between '\[' and '\]'"):
        PromptEncoder(tokenizer, frame, 300)
