"""Searchers: the contract, the formulas, and that they search."""

import numpy as np
import pytest

from veldt.platform import plugins
from veldt.platform.errors import BrokenContract, SettingsError, UnknownName
from veldt.platform.keys import Key
from veldt.search import generational
from veldt.search.catalogue import SEARCHERS, searcher
from veldt.search.conformance import check
from veldt.search.generational import Generational, GenerationalSettings, folded
from veldt.search.random_search import RandomSearch, RandomSearchSettings
from veldt.search.searcher import Question
from veldt.search.space.notation import Choice, Real
from veldt.search.space.space import Space
from veldt.search.stages import Stages
from veldt.search.strategies import fitness

SETTINGS = {
    "random": {"trials": 12},
    "grid": {"levels": 2},
    "sobol": {"trials": 12},
    "tpe": {"trials": 16, "first": 6, "random": 0.3},
    "gp": {"trials": 8, "first": 6},
    "auto": {"trials": 13, "first": 4},
    "cma": {"trials": 24, "population": 5},
    "evolution": {"trials": 40, "population": 8, "sample": 3},
    "nelder-mead": {"trials": 40},
    "particle-swarm": {"trials": 30, "particles": 4},
    "coordinate": {"trials": 40},
    "multi-resolution": {"trials": 40},
    "portfolio": {
        "trials": 8,
        "points": [{"a.real": 0.5, "a.log": 0.01, "b.integer": 8, "b.choice": "y"}],
    },
}


STRATEGY_SETTINGS = {
    "openai-es": {"pairs": 4, "sigma": 0.1},
    "cma-es": {"sigma": 0.2},
    "genetic": {"population": 6, "parents": 2, "sigma": 0.1},
    "random-search": {"population": 6, "sigma": 0.1},
}


def es(generations, pairs, learning_rate=0.5):
    optimizer = {"name": "sgd", "learning_rate": learning_rate}
    knobs = {"pairs": pairs, "sigma": 0.1, "optimizer": optimizer}
    return GenerationalSettings.parse({"method": "openai-es", "generations": generations, **knobs})


@pytest.mark.parametrize("name", SEARCHERS)
def test_conformance(name):
    build = plugins.load("searchers", name, SEARCHERS)
    check(build, build.Settings.parse(SETTINGS[name]))


@pytest.mark.parametrize("method", STRATEGY_SETTINGS)
def test_strategies_are_searchers_too(method):
    knobs = {"method": method, "generations": 3} | STRATEGY_SETTINGS[method]
    settings = GenerationalSettings.parse(knobs)
    assert GenerationalSettings.parse(settings.dump()) == settings
    check(Generational, settings)


def test_folding_is_a_mirror():
    x = np.array([-0.25, 0.0, 0.3, 1.0, 1.2, 2.0, 2.75, -1.5])
    np.testing.assert_allclose(folded(x), [0.25, 0.0, 0.3, 1.0, 0.8, 0.0, 0.75, 0.5])
    assert searcher("openai-es") is Generational
    with pytest.raises(UnknownName, match="Did you mean 'openai-es'"):
        searcher("openai_es")
    with pytest.raises(SettingsError, match=r"stages\.1\.unrolls: a trial is a whole life"):
        knobs = {"method": "persistent-es", "generations": 1, "pairs": 1, "sigma": 0.1}
        GenerationalSettings.parse(knobs | {"unrolls": 2}, ("stages", 1))


def test_stages_conform_too():
    settings = [RandomSearchSettings(trials=5), es(generations=2, pairs=2)]
    check(lambda _, space, key, start: Stages(settings, space, key), None)


def test_conformance_notices():
    class Impure(RandomSearch):
        drawn = np.random.default_rng(0)

        def ask(self):
            question = super().ask()
            if question is None:
                return None
            self._points[-1] = self._space.sample(self.drawn)
            return Question(question.number, self._points[-1])

    class Hasty(RandomSearch):
        def state(self):
            return super().state() | {"order": list(self._scores)}

    for build, message in ((Impure, "equal keys"), (Hasty, "order of answers")):
        with pytest.raises(BrokenContract, match=message):
            check(build, RandomSearchSettings(trials=6))


