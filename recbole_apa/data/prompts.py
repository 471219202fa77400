"""Prompt templates in one place. tests/data/test_prompts.py pins their exact wording."""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from recbole_apa.core.errors import PromptError

FRAME_FIELDS = frozenset({"target", "history", "liked", "disliked", "n_liked", "n_history"})


def placeholders(what: str, text: str, allowed: Sequence[str] | frozenset[str] | set[str]) -> set[str]:
    """The names in braces in ``text``.

    Raises:
        PromptError: unbalanced braces, or a name that is not in ``allowed``.
    """
    try:
        fields_used = [(n, spec, conv) for _, n, spec, conv in string.Formatter().parse(text) if n is not None]
    except ValueError as error:
        raise PromptError(f"{what} is {text!r}: {error}; double literal braces") from None
    names = {name + (f":{spec}" if spec else "") + (f"!{conv}" if conv else "") for name, spec, conv in fields_used}
    unknown = sorted(names - set(allowed))
    if unknown:
        raise PromptError(
            f"{what} uses {', '.join('{' + n + '}' for n in unknown)}; expected only "
            f"{', '.join('{' + n + '}' for n in sorted(allowed))}"
        )
    return names


@dataclass(frozen=True)
class PromptTemplate:
    """The wording of a prompt. Names in braces are filled in; each part is one key of ``prompt_template`` in YAML."""

    frame: str
    """The whole prompt, ending where the answer begins. Needs ``{target}``; may use ``{history}``, ``{liked}``,
    ``{disliked}``, ``{n_liked}``, ``{n_history}``."""
    line: str = ""
    """One answered line of ``{history}``: ``{item}`` and ``{answer}``. Empty if the frame has no ``{history}``."""
    quoted: str = "{item}"
    """One item of ``{liked}`` and ``{disliked}``."""
    separator: str = ", "
    """Between the items of ``{liked}`` and ``{disliked}``."""
    yes: str = " Yes"
    """The positive answer as the model writes it after the frame; its first piece must be a single token."""
    no: str = " No"
    """The negative answer, likewise."""

    def __post_init__(self) -> None:
        used = placeholders("frame", self.frame, FRAME_FIELDS)
        if "target" not in used:
            raise PromptError("prompt template: frame has no {target}; the model would not know which item to judge")
        if not used & {"history", "liked", "disliked"}:
            raise PromptError("prompt template: frame shows no history; use {history}, or {liked} and {disliked}")
        if ("history" in used) != bool(self.line):
            raise PromptError("prompt template: `line` and {history} in `frame` go together; found only one of them")
        if self.line and placeholders("line", self.line, {"item", "answer"}) != {"item", "answer"}:
            raise PromptError(f"prompt template: line is {self.line!r}, expected both {{item}} and {{answer}}")
        if placeholders("quoted", self.quoted, {"item"}) != {"item"}:
            raise PromptError(f"prompt template: quoted is {self.quoted!r}, expected {{item}}")
        if self.yes == self.no:
            raise PromptError(f"prompt template: yes and no are both {self.yes!r}; they must differ")

    @property
    def target_comes_last(self) -> bool:
        """Whether everything about the user comes before the target."""
        names = [name for _, name, _, _ in string.Formatter().parse(self.frame) if name is not None]
        return names.index("target") == len(names) - 1


_TALLREC_QUESTION = (
    "User Preference: {liked}\nUser Unpreference: {disliked}\nWhether the user will like the target movie {target}?"
)
_TALLREC_INSTRUCTION = (
    "Given the user's preference and unpreference, identify whether the user will like the target movie by "
    'answering "Yes." or "No.".'
)

TEMPLATES: dict[str, PromptTemplate] = {
    # the history as answered questions: works best for a small model (docs/benchmarks.md, Search)
    "list": PromptTemplate(frame="{history}{target}:", line="{item}:{answer}\n"),
    # the same, with the tally spelled out before the target
    "list_count": PromptTemplate(frame="{history}Liked {n_liked} of {n_history}.\n{target}:", line="{item}:{answer}\n"),
    # TALLRec's sentences alone, and in the Alpaca frame that TALLRec trains with
    "tallrec": PromptTemplate(
        frame=f"{_TALLREC_INSTRUCTION}\n{_TALLREC_QUESTION}\n", quoted='"{item}"', yes="Yes", no="No"
    ),
    "tallrec_alpaca": PromptTemplate(
        frame=(
            "Below is an instruction that describes a task, paired with an input that provides further context. "
            f"Write a response that appropriately completes the request.\n\n### Instruction:\n{_TALLREC_INSTRUCTION}"
            f"\n\n### Input:\n{_TALLREC_QUESTION}\n\n### Response:\n"
        ),
        quoted='"{item}"',
        yes="Yes",
        no="No",
    ),
}


