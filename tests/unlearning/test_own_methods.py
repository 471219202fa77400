"""Approximate methods of one's own: checked when they are registered, and named when they fail."""

import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch

from recbole_apa import audit, unlearn
from recbole_apa.adapters import ShardHistory
from recbole_apa.comparison.forgetting import ALWAYS
from recbole_apa.comparison.registry import ADAPTERS, GROUPS
from recbole_apa.core.errors import SettingsError, TrainingError
from recbole_apa.core.registry import Registry
from recbole_apa.evaluation.simple_rules import RULES
from recbole_apa.unlearning.approximate import (
    APPROXIMATE_METHODS,
    ApproximateMethod,
    LossMethod,
    nll,
    register_approximate_method,
)
from recbole_apa.unlearning.approximate.method import EXACT, OTHER_ROWS
from tests.helpers.runs import copy_run, shown_interaction


def method(name="Mine", frozen=True, base=LossMethod, **attributes):
    given = {"name": name, "__call__": lambda self, forget, retain, epoch: -nll(forget).mean(), **attributes}
    return dataclass(frozen=frozen)(type("Mine", (base,), given))


@pytest.fixture
def registered():
    yield register_approximate_method
    for name in APPROXIMATE_METHODS.from_outside():
        APPROXIMATE_METHODS.remove(name)


@pytest.mark.parametrize(
    ("cls", "says"),
    [
        (method(EXACT), "'exact' is reserved for training again"),
        (method("BPR"), "'BPR' is that of another row"),
        (method("lightgcn"), "'lightgcn' is that of another row"),
        (method("SISA"), "'SISA' is that of another row"),
        (method("paper"), "'paper' is that of another row"),
        (method(frozen=False), "Mine is not frozen; expected @dataclass.frozen=True. above it"),
        (type("Bare", (method(),), {"name": "Bare"}), "Bare is not a dataclass"),
        (method(teachers=("mentor",)), "found teacher 'mentor', expected original or base, or a `taught` of its own"),
        (method(teachers=("original", "Base")), "found teacher 'Base'"),
        (method(teachers="original"), "found teachers = 'original', expected a tuple of names"),
        (method(teachers=None), "found teachers = None, expected a tuple of names"),
    ],
)
def test_a_method_that_cannot_be_used_is_refused_when_it_is_registered(cls, says):
    before = list(APPROXIMATE_METHODS)
    with pytest.raises(SettingsError, match=says):
        register_approximate_method(cls)
    assert list(APPROXIMATE_METHODS) == before


def test_the_names_of_other_rows_are_whole():
    registry = Registry("name")
    names = {*ADAPTERS, *RULES, *GROUPS, *GROUPS["evidence"], *ALWAYS, "APA"}
    for name in names - OTHER_ROWS:
        with pytest.raises(SettingsError, match="expected a letter"):  # no method can be given it
            registry.add(name, int)
    assert names >= OTHER_ROWS and not OTHER_ROWS & set(APPROXIMATE_METHODS)


@pytest.mark.slow
def test_names_are_compared_with_recboles_without_importing_it():
    code = (
        "import sys; from recbole_apa.unlearning.approximate.method import _recbole_models as models; "
        "known = 'recbole' in sys.modules; assert {'bpr', 'sasrec', 'lightgbm'} <= models(); "
        "assert ('recbole' in sys.modules) == known"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def own_teacher(shape):
    def taught(self, teacher, student):
        if teacher != "mentor":
            return LossMethod.taught(self, teacher, student)
        return tuple(torch.zeros(len(student.parts[part]), *shape) for part in ("forget", "retain"))

    return {"teachers": ("mentor", "original"), "taught": taught}


def loss(call):
    return {"__call__": lambda self, forget, retain, epoch: call(forget, retain)}


FAILING = {
    "vector": (loss(lambda f, r: -nll(f)), r"its loss is a tensor of shape \(\d+,\), torch.float32; expected a scalar"),
    "none": (loss(lambda f, r: None), "its loss is None; expected a scalar float tensor"),
    "number": (loss(lambda f, r: 0.5), "its loss is 0.5; expected a scalar float tensor"),
    "constant": (
        loss(lambda f, r: torch.tensor(0.5)),
        r"its loss has no gradient; expected one that depends on forget",
    ),
    "nan": (loss(lambda f, r: nll(f).mean() * float("nan")), "approximate method Mine: .*the loss is nan"),
    "undeclared": (
        loss(lambda f, r: f.teachers["base"].mean()),
        r"approximate method Mine: .* asks for teacher 'base'.* found teachers = \(\)",
    ),
    "raises": (loss(lambda f, r: 1 / 0), r"failed: ZeroDivisionError: .* \(test_own_methods.py, line \d+\)"),
    "torch": (loss(lambda f, r: (f.z @ f.z).mean()), r"failed: RuntimeError: .* \(test_own_methods.py, line \d+\)"),
    "taught": (
        own_teacher((3,)),
        r"found teacher mentor \[\(\d+, 3\), \(\d+, 3\)\], expected two tensors of shapes \(\d+, 2\)",
    ),
    "not taught": (
        {**own_teacher((2,)), "taught": lambda self, t, s: LossMethod.taught(self, t, s)},
        "teacher 'mentor'",
    ),
    "weights": (
        {"weights": lambda self, student: None},
        r"found weights None, expected two tensors of shapes \(\d+,\)",
    ),
    "move": (
        {"base": ApproximateMethod, "move": lambda self, student: None},
        "its move returned None, expected a Shard",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAILING)
def test_a_method_that_fails_is_named_and_its_repair_resumes_the_request(fault, finished, tmp_path, registered):
    attributes, says = FAILING[fault]
    folder = copy_run(finished, tmp_path / "run")
    registered(method(**attributes))
    with pytest.raises((TrainingError, SettingsError), match=f"(?s){says}"):
        unlearn(folder, interactions=[shown_interaction(finished)], method="Mine")
    if fault == "vector":
        APPROXIMATE_METHODS.remove("Mine")
        registered(method())
        assert unlearn(folder).outcomes[0].method == "Mine"
        assert any("was moved by" in finding for finding in audit(folder).findings)


@pytest.mark.slow
def test_a_method_with_a_teacher_and_weights_of_its_own_works(finished, tmp_path, registered):
    seen = []

    def call(forget, retain):
        seen.append(
            (set(forget.teachers), forget.teachers["mentor"].shape[1], forget.weights.shape == forget.labels.shape)
        )
        return -nll(forget).mean()

    registered(method(**{**own_teacher((2,)), **loss(call)}))
    folder = copy_run(finished, tmp_path / "run")
    unlearn(folder, interactions=[shown_interaction(finished)], method="Mine")
    assert seen[0] == ({"mentor", "original"}, 2, True)


@pytest.mark.slow
def test_a_method_may_move_the_adapter_itself(finished, tmp_path, registered):
    def move(self, student):
        with student.trained() as parameters, torch.no_grad():
            for parameter in parameters:
                parameter.mul_(0.5)
        return ShardHistory()

    registered(method(base=ApproximateMethod, move=move))
    folder = copy_run(finished, tmp_path / "run")
    assert unlearn(folder, interactions=[shown_interaction(finished)], method="Mine").outcomes[0].method == "Mine"
