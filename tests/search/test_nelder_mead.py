"""The simplex method: SciPy's points, and what it does where SciPy's has nothing to say."""

import numpy as np
import pytest
from scipy.optimize import minimize

from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.search import nelder_mead
from veldt.search.conformance import check
from veldt.search.generational import folded
from veldt.search.nelder_mead import NelderMead, NelderMeadSettings, constants, corners
from veldt.search.random_search import RandomSearch, RandomSearchSettings
from veldt.search.space.notation import Choice, Integer, Real
from veldt.search.space.space import Space


def box(n):
    return Space({f"x{i}": Real(low=-2.0, high=2.0) for i in range(n)})


def values(point):
    return np.array(list(point.values()))


def rosenbrock(point):
    x = values(point)
    return -float((100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum())


def ellipsoid(point):
    x = values(point) - 0.7
    return -float((10.0 ** np.arange(len(x)) * x**2).sum() ** 0.5)


def slope(point):
    """Best at a corner of the cube, with a step on the way; no two points are equal."""
    x = values(point)
    return float((x * np.arange(1, len(x) + 1)).sum() + (x[0] > 0.3))


def asked(searcher, score):
    """Points and scores, each question answered before the next."""
    found = []
    while (question := searcher.ask()) is not None:
        found.append((question.point, score(question.point)))
        searcher.tell(question.number, found[-1][1])
    assert searcher.done
    return found


def test_the_constants_are_gao_and_han_s():
    assert constants(2) == constants(5) == (2.0, 0.5, 0.5)
    assert constants(8) == (1.25, 0.6875, 0.875)


@pytest.mark.parametrize("score", [rosenbrock, ellipsoid, slope])
@pytest.mark.parametrize("n", [2, 3, 6, 9])
def test_the_points_are_those_of_scipy(n, score):
    """The same function beyond the cube's sides: its mirror image."""
    space = box(n)
    # Later all points are one, to five digits, and ours begins anew.
    settings = NelderMeadSettings(trials=30 * n, smallest=1e-9)
    found = [tuple(p.values()) for p, _ in asked(NelderMead(settings, space, Key(3), None), score)]
    theirs = []

    def function(x):
        point = space.decode(folded(x))
        theirs.append(tuple(point.values()))
        return -score(point)

    first = corners(settings, space, Key(3).child("simplex", 0), None)
    options = {"initial_simplex": first, "adaptive": n > 5, "maxfev": 600}
    minimize(function, first[0], method="Nelder-Mead", options=options | {"xatol": 0, "fatol": 0})
    once = list(dict.fromkeys(theirs))  # ours asks about a point once
    assert found == once[: settings.trials] and len(found) == settings.trials


def test_it_beats_random_search_and_not_turned_round():
    space, trials = box(5), 100

    def best(seed, turned):
        searcher = NelderMead(NelderMeadSettings(trials=trials), space, Key(seed), None)
        return max(ellipsoid(p) for p, _ in asked(searcher, lambda p: turned * ellipsoid(p)))

    def random(seed):
        searcher = RandomSearch(RandomSearchSettings(trials=trials), space, Key(seed), None)
        return max(score for _, score in asked(searcher, ellipsoid))

    assert sum(best(seed, 1.0) > random(seed) for seed in range(10)) >= 9
    assert sum(best(seed, -1.0) > random(seed) for seed in range(10)) <= 2


def test_a_whole_simplex_is_asked_at_once_and_then_one_point():
    space = box(4)
    searcher = NelderMead(NelderMeadSettings(trials=50), space, Key(0), None)
    first = [searcher.ask() for _ in range(5)]
    assert None not in first and searcher.ask() is None
    for question in reversed(first[1:]):
        searcher.tell(question.number, ellipsoid(question.point))
        assert searcher.ask() is None
    searcher.tell(0, ellipsoid(first[0].point))
    assert searcher.ask().number == 5 and searcher.ask() is None


def test_a_simplex_that_shrinks_asks_all_its_points_at_once():
    space = box(3)
    searcher = NelderMead(NelderMeadSettings(trials=50), space, Key(0), None)
    sizes = []
    for _ in range(6):  # each new point is worse than all before
        questions = []
        while (question := searcher.ask()) is not None:
            questions.append(question)
        for question in questions:
            searcher.tell(question.number, -float(question.number))
        sizes.append(len(questions))
    # A simplex; reflection and contraction in vain, all but the best drawn to it, again.
    assert sizes == [4, 1, 1, 3, 1, 1]


def test_it_begins_at_the_start_and_once_collapsed_elsewhere():
    space = box(2)
    start = {"x0": 1.9, "x1": -0.3}
    settings = NelderMeadSettings(trials=150, smallest=0.01)
    found = asked(NelderMead(settings, space, Key(0), start), ellipsoid)
    assert found[0][0] == start
    places = np.array([space.encode(point) for point, _ in found])
    distance = np.abs(places - space.encode({"x0": 0.7, "x1": 0.7})).max(1)
    converged = int(np.flatnonzero(distance < 0.005)[0])
    assert distance[0] > 0.2 and distance[converged : converged + 20].max() > 0.2
    later = asked(NelderMead(settings, space, Key(1), start), ellipsoid)
    assert later[:1] == found[:1] and later[50:] != found[50:]


def test_a_new_simplex_lies_within_the_cube():
    """Its points would have a ridge between them: in six dimensions that ended some searches."""
    space = box(6)
    for seed in range(20):
        centre = np.random.default_rng(seed).random(6)
        score = lambda p, c=centre: -float(np.square(space.encode(p) - c).sum())  # noqa: E731
        searcher = NelderMead(NelderMeadSettings(trials=100), space, Key(seed), None)
        found = asked(searcher, score)
        first = np.array([space.encode(point) for point, _ in found[:7]])
        assert np.abs(first[1:] - first[0]).sum(1) == pytest.approx(0.25, abs=1e-4)
        assert max(value for _, value in found) > -0.1, seed


def test_what_nothing_differs_on_is_left():
    """A space of a few points: each is asked about once, and then it is over."""
    space = Space({"n": Integer(low=1, high=3), "c": Choice(values=("a", "b"))})
    found = asked(
        NelderMead(NelderMeadSettings(trials=500), space, Key(0), None), lambda point: point["n"]
    )
    names = [tuple(point.values()) for point, _ in found]
    assert len(names) == len(set(names)) == 6


def test_branches_that_are_not_taken_count_for_nothing():
    options = ({"name": "smooth", "x": Real(low=-1.0, high=1.0)}, {"name": "flat"}, "none")
    space = Space({"n": Integer(low=1, high=64, log=True), "way": Choice(values=options)})
    check(NelderMead, NelderMeadSettings(trials=40), space)

    def score(point):
        if point["way"] == "none":
            return None
        return -abs(np.log(point["n"] / 8)) - abs(point.get("way[smooth].x", 2.0))

    for seed in range(5):
        found = asked(NelderMead(NelderMeadSettings(trials=120), space, Key(seed), None), score)
        names = [str(point) for point, _ in found]
        assert len(names) == len(set(names))
        assert max(score for _, score in found if score is not None) > -0.1


def test_failures_are_the_worst_there_is():
    space = box(2)

    def score(point):
        return None if point["x0"] < 0.0 else ellipsoid(point)

    found = asked(NelderMead(NelderMeadSettings(trials=120), space, Key(1), None), score)
    assert max(score for _, score in found if score is not None) > -0.05
    assert any(score is None for _, score in found)


def test_without_the_mirror_it_leaves_the_cube(monkeypatch):
    """What the mirror is for: a best point on a side, and others beyond it."""

    def best(fold):
        monkeypatch.setattr(nelder_mead, "folded", fold)
        results = []
        for seed in range(20):
            searcher = NelderMead(NelderMeadSettings(trials=60), box(3), Key(seed), None)
            results.append(max(score for _, score in asked(searcher, ellipsoid)))
        return np.quantile(results, 0.1)

    assert best(folded) > 3.0 * best(lambda x: x)  # scores are negative


def test_a_grammar_has_no_simplex():
    rules = {"e": {"kind": "choice", "values": ["end", [{"kind": "rule", "name": "e"}]]}}
    space = Space({"x": {"kind": "rule", "name": "e"}}, rules=rules)
    with pytest.raises(InputError, match="no fixed number of coordinates"):
        NelderMead(NelderMeadSettings(trials=5), space, Key(0), None)


def test_rules_that_nothing_follows_are_no_grammar_s():
    rules = {"e": {"kind": "choice", "values": ["end", "other"]}}
    space = Space({"x": Real(low=0.0, high=1.0)}, rules=rules)
    searcher = NelderMead(NelderMeadSettings(trials=5), space, Key(0), {"x": 0.25})
    assert searcher.ask().point == {"x": 0.25}