PLANE = Space({f"x{i}": Real(low=-1.0, high=1.0) for i in range(5)})


def run(searcher, score):
    best = -np.inf
    while not searcher.done:
        questions = []
        while (question := searcher.ask()) is not None:
            questions.append(question)
        for question in questions:
            value = score(question.point)
            best = max(best, value)
            searcher.tell(question.number, value)
    return best


def sphere(point):
    return -sum((value - 0.6) ** 2 for value in point.values())


def compare(seeds):
    """Wins of a strategy over random search, same number of questions."""
    return sum(
        run(Generational(es(15, 5), PLANE, Key(seed), None), sphere)
        > run(RandomSearch(RandomSearchSettings(trials=150), PLANE, Key(seed), None), sphere)
        for seed in seeds
    )


def test_the_strategy_beats_random_search():
    assert compare(range(20)) >= 18


def test_with_its_selection_inverted_it_does_not(monkeypatch):
    monkeypatch.setitem(fitness.SHAPINGS, "centred-ranks", lambda s: -fitness.centred_ranks(s))
    assert compare(range(20)) <= 5


def test_a_stage_begins_at_the_best_so_far():
    settings = [RandomSearchSettings(trials=8), es(generations=1, pairs=1)]
    stages = Stages(settings, PLANE, Key(0))
    told = {}
    for _ in range(8):
        question = stages.ask()
        told[question.number] = (sphere(question.point), question.point)
    assert stages.ask() is None
    for number, (score, _) in told.items():
        stages.tell(number, score)
    best = max(told.values(), key=lambda pair: pair[0])
    assert stages.best.point == best[1] and stages.best_score == best[0]
    pair = [PLANE.encode(stages.ask().point) for _ in range(2)]
    np.testing.assert_allclose(sum(pair) / 2, PLANE.encode(best[1]), atol=1e-4)
    assert stages.stage_of(7) == 0 and stages.stage_of(8) == 1


def test_failures_are_never_the_best():
    stages = Stages([RandomSearchSettings(trials=3)], PLANE, Key(0))
    numbers = [stages.ask().number for _ in range(3)]
    assert stages.best is None
    for number, score in zip(numbers, [None, -5.0, -5.0], strict=True):
        stages.tell(number, score)
    assert stages.best.number == 1 and stages.done


def test_a_start_on_a_side_of_the_cube_is_left(monkeypatch):
    space = Space({"x": Real(low=-1.0, high=1.0), "y": Choice(values=("a", "b", "c"))})

    def found():
        searcher = Generational(es(20, 8), space, Key(0), {"x": 1.0, "y": "a"})
        return run(searcher, lambda point: -abs(point["x"]) - 0.5 * (point["y"] != "b"))

    assert found() > -0.3
    monkeypatch.setattr(generational, "MARGIN", 0.0)
    monkeypatch.setattr(generational, "CHOICE_MARGIN", 0.0)
    assert found() < -0.7


LEARNING = {
    "tpe": {"trials": 50, "first": 10},
    "gp": {"trials": 25, "first": 8},
    "evolution": {"trials": 150, "population": 20, "sample": 8},
}


def one_by_one(method, space, score, seed, turned=1.0, **more):
    """The scores in the order of asking; each question is answered before the next."""
    build = searcher(method)
    settings = build.Settings.parse({"method": method} | LEARNING.get(method, {}) | more)
    found, asking = [], build(settings, space, Key(seed), None)
    while (question := asking.ask()) is not None:
        found.append((question.point, score(question.point)))
        asking.tell(question.number, turned * found[-1][1])
    assert asking.done
    return found


def wins(method, seeds, turned=1.0):
    """Over random search, the same number of questions."""
    trials = LEARNING[method]["trials"]
    return sum(
        max(score for _, score in one_by_one(method, PLANE, sphere, seed, turned))
        > max(score for _, score in one_by_one("random", PLANE, sphere, seed, trials=trials))
        for seed in seeds
    )


