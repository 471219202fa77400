"""Tokenize prompts: where answers are predicted, and which tokens the answers are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from recbole_apa.core.errors import BackboneError
from recbole_apa.data.prompts import Prompt, PromptInput, PromptTemplate, fill, fit_to_length

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

T = TypeVar("T")


@dataclass(frozen=True)
class TokenizedPrompt:
    """Token ids, (t,), and the positions that predict an answer: the history's first, the target's last."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    labels: tuple[int, ...]
    """Answers of the history; one fewer than ``positions``."""
    n_cut: int
    """History lines dropped to fit ``max_prompt_tokens``."""
    n_prefix: int = 1
    """Tokens before the target, the same for all of a user's candidates; at least 1, and fewer than t."""


@dataclass(frozen=True)
class AnswerTokens:
    """Token ids of the two answers."""

    yes: int
    no: int


class PromptEncoder:
    """Turns samples into tokens with one template and one tokenizer.

    Raises:
        BackboneError: the answers do not begin with one token each, or with the same one, at the end of a prompt or in
            the lines of its history.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", template: PromptTemplate, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.max_tokens = max_tokens
        self._n_closing = closing_tokens(tokenizer)
        self.answers = find_answer_tokens(self.ids_of, template)
        check_history_answers(self.ids_of, template, self.answers)

    def encode(self, sample: PromptInput) -> TokenizedPrompt:
        """
        Raises:
            PromptError: the target alone is too long.
        """
        prompt, n_cut = self.words(sample)
        encoded = self.tokenizer(prompt.text, return_offsets_mapping=True, verbose=False)
        ids, offsets = tuple(self._open(encoded["input_ids"])), self._open(encoded["offset_mapping"])
        n_before = sum(end <= prompt.target_start for _, end in offsets)
        return TokenizedPrompt(
            ids, _answer_positions(prompt, offsets), prompt.labels, n_cut, max(1, min(n_before, len(ids) - 1))
        )

    def words(self, sample: PromptInput) -> tuple[Prompt, int]:
        """The prompt as text, and how many history lines were dropped."""
        return fit_to_length(self.template, sample, lambda text: len(self.ids_of(text)), self.max_tokens)

    def ids_of(self, text: str) -> list[int]:
        """The tokens of a text without those that the tokenizer closes it with."""
        return self._open(self.tokenizer(text, verbose=False)["input_ids"])

    def _open(self, tokens: list[T]) -> list[T]:
        """The tokens without the closing ones: the answer is still to follow."""
        return tokens[: len(tokens) - self._n_closing]


def closing_tokens(tokenizer: "PreTrainedTokenizerBase") -> int:
    """How many tokens, such as ``</s>``, the tokenizer appends to every text."""
    added = tokenizer("Film", return_special_tokens_mask=True, verbose=False)["special_tokens_mask"]
    return next((n for n, is_added in enumerate(reversed(added)) if not is_added), 0)


def find_answer_tokens(tokenize: Callable[[str], list[int]], template: PromptTemplate) -> AnswerTokens:
    """The first token of each answer as tokenized after this template; never a constant.

    Raises:
        BackboneError: an answer changes the prompt's own tokens, takes several, or equals the other.
    """
    prompt = fill(template, PromptInput((("First", 1), ("Second", 0)), "Third")).text
    before = tokenize(prompt)
    found = {}
    for answer in (template.yes, template.no):
        ids = tokenize(prompt + answer)
        if ids[: len(before)] != before:
            raise BackboneError(
                f"the answer {answer!r} changes the tokens of the prompt before it, expected one token of its own; end "
                "the prompt, and begin the answer, at a word boundary (`frame`, `yes` and `no` of prompt_template)"
            )
        if len(ids) != len(before) + 1:
            raise BackboneError(
                f"the answer {answer!r} takes {len(ids) - len(before)} tokens after this template, expected exactly "
                "one; choose shorter answer words (`yes` and `no` of prompt_template)"
            )
        found[answer] = ids[-1]
    if found[template.yes] == found[template.no]:
        raise BackboneError(
            f"the answers {template.yes!r} and {template.no!r} are the same token {found[template.no]}; "
            "choose other answer words (`yes` and `no` of prompt_template)"
        )
    return AnswerTokens(found[template.yes], found[template.no])


def check_history_answers(
    tokenize: Callable[[str], list[int]], template: PromptTemplate, answers: AnswerTokens
) -> None:
    """Whether the answers in the history are the same tokens as the last one: those positions are trained on too, and
    what the history shows is what is asked for.

    Raises:
        BackboneError: an answer melts into the text around it, such as a line break, or is another token there.
    """
    for labels in ((1, 0), (0, 1)):
        prompt = fill(template, PromptInput((("First", labels[0]), ("Second", labels[1])), "Third"))
        whole = tokenize(prompt.text)
        for end, label in zip(prompt.answer_ends, prompt.labels, strict=True):
            answer, expected = (template.yes, answers.yes) if label else (template.no, answers.no)
            before = tokenize(prompt.text[:end])
            if whole[: len(before) + 1] == [*before, expected]:
                continue
            following = prompt.text[end + len(answer) :][:1]
            raise BackboneError(
                f"the answer {answer!r} in a line of the history, between {prompt.text[end - 1 : end]!r} and "
                f"{following!r}, is not the token {expected} that it is at the end of the prompt: the tokenizer joins "
                "it with the text around it; expected one token of its own, set apart by other characters (`line`, "
                "`yes` and `no` of prompt_template)"
            )


def _answer_positions(prompt: Prompt, offsets: list[tuple[int, int]]) -> tuple[int, ...]:
    """For each answer the position just before its first token; then the last position of the prompt."""
    positions, token = [], 0
    for end in prompt.answer_ends:
        while offsets[token][1] <= end:
            token += 1
        positions.append(token - 1)
    return (*positions, len(offsets) - 1)
