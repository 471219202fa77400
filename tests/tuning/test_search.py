"""The search by itself, on functions whose best point is known."""

import pytest

from recbole_apa.core.errors import SettingsError
from recbole_apa.tuning.ranges import read_ranges
from recbole_apa.tuning.search import check_search, search
from recbole_apa.tuning.trials import Search, Trial

needs_hyperopt = pytest.mark.usefixtures("hyperopt")


def tried(ranges, algo, n, seed, loss):
    points = []

    def judge(point):
        points.append(point)
        return loss(point)

    ranges = read_ranges(ranges)
    search(ranges, algo, check_search(ranges, algo, n), seed, judge)
    return points


def test_exhaustive_tries_every_point_in_order():
    points = tried({"a": [1, 2], "b": {"quniform": [0, 1, 0.5]}}, "exhaustive", None, 0, lambda p: 0.0)
    assert points == [{"a": a, "b": b} for a in (1, 2) for b in (0, 0.5, 1)]


@pytest.mark.slow
@needs_hyperopt
@pytest.mark.parametrize("algo", ["random", "bayes"])
def test_a_search_repeats_with_its_seed_and_stays_in_its_ranges(algo):
    ranges = {"x": {"uniform": [-1, 1]}, "n": {"quniform": [2, 6, 2]}, "c": ["a", None], "l": {"log_between": [1, 9]}}
    first, again, other = (tried(ranges, algo, 25, seed, lambda p: p["x"] ** 2) for seed in (1, 1, 2))
    assert first == again != other and len(first) == 25
    assert all(-1 <= p["x"] <= 1 and 1 <= p["l"] <= 9 for p in first)
    assert {p["n"] for p in first} == {2, 4, 6} and {p["c"] for p in first} == {"a", None}
    assert all(type(p["n"]) is int and type(p["x"]) is float for p in first)


@needs_hyperopt
def test_bayes_looks_where_it_was_good():
    """Of a bowl: the mean loss of the second half of its trials, over three seeds."""
    ranges = {name: {"uniform": [-1, 1]} for name in "abc"}

    def later(algo, seed):
        points = tried(ranges, algo, 40, seed, bowl)
        return sum(map(bowl, points[20:])) / 20

    def bowl(p):
        return sum((v - 0.3) ** 2 for v in p.values())

    means = {algo: sum(later(algo, seed) for seed in range(3)) / 3 for algo in ("bayes", "random")}
    assert means["bayes"] < 0.6 * means["random"]


@needs_hyperopt
def test_no_point_is_judged_twice_and_failures_do_not_end_it():
    points = tried({"a": [1, 2, 3], "b": [1, 2]}, "random", 50, 0, lambda p: None if p["a"] == 1 else float(p["b"]))
    assert sorted(map(str, points)) == sorted({str(p) for p in points}) and len(points) == 6
    assert len(tried({"a": {"uniform": [0, 1]}}, "bayes", 6, 0, lambda p: None)) == 6


def test_exhaustive_needs_ranges_that_end():
    endless = read_ranges({"learning_rate": {"uniform": [0, 1]}, "epochs": [1, 2]})
    with pytest.raises(SettingsError, match=r"learning_rate \(uniform\) has infinitely many"):
        check_search(endless, "exhaustive", None)
    with pytest.raises(SettingsError, match="all 2 points, but max_evals is 1"):
        check_search(endless[1:], "exhaustive", 1)
    assert check_search(endless[1:], "exhaustive", 8) == 2


@pytest.mark.parametrize(("algo", "n", "says"), [("tpe", 3, "one of bayes"), ("exhaustive", 0, "max_evals: found 0")])
def test_wrong_searches_are_refused(algo, n, says):
    with pytest.raises(SettingsError, match=says):
        check_search(read_ranges({"epochs": [1]}), algo, n)


def test_without_hyperopt_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr("recbole_apa.tuning.search.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r'pip install "\.\[tune\]", or use algo: exhaustive'):
        check_search(read_ranges({"epochs": [1]}), "bayes", 3)
    assert check_search(read_ranges({"epochs": [1]}), "exhaustive", None) == 1


@pytest.mark.parametrize(("bigger", "best"), [(True, 3), (False, 2)])
def test_the_best_is_the_first_of_equals_by_the_metrics_direction(bigger, best):
    trials = [Trial(n, {}, "done", score) for n, score in enumerate([0.5, 0.25, 0.75, 0.75, None, 0.25], 1)]
    about = Search("m", "d", "random", 6, 0, "AUC", bigger, (), {})
    assert about.best(trials).number == best
    assert about.best(trials[4:5]) is None
