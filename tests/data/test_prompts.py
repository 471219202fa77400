import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.core.errors import PromptError
from recbole_apa.data.prompts import TEMPLATES, PromptInput, PromptTemplate, choose_template, fill, fit_to_length

SAMPLE = PromptInput((("Alien (1979)", 1), ("Crash (1996)", 0), ("Dave (1993)", 1)), "Babe (1995)")
item = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
samples = st.builds(PromptInput, st.lists(st.tuples(item, st.integers(0, 1)), max_size=5).map(tuple), item)


def test_list_wording():
    assert fill(TEMPLATES["list"], SAMPLE).text == (
        "Alien (1979): Yes\nCrash (1996): No\nDave (1993): Yes\nBabe (1995):"
    )


def test_list_count_wording():
    assert fill(TEMPLATES["list_count"], SAMPLE).text.endswith("Dave (1993): Yes\nLiked 2 of 3.\nBabe (1995):")


def test_tallrec_wording():
    assert fill(TEMPLATES["tallrec_alpaca"], SAMPLE).text == (
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
        "response that appropriately completes the request.\n\n### Instruction:\nGiven the user's preference and "
        'unpreference, identify whether the user will like the target movie by answering "Yes." or "No.".\n\n### '
        'Input:\nUser Preference: "Alien (1979)", "Dave (1993)"\nUser Unpreference: "Crash (1996)"\nWhether the user '
        'will like the target movie "Babe (1995)"?\n\n### Response:\n'
    )
    assert '"Crash (1996)"\nWhether' in fill(TEMPLATES["tallrec"], SAMPLE).text


@given(samples, st.sampled_from(sorted(TEMPLATES)))
def test_answers_begin_where_the_prompt_says(sample, name):
    template = TEMPLATES[name]
    prompt = fill(template, sample)
    assert len(prompt.answer_ends) == len(prompt.labels) == (len(sample.history) if template.line else 0)
    for end, label in zip(prompt.answer_ends, prompt.labels, strict=True):
        assert prompt.text[end:].startswith(template.yes if label else template.no)


@given(samples, st.integers(1, 80))
def test_the_oldest_lines_go_first_and_the_target_stays(sample, limit):
    template = TEMPLATES["list"]
    try:
        prompt, cut = fit_to_length(template, sample, len, limit)
    except PromptError:
        assert len(fill(template, PromptInput((), sample.target)).text) > limit
        return
    assert len(prompt.text) <= limit
    assert prompt == fill(template, PromptInput(sample.history[cut:], sample.target))
    assert cut == 0 or len(fill(template, PromptInput(sample.history[cut - 1 :], sample.target)).text) > limit


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"frame": "{history}"}, "no {target}"),
        ({"frame": "{target}:"}, "shows no history"),
        ({"frame": "{history}{target}:"}, "go together"),
        ({"frame": "{liked}{target}:", "line": "{item}{answer}"}, "go together"),
        ({"frame": "{history}{target}:", "line": "{item}"}, "expected both"),
        ({"frame": "{history}{target.__class__}:", "line": "{item}{answer}"}, "uses {target.__class__}"),
        ({"frame": "{liked} {target!r}"}, "uses {target!r}"),
        ({"frame": "{liked} {target"}, "double literal braces"),
        ({"frame": "{liked}{target}", "yes": "A", "no": "A"}, "must differ"),
        ({"frame": "{liked}{target}", "ligne": "x"}, "expected `frame` and any of"),
        ({"line": "x"}, "expected `frame`"),
    ],
)
def test_templates_that_do_not_fit_are_refused(parts, says):
    with pytest.raises(PromptError, match=says.replace("{", r"\{").replace("}", r"\}")):
        choose_template("custom", parts)


def test_own_template_and_unknown_name():
    own = choose_template("custom", {"frame": "Liked {liked}. {target}?", "yes": " yes", "no": " no"})
    assert isinstance(own, PromptTemplate)
    assert fill(own, SAMPLE).text == "Liked Alien (1979), Dave (1993). Babe (1995)?"
    with pytest.raises(PromptError, match="expected one of list"):
        choose_template("lst", None)


def test_braces_in_titles_are_only_text():
    assert fill(TEMPLATES["list"], PromptInput((), "{target} {0}")).text == "{target} {0}:"