@pytest.mark.parametrize("method", ["tpe", "evolution", "gp"])
def test_models_beat_random_search_and_not_with_their_answers_turned_round(method):
    seeds = range(2 if method == "gp" else 10)
    assert wins(method, seeds) >= 0.9 * len(seeds)
    assert wins(method, seeds, turned=-1.0) <= 0.4 * len(seeds)


def test_sobol_s_points_lie_more_evenly():
    def gap(method):
        """The widest gap between neighbours on any axis."""
        points = one_by_one(method, PLANE, sphere, 0, trials=64)
        columns = np.sort([[point[name] for point, _ in points] for name in PLANE.nodes], axis=1)
        return float(np.diff(columns, axis=1).max())

    assert gap("sobol") < 2.1 * 2.0 / 64 < gap("random")


BRANCHES = Space(
    {
        "way": Choice(
            values=(
                {"name": "smooth", "x": {"kind": "real", "low": -1.0, "high": 1.0}},
                {"name": "steep", "y": {"kind": "real", "low": -1.0, "high": 1.0}},
            )
        )
    }
)


def branching(point):
    """One branch is smooth and never above 0; the other is 1 at a point, and mostly below."""
    if point["way"] == "smooth":
        return -abs(point["way[smooth].x"]) * 0.2
    return 1.0 - 3.0 * abs(point["way[steep].y"] - 0.4)


def test_tpe_finds_the_branch_with_the_optimum():
    shares = []
    for seed in range(5):
        found = one_by_one("tpe", BRANCHES, branching, seed, trials=80)
        shares.append(sum(point["way"] == "steep" for point, _ in found[-20:]) / 20)
    assert np.mean(shares) >= 0.9, shares


def test_short_trainings_inform_tpe_until_there_are_enough_long_ones():
    build = searcher("tpe")
    settings = build.Settings.parse({"method": "tpe", "trials": 60, "first": 5})
    asking = build(settings, PLANE, Key(0), None)
    for number in range(30):
        question = asking.ask()
        assert question.number == number
        asking.tell(number, sphere(question.point), 1 / 9)
        if number % 10 == 0:
            asking.tell(number, sphere(question.point), 1.0)
    assert asking._trusted() == 1 / 9
    late = [sphere(asking.ask().point) for _ in range(10)]
    random = [sphere(PLANE.sample(np.random.default_rng(i))) for i in range(200)]
    assert np.mean(late) > np.mean(random) + np.std(random)
    for number in range(1, 8):
        asking.tell(number, -1.0, 1.0)
    assert asking._trusted() == 1.0


def test_a_grid_is_every_combination_once():
    space = Space({"a": Real(low=0.0, high=1.0), "way": BRANCHES.tree.root.items[0][1]})
    points = [point for point, _ in one_by_one("grid", space, lambda point: 0.0, 0, levels=3)]
    assert len(points) == 3 * (3 + 3) == len({str(sorted(point.items())) for point in points})
    assert {point["a"] for point in points} == {0.0, 0.5, 1.0}
    straight = [
        p for p, _ in one_by_one("grid", space, lambda p: 0.0, 0, levels=3, shuffled=False)
    ]
    assert straight != points and sorted(map(str, straight)) == sorted(map(str, points))


def test_a_share_of_the_questions_is_random():
    """As BOHB's: those are uniform whatever the answers were; the others are near the best."""
    space = Space({"x": {"kind": "real", "low": 0.0, "high": 1.0}})
    build = searcher("tpe")
    settings = build.Settings.parse({"method": "tpe", "trials": 90, "first": 5, "random": 0.34})
    one = build(settings, space, Key(3), None)
    far = 0
    while (question := one.ask()) is not None:
        x = question.point["x"]
        one.tell(question.number, -abs(x - 0.3))
        far += question.number >= 30 and abs(x - 0.3) > 0.25
    # Uniform points are so far with probability 0.5: of 60 questions about 10 are.
    assert 4 <= far <= 20
    plain = build(settings.model_copy(update={"random": 0.0}), space, Key(3), None)
    far = 0
    while (question := plain.ask()) is not None:
        x = question.point["x"]
        plain.tell(question.number, -abs(x - 0.3))
        far += question.number >= 30 and abs(x - 0.3) > 0.25
    assert far <= 3
