"""Strategies at the edges: one parameter, the smallest populations, scores of every kind."""

import numpy as np
import pytest

from tests.reference import literal_strategies as literal
from veldt.platform import plugins
from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key
from veldt.search.strategies.catalogue import STRATEGIES
from veldt.search.strategies.snes import utilities

SMALLEST = {
    "ars": {"directions": 1, "step_size": 0.1, "noise": 0.1},
    "brs": {"directions": 1, "step_size": 0.1, "noise": 0.1},
    "cma-es": {"population": 4, "sigma": 0.3},
    "genetic": {"population": 2, "parents": 1, "sigma": 0.1},
    "guided-es": {"pairs": 1, "sigma": 0.1, "subspace": 9},
    "noise-reuse-es": {"pairs": 1, "sigma": 0.1, "unrolls": 1},
    "openai-es": {"pairs": 1, "sigma": 0.1, "shaping": "raw"},
    "persistent-es": {"pairs": 1, "sigma": 0.1, "unrolls": 1},
    "pgpe": {"pairs": 1, "sigma": 0.1},
    "random-search": {"population": 2, "sigma": 0.1},
    "sep-cma-es": {"population": 4, "sigma": 0.3},
    "snes": {"population": 2, "sigma": 0.1},
}


def build(method, dimensions, **changes):
    kind = plugins.load("strategies", method, STRATEGIES)
    settings = kind.Settings.parse({"method": method} | SMALLEST[method] | changes)
    return kind(settings, np.full(dimensions, 0.5), Key(0))


def chances(values):
    """A score that is one of some values, whatever the member."""
    generator = np.random.default_rng(0)
    return lambda members: generator.choice(values, len(members))


SCORES = {
    "all equal": lambda members: np.zeros(len(members)),
    "an endless slope": lambda members: members.sum(1),
    "failures": chances([np.nan, np.inf, -np.inf, 0.0, 1.0]),
    "huge": chances([-1e308, 1e308, 0.0]),
    "tiny": chances([-1e-310, 1e-310, 0.0]),
}


@pytest.mark.parametrize("dimensions", [1, 3])
@pytest.mark.parametrize("method", STRATEGIES)
def test_nothing_makes_a_strategy_stumble(method, dimensions):
    if method == "sep-cma-es" and dimensions == 1:
        with pytest.raises(SettingsError, match="use cma-es"):
            build(method, dimensions)
        return
    for name, score in SCORES.items():
        strategy = build(method, dimensions)
        for _ in range(30):
            population = strategy.ask()
            members = [population.candidate(i) for i in range(population.size)]
            assert np.isfinite(members).all(), name
            strategy.tell(np.array(score(np.array(members)), float))
        assert np.isfinite(strategy.centre).all(), name


def test_equal_scores_share_utilities_as_if_their_order_had_been_chance():
    scores = np.array([2.0, 5.0, 2.0, np.nan, 2.0, -1.0, np.inf])
    raw = [max(0.0, np.log(7 / 2 + 1) - np.log(place)) for place in range(1, 8)]
    u = [r / sum(raw) - 1 / 7 for r in raw]
    expected = [sum(u[1:4]) / 3, u[0], sum(u[1:4]) / 3, sum(u[5:]) / 2, sum(u[1:4]) / 3]
    expected += [u[4], sum(u[5:]) / 2]
    np.testing.assert_allclose(utilities(scores), expected, atol=1e-15)
    distinct = np.random.default_rng(0).permutation(50).astype(float)
    centre, spread = literal.snes([0.0] * 50, [1.0] * 50, np.eye(50), distinct, 0.0)
    np.testing.assert_allclose(utilities(distinct), centre, atol=1e-15)
    assert spread == [1.0] * 50


@pytest.mark.parametrize("shape", ["normal", "uniform"])
def test_steps_of_random_search_have_the_deviation_that_is_set(shape):
    population = build("random-search", 4, population=3001, sigma=0.2, shape=shape).ask()
    steps = np.array([population.candidate(i) for i in range(1, 3001)]) - 0.5
    np.testing.assert_allclose(steps.std(0), 0.2, rtol=0.05)
    np.testing.assert_allclose(steps.mean(0), 0.0, atol=0.02)
    assert (np.abs(steps).max() > 0.2 * 3**0.5) == (shape == "normal")
