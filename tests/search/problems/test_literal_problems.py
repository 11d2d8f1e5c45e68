"""Problems and policies against their literal twins, and ARS on the regulator."""

import math

import literal_filter
import literal_riccati
import numpy as np
import pytest

from veldt.platform.envs.single import SingleSpec
from veldt.platform.keys import Key
from veldt.search.problems import lqr
from veldt.search.problems.observation_filter import FilterSettings, ObservationFilter
from veldt.search.problems.policies.linear import Linear, LinearSettings
from veldt.search.problems.policies.mlp import LAST, Mlp, MlpSettings
from veldt.search.strategies.ars import ARS, ARSSettings

NONE = np.zeros(0)
SPEC = SingleSpec("Some-v0", 5, "continuous", 3, -np.ones(3), np.ones(3), 10, 30.0)
SYSTEM = [matrix.tolist() for matrix in (lqr.A, lqr.B, lqr.Q, lqr.R)]


def episodes(seed, count=20):
    """Of different lengths; columns of different size, one of them constant."""
    generator = np.random.default_rng(seed)
    scale, middle = np.array([1.0, 1e-3, 50.0, 0.0, 1.0]), np.array([0.0, 5.0, -300.0, 2.5, 1e3])
    return [
        middle + scale * generator.normal(size=(int(generator.integers(1, 60)), 5))
        for _ in range(count)
    ]


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_the_filter_is_welfords(floor):
    found = ObservationFilter(FilterSettings(floor=floor), 5)
    seen = None
    for episode in episodes(0):
        found.merge(found.statistics(episode))
        summary = literal_filter.welford(episode.tolist())
        seen = summary if seen is None else literal_filter.together(seen, summary)
        if seen[0] < 2:
            continue
        for x in episode:
            ours = (x - found.mean) * found.scale
            literal = literal_filter.filtered(x, seen, floor=floor)
            np.testing.assert_allclose(ours, literal, rtol=1e-5, atol=1e-4)


def test_one_step_says_nothing_of_a_deviation():
    found = ObservationFilter(FilterSettings(), 5)
    found.merge(found.statistics(np.ones((1, 5))))
    np.testing.assert_array_equal(found.mean, np.zeros(5))
    np.testing.assert_array_equal(found.scale, np.ones(5))


def test_observations_without_measure_are_cut_and_not_warned_about():
    found = ObservationFilter(FilterSettings(), 2)
    found.merge(found.statistics(np.full((30, 2), 1e307)))
    assert np.isfinite([found.mean, found.scale]).all()


def test_the_riccati_gain_is_that_of_a_long_horizon():
    gain = literal_riccati.gain(*SYSTEM, horizon=600)
    np.testing.assert_allclose(lqr.optimal_gain(), gain, atol=1e-10)
    cost = literal_riccati.stationary_cost(*SYSTEM, gain, steps=2000)
    assert lqr.stationary_cost(np.array(gain)) == pytest.approx(cost, rel=1e-9)


def test_a_score_is_the_cost_of_a_literal_rollout():
    problem = lqr.Lqr(lqr.LqrSettings(horizon=40), Key(0))
    generator = np.random.default_rng(0)
    for seed in range(3):
        gain = lqr.optimal_gain() + 0.1 * generator.normal(size=(3, 3))
        noise = Key(seed).generator().standard_normal((40, 3))
        score = problem.test(gain.ravel(), [Key(seed)], lambda: None)[0]
        cost = literal_riccati.rollout_cost(*SYSTEM, gain.tolist(), noise.tolist())
        assert score.fitness == pytest.approx(-cost, rel=1e-12)


def excess_cost(generations, sign=1.0):
    """Over the optimum, of what ARS finds from K = 0, as a share of it."""
    problem = lqr.Lqr(lqr.LqrSettings(horizon=100), Key(0))
    settings = ARSSettings(directions=4, step_size=0.0015, noise=0.02)
    strategy = ARS(settings, problem.start, Key(1))
    for generation in range(generations):
        population, key = strategy.ask(), Key(2).child("generation", generation)
        scores = [
            problem.test(population.candidate(i), [key], lambda: None)[0].fitness
            for i in range(population.size)
        ]
        strategy.tell(sign * np.array(scores))
    best = lqr.stationary_cost(lqr.optimal_gain())
    return lqr.stationary_cost(strategy.centre.reshape(3, 3)) / best - 1.0


def test_ars_comes_within_ten_per_cent_of_the_riccati_optimum():
    assert excess_cost(150) < 0.1


def test_and_not_if_costs_are_what_it_seeks():
    assert excess_cost(60, sign=-1.0) > 1.0


@pytest.mark.parametrize("clip", [None, 2.0])
@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_policy_is_its_matrix_times_what_is_filtered(bias, clip):
    policy = Linear(LinearSettings(bias=bias), SPEC, clip)
    assert not policy.start(Key(0)).any()
    generator = np.random.default_rng(0)
    parameters = generator.normal(size=policy.size)
    observations = [10.0 * generator.normal(size=(9, 5)) for _ in range(2)]
    summary = literal_filter.welford(observations[0].tolist())
    found = ObservationFilter(FilterSettings(clip=clip), 5)
    found.merge(found.statistics(observations[0]))
    policy.load(parameters, found.mean, found.scale)
    named = {name: array.copy() for name, array in policy.named(parameters).items()}
    parameters[:] = math.nan  # it has a copy of its own
    for x in observations[1]:
        z = literal_filter.filtered(x.tolist(), summary, clip=clip or math.inf)
        literal = [
            sum(w * v for w, v in zip(row, z, strict=True)) + float(named.get("bias", [0] * 3)[i])
            for i, row in enumerate(named["weight"].tolist())
        ]
        np.testing.assert_allclose(policy.act(x), literal, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("hidden", [(), (4,), (7, 6)])
def test_an_mlp_is_tanh_layer_by_layer(hidden):
    policy = Mlp(MlpSettings(hidden=hidden), SPEC, 1.5)
    generator = np.random.default_rng(0)
    parameters = generator.normal(size=policy.size)
    mean, scale = generator.normal(size=5), generator.uniform(0.5, 2.0, 5)
    policy.load(parameters, mean, scale)
    for observation in generator.normal(size=(10, 5)):
        before = observation.copy()
        x = [
            min(max((o - m) * s, -1.5), 1.5)
            for o, m, s in zip(observation, mean, scale, strict=True)
        ]
        at = 0
        for layer, size in enumerate((*hidden, 3)):
            rows = [parameters[at + k * len(x) :][: len(x)] for k in range(size)]
            biases = parameters[at + size * len(x) :][:size]
            at += size * (len(x) + 1)
            y = [sum(w * v for w, v in zip(row, x, strict=True)) for row in rows]
            y = [v + b for v, b in zip(y, biases, strict=True)]
            x = y if layer == len(hidden) else [math.tanh(v) for v in y]
        np.testing.assert_allclose(policy.act(observation), x, rtol=1e-12)
        np.testing.assert_array_equal(observation, before)
    assert at == policy.size


def test_an_mlp_starts_with_rows_of_one_length_and_small_actions():
    policy = Mlp(MlpSettings(hidden=(7, 6)), SPEC, None)
    named = policy.named(policy.start(Key(0)))
    for layer, length in ((0, 1.0), (1, 1.0), (2, LAST)):
        np.testing.assert_allclose(np.linalg.norm(named[f"{layer}.weight"], axis=1), length)
        assert not named[f"{layer}.bias"].any()
    np.testing.assert_array_equal(policy.start(Key(0)), policy.start(Key(0)))
    assert (policy.start(Key(0)) != policy.start(Key(1))).any()
