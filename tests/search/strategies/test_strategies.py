"""Strategies: the contract, the formulas, and sums that are exact."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as draws

from tests.reference import literal_strategies as literal
from veldt.platform import plugins
from veldt.platform.errors import BrokenContract, SettingsError
from veldt.platform.keys import Key
from veldt.search.strategies import fitness, noise
from veldt.search.strategies.ars import ARS, ARSSettings
from veldt.search.strategies.ascent import Ascent, OptimizerSettings
from veldt.search.strategies.catalogue import STRATEGIES
from veldt.search.strategies.conformance import check
from veldt.search.strategies.genetic import NOBODY, Genetic
from veldt.search.strategies.noise import Share
from veldt.search.strategies.openai_es import OpenAIES
from veldt.search.strategies.strategy import digest

SETTINGS = {
    "ars": {"directions": 4, "top": 2, "step_size": 0.1, "noise": 0.1},
    "brs": {"directions": 4, "step_size": 0.1, "noise": 0.1},
    "cma-es": {"sigma": 0.3},
    "genetic": {"population": 10, "parents": 3, "sigma": 0.1, "elites": 2},
    "guided-es": {"pairs": 4, "sigma": 0.1, "subspace": 2},
    "noise-reuse-es": {"pairs": 4, "sigma": 0.1, "unrolls": 3},
    "openai-es": {"pairs": 4, "sigma": 0.1, "weight_decay": 0.01},
    "persistent-es": {"pairs": 4, "sigma": 0.1, "unrolls": 3},
    "pgpe": {"pairs": 4, "sigma": 0.1},
    "random-search": {"population": 6, "sigma": 0.1},
    "sep-cma-es": {"sigma": 0.3},
    "snes": {"sigma": 0.1},
}


def build(name, start, seed=0, **changes):
    kind = plugins.load("strategies", name, STRATEGIES)
    settings = kind.Settings.parse({"method": name} | SETTINGS[name] | changes)
    return kind(settings, np.asarray(start, float), Key(seed))


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_contract(name):
    kind = plugins.load("strategies", name, STRATEGIES)
    check(kind, kind.Settings.parse({"method": name} | SETTINGS[name]))


class Forgetful(ARS):
    def state(self):
        return {"m": self._m, "generation": np.array(0)}


class Clocked(ARS):
    calls = itertools.count()

    def ask(self):
        self._m = self._m + 1e-9 * next(self.calls)
        return super().ask()


class FailureLover(ARS):
    def tell(self, scores, share=noise.WHOLE):
        super().tell(np.nan_to_num(scores, nan=1e6), share)


class Hasty(ARS):
    def tell(self, scores, share=noise.WHOLE):
        self._generation += 1
        self._generation -= 1
        self._m = self._m + 1.0
        super().tell(scores, share)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Forgetful, "restored at"),
        (Clocked, "asks otherwise"),
        (FailureLover, "must count as the worst"),
        (Hasty, "it has changed"),
    ],
)
def test_the_conformance_suite_finds_faults(broken, words):
    with pytest.raises(BrokenContract, match=words):
        check(broken, ARSSettings.parse({"method": "ars"} | SETTINGS["ars"]))


def perturbations(strategy, sigma):
    """Of its pairs, from its own members, and the scores of a bowl around (1, 1, ...)."""
    population = strategy.ask()
    members = [population.candidate(i) for i in range(population.size)]
    scores = np.array([-float((x - 1) @ (x - 1)) for x in members])
    pairs = [(a - b) / (2 * sigma) for a, b in zip(members[::2], members[1::2], strict=True)]
    return pairs, scores


@pytest.mark.parametrize("top", [1, 3, 4])
def test_ars_is_the_papers(top):
    strategy = build("ars", [0.3, -0.2, 2.0], top=top)
    for _ in range(3):
        deltas, scores = perturbations(strategy, 0.1)
        expected = literal.ars(strategy.centre, deltas, scores[::2], scores[1::2], top, 0.1)
        strategy.tell(scores)
        np.testing.assert_allclose(strategy.centre, expected, rtol=1e-7)


def test_brs_is_the_papers():
    strategy = build("brs", [0.3, -0.2, 2.0])
    deltas, scores = perturbations(strategy, 0.1)
    expected = literal.basic_random_search(strategy.centre, deltas, scores[::2], scores[1::2], 0.1)
    strategy.tell(scores)
    np.testing.assert_allclose(strategy.centre, expected, rtol=1e-7)


def test_openai_es_is_the_papers():
    optimizer = {"name": "sgd", "learning_rate": 0.5}
    strategy = build("openai-es", [0.3, -0.2, 2.0], optimizer=optimizer)
    for _ in range(3):
        epsilons, scores = perturbations(strategy, 0.1)
        theta = strategy.centre
        gradient = literal.openai_es_gradient(
            theta, epsilons, scores[::2], scores[1::2], weight_decay=0.01
        )
        strategy.tell(scores)
        np.testing.assert_allclose(strategy.centre - theta, 0.5 * np.array(gradient), rtol=1e-6)


def test_openai_es_without_mirrors():
    knobs = {"optimizer": {"name": "sgd", "learning_rate": 0.5}, "weight_decay": 0.0}
    strategy = build("openai-es", [0.3, -0.2, 2.0], mirrored=False, **knobs)
    for _ in range(2):
        theta, population = strategy.centre, strategy.ask()
        members = [population.candidate(i) for i in range(population.size)]
        noise = [(x - theta) / 0.1 for x in members]
        assert len({tuple(np.abs(x).round(9)) for x in noise}) == population.size == 8
        scores = [-float((x - 1) @ (x - 1)) for x in members]
        u = literal.ranks(scores)
        gradient = sum(weight * x for weight, x in zip(u, noise, strict=True)) / 8
        strategy.tell(np.array(scores))
        np.testing.assert_allclose(strategy.centre - theta, 0.5 * gradient, rtol=1e-6)


def test_snes_is_the_papers():
    strategy = build("snes", [0.3, -0.2, 2.0])
    rate = (3 + math.log(3)) / (5 * math.sqrt(3))
    for _ in range(3):
        state, population = strategy.state(), strategy.ask()
        members = [population.candidate(i) for i in range(population.size)]
        scores = [-float((x - 1) @ (x - 1)) for x in members]
        z = [(x - state["mu"]) / state["sigma"] for x in members]
        mu, sigma = literal.snes(state["mu"], state["sigma"], z, scores, rate)
        strategy.tell(np.array(scores))
        np.testing.assert_allclose(strategy.centre, mu, rtol=1e-5)
        np.testing.assert_allclose(strategy.state()["sigma"], sigma, rtol=1e-4)


def test_pgpe_is_the_papers():
    strategy = build("pgpe", [0.3, -0.2, 2.0], shaping="raw")
    for _ in range(3):
        state = strategy.state()
        z, scores = perturbations(strategy, state["sigma"])
        expected = literal.pgpe_sigma(state["sigma"], z, scores[::2], scores[1::2], 0.1, 0.2)
        strategy.tell(scores)
        np.testing.assert_allclose(strategy.state()["sigma"], expected, rtol=1e-4)
        step = strategy.centre - state["mu"]
        assert np.sqrt(step @ step) <= 0.3 + 1e-12  # ClipUp's bound: twice its rate


def test_persistent_es_credits_a_life_and_noise_reuse_wears_one_noise():
    optimizer = {"name": "sgd", "learning_rate": 1.0}
    strategy = build("persistent-es", [0.0, 0.0], optimizer=optimizer, shaping="raw")
    reuse = build("noise-reuse-es", [0.0, 0.0])
    worn, noises = [], []
    for generation in range(6):
        worn = [] if generation % 3 == 0 else worn
        epsilons, scores = perturbations(strategy, 0.1)
        worn.append(epsilons)
        lives = [[stretch[k] for stretch in worn] for k in range(4)]
        before = strategy.centre
        expected = literal.persistent_es_gradient(lives, scores[::2], scores[1::2])
        strategy.tell(scores)
        np.testing.assert_allclose(strategy.centre - before, expected, rtol=1e-6)
        fresh, scores = perturbations(reuse, 0.1)
        if generation % 3:
            np.testing.assert_allclose(fresh, noises)
        noises = fresh
        reuse.tell(scores)


def test_guided_noise_has_the_papers_covariance():
    strategy = build("guided-es", np.zeros(6), subspace=2, pairs=4000, alpha=0.3)
    for _ in range(3):
        strategy.tell(np.random.default_rng(0).normal(size=8000))
    basis = strategy._basis
    assert basis.shape == (6, 2)
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=1e-12)
    d, _ = perturbations(strategy, 0.1)
    expected = 0.3 * np.eye(6) + 0.7 * 6 / 2 * basis @ basis.T  # n/sigma^2 times the paper's
    np.testing.assert_allclose(np.cov(np.array(d).T), expected, atol=0.2)


@pytest.mark.parametrize("name", ["openai-es", "persistent-es", "noise-reuse-es", "snes", "pgpe"])
def test_estimates_point_up_the_smoothed_slope(name):
    # Of f(x) = c x - x Q x / 2 the smoothed gradient is c - Q x, exactly.
    slope, start = np.array([1.0, -2.0, 0.5]), np.array([0.5, 0.0, -1.0])
    q = np.diag([1.0, 2.0, 0.5])
    changes = {"sigma": 0.2, **({"population": 2000} if name == "snes" else {"pairs": 1000})}
    if name == "pgpe":
        changes |= {"shaping": "raw", "optimizer": {"name": "sgd", "learning_rate": 1.0}}
    elif name != "snes":
        changes |= {"shaping": "raw", "optimizer": {"name": "sgd", "learning_rate": 1.0}}
    strategy = build(name, start, **changes)
    population = strategy.ask()
    members = [population.candidate(i) for i in range(population.size)]
    strategy.tell(np.array([float(slope @ x - x @ q @ x / 2) for x in members]))
    found, expected = strategy.centre - start, slope - q @ start
    cosine = found @ expected / np.sqrt((found @ found) * (expected @ expected))
    assert cosine > 0.995
    if name not in ("snes", "pgpe"):
        np.testing.assert_allclose(found, 0.2 * expected, atol=0.03)


def test_adam_and_clipup_are_the_papers():
    generator = np.random.default_rng(0)
    gradients = generator.normal(size=(20, 3)) * [1.0, 100.0, 1e-3]
    adam = Ascent(OptimizerSettings(name="adam", learning_rate=0.1))
    total = sum(adam.step(g) for g in gradients)
    expected = [literal.adam(column, 0.1) for column in gradients.T]
    np.testing.assert_allclose(total, expected, rtol=1e-12)
    clipup = Ascent(OptimizerSettings(name="clipup", learning_rate=0.1, max_speed=0.25))
    total = sum(clipup.step(g) for g in gradients)
    np.testing.assert_allclose(total, literal.clipup(gradients, 0.1, 0.9, 0.25), rtol=1e-9)


@pytest.mark.parametrize(("name", "half", "end"), [("linear", 0.6, 0.2), ("cosine", 0.6, 0.2)])
def test_schedules(name, half, end):
    schedule = {"name": name, "generations": 10, "final": 0.2}
    settings = OptimizerSettings.parse({"name": "sgd", "learning_rate": 1.0, "schedule": schedule})
    ascent = Ascent(settings)
    rates = [float(ascent.step(np.ones(1))[0]) for _ in range(20)]
    assert rates[0] == 1.0
    assert rates[5] == pytest.approx(half)
    assert rates[10:] == [pytest.approx(end)] * 10
    assert rates == sorted(rates, reverse=True)


def test_functions_can_be_passed_in():
    settings = OpenAIES.Settings(pairs=2, sigma=0.1)
    from veldt.search.strategies.gradient_es import GradientES

    own = GradientES(
        settings,
        np.zeros(2),
        lambda generation, pair: np.eye(2)[pair],
        shaping=lambda scores: scores**3,
        ascent=Ascent(settings.optimizer, lambda g, slots, rate, s: (10.0 * g, slots)),
    )
    own.tell(np.array([2.0, 1.0, 0.0, 1.0]))
    np.testing.assert_allclose(own.centre, [10 * 7 / 4, -10 * 1 / 4])


def test_a_chain_of_seeds_leads_to_the_same_bits():
    strategy = build("genetic", np.linspace(-1, 1, 5), first_sigma=0.5)
    individuals, parents, mutations = {}, {}, {}
    for generation in range(8):
        population = strategy.ask()
        members = [population.candidate(i) for i in range(population.size)]
        scores = np.array([-float(x @ x) for x in members])
        strategy.tell(scores)
        for chain, theta in zip(strategy.state()["chains"], strategy._thetas, strict=True):
            names = [tuple(link) for link in chain.tolist() if link[0] != NOBODY]
            for parent, child in itertools.pairwise([None, *names]):
                parents[child] = parent
                mutations[child] = strategy._mutation(*child)
            individuals[names[-1]] = theta
            np.testing.assert_array_equal(strategy.rebuild(chain), theta)
        assert generation == 0 or any(len(c) > 1 for c in strategy.state()["chains"])
    ordered = dict(sorted(mutations.items()))
    found = literal.genetic(np.linspace(-1, 1, 5), parents, ordered)
    for name, theta in individuals.items():
        np.testing.assert_array_equal(found[name], theta)
    assert isinstance(strategy, Genetic)


def test_a_lucky_elite_is_found_out():
    strategy = build("genetic", np.zeros(3), population=6, parents=3, elites=1)
    strategy.tell(np.array([0.0, 0.1, 9.0, 0.2, 0.3, 0.4]))
    lucky = strategy.centre
    np.testing.assert_array_equal(strategy.ask().candidate(0), lucky)  # it plays again
    strategy.tell(np.array([-9.0, 0.5, 0.1, 0.2, 0.3, 0.4]))  # mean 0, not 9
    assert not np.array_equal(strategy.centre, lucky)
    climber = build("random-search", np.zeros(3))
    climber.tell(np.array([0.0, 9.0, 1.0, 0.0, 0.0, 0.0]))
    lucky = climber.centre
    climber.tell(np.array([-9.0, 1.0, 0.0, 0.0, 0.0, 0.0]))
    assert not np.array_equal(climber.centre, lucky)


@given(
    draws.lists(draws.floats(-1e3, 1e3), min_size=1, max_size=40),
    draws.integers(1, 5),
    draws.integers(0, 2**30),
)
def test_sums_are_exact_however_they_are_split(weights, count, seed):
    weights = np.array(weights)

    def draw(i):
        return noise.normal(Key(seed).child("draw", i), 3)

    whole = noise.weighted_sum(weights, draw, 3)
    parts = []
    for index in reversed(range(count)):
        noise.weighted_sum(
            weights, draw, 3, Share(index, count, lambda part: parts.append(part) or part)
        )
    if parts:
        again = noise.weighted_sum(weights, draw, 3, Share(0, 1, lambda _: sum(parts)))
        np.testing.assert_array_equal(whole, again)
    naive = sum(w * draw(i) for i, w in enumerate(weights))
    scale = np.abs(weights).max() * len(weights)
    np.testing.assert_allclose(whole, naive, atol=1e-6 * scale + 8 * len(weights) * noise.SMALLEST)


@given(draws.lists(draws.sampled_from([math.nan, -math.inf, 0.0, 1.0, 2.0, 3.0]), max_size=12))
def test_centred_ranks_are_the_papers(scores):
    found = fitness.centred_ranks(scores)
    plain = [-math.inf if math.isnan(score) else score for score in scores]
    expected = literal.ranks(plain) if len(scores) > 1 else np.zeros(len(scores))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert abs(found.sum()) < 1e-9


def test_failures_are_no_better_than_the_worst():
    shaped = fitness.failures_last(np.array([math.nan, 3.0, -1.0, math.inf, -math.inf]))
    assert shaped.tolist() == [-1.0, 3.0, -1.0, -1.0, -1.0]
    assert fitness.failures_last(np.full(3, math.nan)).tolist() == [0.0] * 3
    z = fitness.z_scores(np.array([1.0, 2.0, math.nan]))
    assert z.mean() == pytest.approx(0.0)
    assert fitness.z_scores(np.ones(4)).tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("ars", {"top": 5}, "top = 5 directions cannot be kept of directions = 4"),
        ("ars", {"directions": 0}, "directions"),
        ("genetic", {"parents": 10}, "parents = 10 must be fewer than population = 10"),
        ("genetic", {"elites": 4}, "elites = 4 are among the parents = 3"),
        ("openai-es", {"optimizer": {"name": "adamm"}}, "optimizer.name"),
        ("snes", {"sigma": -1.0}, "sigma"),
        ("persistent-es", {"unrolls": 0}, "unrolls"),
        ("cma-es", {"population": 1}, "population"),
    ],
)
def test_wrong_settings_are_refused(name, changes, words):
    with pytest.raises(SettingsError, match=words):
        build(name, np.zeros(3), **changes)


def test_equal_states_have_equal_digests_and_one_bit_makes_another():
    state = build("ars", [1.0, 2.0]).state()
    other = {name: array.copy() for name, array in state.items()}
    assert digest(state) == digest(other)
    other["m"] = np.nextafter(other["m"], 9.0)
    assert digest(state) != digest(other)
