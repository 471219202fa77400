"""How words of a command line become typed options, which stage takes them, and which are refused."""

from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
import recbole
import yaml

from recbole_apa.cli.arguments import names_in, read_words, refuse_near_misses, take
from recbole_apa.cli.main import main, parse_arguments
from recbole_apa.cli.option_facts import Use
from recbole_apa.cli.stages import STAGES, CompareOptions, ForgetOptions, names_for, names_of
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option_table import OPTIONS


def test_values_are_typed_and_texts_stay_texts():
    given = parse_arguments(
        [
            "--epochs=3",
            "--learning_rate=1e-3",
            "--item_text={title} ({year}): a=b",
            "--train_samples=None",
            "--seed",
            "7",
        ]
    )
    assert given == {
        "epochs": 3,
        "learning_rate": 0.001,
        "item_text": "{title} ({year}): a=b",
        "train_samples": None,
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, []),
        (" , ", []),
        ("[]", []),
        ("a,b c", ["a", "b c"]),
        ("[a,b]", ["a", "b"]),
        (" [a] ", ["a"]),
        ("[PAD]:i1", ["[PAD]:i1"]),
        ("u1:[PAD]", ["u1:[PAD]"]),
        ("a],[b", ["a]", "[b"]),
    ],
)
def test_names_may_stand_in_brackets_and_may_hold_some(text, names):
    assert names_in(text) == names


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["epochs=3"], "expected --option=value"),
        (["--epochs"], "expected --epochs=value"),
        (["--epochs=3", "--epochs=4"], "given twice: 3 and 4"),
    ],
)
def test_malformed_words_are_refused(words, says):
    with pytest.raises(SettingsError, match=says):
        parse_arguments(words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--run=R", "--forget_user=u4"], "unknown option 'forget_user'; did you mean 'forget_users'?"),
        (["--run=R", "--forgetusers=u4"], "did you mean 'forget_users'?"),
        (["--run=R", "--worker=2"], "did you mean 'workers'?"),
        (["--run=R", "--audi=True"], "did you mean 'audit'?"),
        (["--run=R", "--dryrun", "--forget_users=u4"], "unknown option 'dryrun'; did you mean 'dry_run'?"),
        (["--run=R", "--ranges=x"], "--ranges does not go with this command; --help=ranges"),
        (["tune", "--dataset=ml-100k", "--max_eval=3"], "did you mean 'max_evals'?"),
        (["--plan", "--request_per_day=3", "--n_samples=100", "--requests_per_day=5"], "did you mean 'requests_per_"),
        (["--copy_to=x"], "--copy_to: expected on a finished run, together with --run=DIR"),
        (["--max_evals=3"], "--max_evals does not go with this command"),
        (["--seeds"], "found '--seeds' without a value"),
    ],
)
def test_a_mistyped_or_misplaced_option_is_named(words, says, capsys):
    assert main(words) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(f.name for s in STAGES for f in fields(s) if get_type_hints(s)[f.name] is bool))
def test_a_flag_is_true_or_false(name, capsys):
    beside = [] if name in ("plan", "rotate_key", "key_digests") else ["--run=R"]
    assert main([*beside, f"--{name}=maybe"]) == 2
    assert f"--{name}: found 'maybe', expected true or false" in capsys.readouterr().err


def test_no_option_of_recbole_is_taken_for_a_mistyped_one_of_ours():
    folder = Path(recbole.__file__).parent / "properties"
    names = {name for path in folder.rglob("*.yaml") for name in yaml.safe_load(path.read_text()) or {}}
    assert len(names) > 300
    refuse_near_misses(dict.fromkeys(names))


def test_a_place_is_taken_as_written(monkeypatch):
    seen = []
    monkeypatch.setattr("recbole_apa.pipeline.quick_start.run", lambda *a, run_dir: seen.append(run_dir))
    assert main(["--dataset=ml-100k", "--run_dir=007"]) == 0 and seen == ["007"]


def test_a_stage_takes_its_own_options_typed_and_leaves_the_rest():
    words = read_words(["--forget_users=007,a b", "--dry_run", "--resume=False", "--unlearn_ids={item_id: x}", "--k=3"])
    request, rest = take(ForgetOptions, words)
    assert request == ForgetOptions(forget_users="007,a b", dry_run=True, unlearn_ids={"item_id": "x"})
    assert rest == {"k": "3"}
    given, rest = take(CompareOptions, {"compare": "APA(D)", "seeds": "3", "slices": "False", "seed": "1"})
    assert (given.compare, given.seeds, given.slices, given.experiment) == ("APA(D)", 3, False, None)
    assert rest == {"seed": "1"}  # no name is completed


def test_every_option_of_a_request_is_declared_as_what_it_is():
    """A new one cannot be dropped silently: ``forget.is_asked`` refuses by these."""
    declared = {name for use in Use if use for name in names_for(use, ForgetOptions)}
    assert declared == names_of(ForgetOptions)
    assert set(names_for(Use.NAMES_DATA, ForgetOptions)) == {
        "unlearn",
        "gather",
        "forget_users",
        "forget_items",
        "forget_interactions",
    }
    assert set(names_for(Use.MANNER, ForgetOptions)) - set(names_for(Use.AS_MADE, ForgetOptions)) == {"other_machine"}


def test_no_stage_takes_an_option_of_the_settings_away():
    """But for a plan, whose ``workers`` and ``shard_size`` are the stream's."""
    assert names_of(*STAGES) & set(OPTIONS) == {"key_file", "workers", "shard_size"}