@dataclass(frozen=True)
class PromptInput:
    """What a template is filled with: texts, not ids. The history is oldest first."""

    history: tuple[tuple[str, int], ...]
    target: str


@dataclass(frozen=True)
class Prompt:
    """A filled template. ``answer_ends`` are the text positions at which an answer of the history begins
    (the same place at which the target's answer would follow at the end), with the labels; ``target_start`` is
    the position at which the target begins."""

    text: str
    answer_ends: tuple[int, ...]
    labels: tuple[int, ...]
    target_start: int


def choose_template(name: str, custom: Mapping[str, str] | None) -> PromptTemplate:
    """The built-in template of that name, or the user's own.

    Raises:
        PromptError: the name, a part or a placeholder is unknown.
    """
    if custom is None:
        if name not in TEMPLATES:
            raise PromptError(f"template: found {name!r}, expected one of {', '.join(TEMPLATES)}, custom")
        return TEMPLATES[name]
    parts = {f.name for f in fields(PromptTemplate)}
    unknown = set(custom) - parts
    if unknown or "frame" not in custom:
        raise PromptError(
            f"prompt_template: found {', '.join(sorted(custom)) or 'nothing'}; expected `frame` and any of "
            f"{', '.join(sorted(parts - {'frame'}))}"
        )
    return PromptTemplate(**dict(custom))


def fill(template: PromptTemplate, sample: PromptInput) -> Prompt:
    """Fill a template with a sample."""
    history, ends = _history_lines(template, sample.history)
    liked = [text for text, label in sample.history if label]
    disliked = [text for text, label in sample.history if not label]
    target = template.quoted.format(item=sample.target)
    values = {
        "target": target,
        "history": history,
        "liked": _joined(template, liked),
        "disliked": _joined(template, disliked),
        "n_liked": str(len(liked)),
        "n_history": str(len(sample.history)),
    }
    before = _prefix_before(template.frame, "history", values)
    return Prompt(
        template.frame.format(**values),
        tuple(before + end for end in ends),
        tuple(label for _, label in sample.history) if ends else (),
        _prefix_before(template.frame, "target", values),
    )


def fit_to_length(
    template: PromptTemplate, sample: PromptInput, n_tokens: Callable[[str], int], limit: int
) -> tuple[Prompt, int]:
    """Fill, dropping history lines from the oldest end until the prompt has at most ``limit`` tokens.

    Returns:
        the prompt and how many lines were dropped.

    Raises:
        PromptError: the target alone is longer than ``limit``; the target is never cut.
    """
    for cut in range(len(sample.history) + 1):
        prompt = fill(template, PromptInput(sample.history[cut:], sample.target))
        length = n_tokens(prompt.text)
        if length <= limit:
            return prompt, cut
    raise PromptError(
        f"a prompt has {length} tokens without any history, more than max_prompt_tokens = {limit} "
        f"(target {sample.target[:60]!r}); raise max_prompt_tokens or shorten item_text"
    )


def _history_lines(template: PromptTemplate, history: Sequence[tuple[str, int]]) -> tuple[str, list[int]]:
    """All answered lines, and where each answer begins in them."""
    text, ends = "", []
    for item, label in history:
        answer = template.yes if label else template.no
        line = template.line.format(item=item, answer=answer)
        if template.line:
            ends.append(len(text) + _prefix_before(template.line, "answer", {"item": item}))
        text += line
    return text, ends


def _joined(template: PromptTemplate, items: Sequence[str]) -> str:
    return template.separator.join(template.quoted.format(item=item) for item in items)


def _prefix_before(text: str, name: str, values: Mapping[str, str]) -> int:
    """Length of the filled ``text`` up to the placeholder ``name`` (0 if there is none)."""
    length = 0
    for literal, field, _, _ in string.Formatter().parse(text):
        length += len(literal)
        if field == name:
            return length
        if field is not None:
            length += len(values[field])
    return 0
