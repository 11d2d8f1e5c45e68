"""Strategies' estimates: their means are the gradients that they are said to be.

Of f(x) = c x - x Q x / 2 the gradient at theta, smoothed by any normal, is c - Q theta; the
estimates of many generations from one state are averaged and held to it by their own
standard error.
"""

import numpy as np
import pytest

from veldt.platform import plugins
from veldt.platform.keys import Key
from veldt.search.strategies.catalogue import STRATEGIES

SGD = {"optimizer": {"name": "sgd", "learning_rate": 1.0}}
THETA, SLOPE = np.array([0.5, 0.0, -1.0, 2.0]), np.array([1.0, -2.0, 0.5, 0.0])
Q = np.array([[2.0, 0.3, 0.0, 0.1], [0.3, 1.0, 0.0, 0.0], [0, 0, 0.5, 0.2], [0.1, 0, 0.2, 1.0]])
GRADIENT = SLOPE - Q @ THETA
SIGMA, RUNS = 0.3, 250


def value(x):
    return float(SLOPE @ x - x @ Q @ x / 2)


def new(method, seed, **settings):
    kind = plugins.load("strategies", method, STRATEGIES)
    parsed = kind.Settings.parse({"method": method, "sigma": SIGMA} | settings)
    return kind(parsed, THETA, Key(seed))


def step(strategy, score=value):
    """By which one generation moves the centre."""
    before, population = strategy.centre, strategy.ask()
    strategy.tell(np.array([score(population.candidate(i)) for i in range(population.size)]))
    return strategy.centre - before


def agrees(samples, expected, errors=3.5):
    """Whether the mean [n] of samples [k, n] is `expected` but for chance."""
    samples = np.array(samples)
    deviation = samples.std(0, ddof=1) / np.sqrt(len(samples))
    return bool((np.abs(samples.mean(0) - expected) < errors * deviation).all())


@pytest.mark.parametrize("method", ["openai-es", "persistent-es", "noise-reuse-es"])
def test_gradient_strategies_are_unbiased(method):
    more = {} if method == "openai-es" else {"unrolls": 1}
    found = [step(new(method, s, pairs=3, shaping="raw", **SGD, **more)) for s in range(RUNS)]
    assert agrees(found, SIGMA * GRADIENT)  # the estimate leaves 1 / sigma to the rate
    assert not agrees(found, -SIGMA * GRADIENT)


def test_pgpe_is_unbiased_and_its_sigma_shrinks_where_the_function_bends_down():
    knobs = {"pairs": 3, "shaping": "raw", "sigma_learning_rate": 1e-3, **SGD}
    found, spread = [], []
    for seed in range(RUNS):
        strategy = new("pgpe", seed, **knobs)
        found.append(step(strategy))
        spread.append(strategy.state()["sigma"] / SIGMA - 1.0)
    assert agrees(found, SIGMA**2 * GRADIENT)
    # d E f / d log sigma_j = -sigma^2 Q_jj; the baseline, the mean of n pairs, takes 1 / n off.
    assert agrees(spread, -1e-3 * SIGMA**2 * np.diag(Q) * (1 - 1 / 3))


def test_snes_follows_the_gradient_times_its_spread():
    # Utilities see ranks alone; of a linear function they leave the direction as it is.
    strategies = [new("snes", seed, population=8) for seed in range(RUNS)]
    found = np.array([step(s, lambda x: float(GRADIENT @ x)) for s in strategies])
    direction = GRADIENT / np.sqrt(GRADIENT @ GRADIENT)
    along = found @ direction
    assert along.mean() > 10 * along.std() / np.sqrt(RUNS)
    assert agrees(found - np.outer(along, direction), np.zeros(4))


def test_guided_es_is_the_gradient_seen_through_its_covariance():
    knobs = {"pairs": 4, "subspace": 2, "alpha": 0.3, "shaping": "raw", **SGD}
    found, expected = [], []
    for seed in range(RUNS):
        strategy = new("guided-es", seed, **knobs)
        for _ in range(2):
            step(strategy)
        basis, theta = strategy._basis, strategy.centre
        covariance = 0.3 * np.eye(4) + 0.7 * 4 / 2 * basis @ basis.T
        expected.append(SIGMA * covariance @ (SLOPE - Q @ theta))
        found.append(step(strategy))
    assert agrees(np.array(found) - expected, 0.0)
    assert not agrees(found, SIGMA * GRADIENT)  # biased towards its subspace, on purpose


def test_the_subspace_is_that_of_the_last_gradients():
    strategy = new("guided-es", 0, pairs=4, subspace=2, shaping="raw", **SGD)
    steps = [step(strategy) for _ in range(5)]  # with this optimiser the gradients themselves
    basis = strategy._basis
    for gradient in steps[-2:]:
        np.testing.assert_allclose(basis @ (basis.T @ gradient), gradient, atol=1e-12)
    assert np.abs(basis @ (basis.T @ steps[0]) - steps[0]).max() > 1e-3


STRETCHES, LIVES = 3, 300


def lives(method, unrolls, seed):
    """The sum of one life's estimates; s' = s / 2 + 0.3 theta_0 - 0.2 theta_1 s, its loss s'^2.

    Theta stands still but for a rate of 1e-12, as the papers' proofs have it.
    """
    settings = {"pairs": 2, "sigma": 0.1, "shaping": "raw"}
    settings["optimizer"] = {"name": "sgd", "learning_rate": 1e-12}
    more = {} if method == "openai-es" else {"unrolls": unrolls}
    strategy = new(method, seed, **settings | more)
    # What the optimiser is shown, not what it makes of it.
    estimates, states = [], np.ones(4)
    step_of = strategy._ascent.step
    strategy._ascent.step = lambda g: estimates.append(g) or step_of(g)
    for _ in range(STRETCHES):
        population = strategy.ask()
        thetas = np.array([population.candidate(i) for i in range(4)])
        states = states / 2 + 0.3 * thetas[:, 0] - 0.2 * thetas[:, 1] * states
        strategy.tell(-(states**2))
    return np.sum(estimates, 0) / 0.1


def whole_life_gradient():
    """Of minus the sum of losses, by differences through the whole life, unsmoothed."""

    def total(theta):
        state, losses = 1.0, 0.0
        for _ in range(STRETCHES):
            state = state / 2 + 0.3 * theta[0] - 0.2 * theta[1] * state
            losses -= state**2
        return losses

    h = 1e-5 * np.eye(4)
    return np.array([(total(THETA + e) - total(THETA - e)) / 2e-5 for e in h])


def test_persistent_and_noise_reuse_es_are_unbiased_where_truncation_is_not():
    true = whole_life_gradient()
    persistent = [lives("persistent-es", STRETCHES, seed) for seed in range(LIVES)]
    assert agrees(persistent, true, errors=4)
    reuse = [lives("noise-reuse-es", STRETCHES, seed) for seed in range(LIVES)]
    assert agrees(reuse, true, errors=4)
    truncated = [lives("openai-es", 1, seed) for seed in range(LIVES)]
    assert not agrees(truncated, true, errors=6)
