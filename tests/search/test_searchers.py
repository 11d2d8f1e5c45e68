"""Searchers: the contract, the formulas, and that they search."""

import numpy as np
import pytest

from veldt.platform import plugins
from veldt.platform.errors import BrokenContract
from veldt.platform.keys import Key
from veldt.search import evolution_strategy
from veldt.search.catalogue import SEARCHERS
from veldt.search.conformance import check
from veldt.search.evolution_strategy import EvolutionStrategy, EvolutionStrategySettings
from veldt.search.random_search import RandomSearch, RandomSearchSettings
from veldt.search.searcher import Question
from veldt.search.space import Real, Space
from veldt.search.stages import Stages
from veldt.search.strategies.fitness import centred_ranks

SETTINGS = {
    "random": {"trials": 12},
    "es": {"generations": 3, "pairs": 4},
}


@pytest.mark.parametrize("name", SEARCHERS)
def test_conformance(name):
    build = plugins.load("searchers", name, SEARCHERS)
    check(build, build.Settings.parse(SETTINGS[name]))


def test_stages_conform_too():
    settings = [RandomSearchSettings(trials=5), EvolutionStrategySettings(generations=2, pairs=2)]
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


def test_ranks_against_counting():
    scores = [3.0, None, 1.0, 3.0, float("nan"), -2.0, 7.0]
    plain = [-1e9 if s is None or s != s else s for s in scores]
    for got, mine in zip(centred_ranks(scores), plain, strict=True):
        worse = sum(other < mine for other in plain)
        ties = sum(other == mine for other in plain) - 1
        assert got == pytest.approx((worse + ties / 2) / 6 - 0.5)
    assert centred_ranks(scores).sum() == pytest.approx(0)
    assert centred_ranks([5.0]).tolist() == [0.0]


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


def test_one_step_is_the_papers():
    settings = EvolutionStrategySettings(generations=1, pairs=3, sigma=0.05, learning_rate=0.01)
    searcher = EvolutionStrategy(settings, PLANE, Key(4), None)
    before = searcher._theta.copy()
    scores = [2.0, -1.0, None, 0.5, 0.5, 9.0]
    points = [searcher.ask().point for _ in range(6)]
    for number, value in enumerate(scores):
        searcher.tell(number, value)
    # F_1 ... F_2n and epsilon_1 ... epsilon_2n as in algorithm 2, one member after another.
    epsilons = [(PLANE.encode(point) - before) / 0.05 for point in points]
    u = centred_ranks(scores)
    step = sum(u[i] * epsilons[i] for i in range(6)) / (6 * 0.05)
    np.testing.assert_allclose(searcher._theta, before + 0.01 * step, atol=1e-4)
    for i in range(3):  # mirrored
        np.testing.assert_allclose(epsilons[2 * i], -epsilons[2 * i + 1], atol=1e-3)


def sphere(point):
    return -sum((value - 0.6) ** 2 for value in point.values())


def compare(seeds):
    """Wins of the strategy over random search, same number of questions."""
    strategy = EvolutionStrategySettings(generations=15, pairs=5, sigma=0.1, learning_rate=0.05)
    return sum(
        run(EvolutionStrategy(strategy, PLANE, Key(seed), None), sphere)
        > run(RandomSearch(RandomSearchSettings(trials=150), PLANE, Key(seed), None), sphere)
        for seed in seeds
    )


def test_the_strategy_beats_random_search():
    assert compare(range(20)) >= 18


def test_with_its_selection_inverted_it_does_not(monkeypatch):
    monkeypatch.setattr(evolution_strategy, "centred_ranks", lambda s: -centred_ranks(s))
    assert compare(range(20)) <= 5


def test_a_stage_begins_at_the_best_so_far():
    settings = [RandomSearchSettings(trials=8), EvolutionStrategySettings(generations=1, pairs=1)]
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
