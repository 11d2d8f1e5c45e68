"""CMA-ES for mixed spaces, the portfolio, and what they are made of."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime

from veldt.platform.keys import Key
from veldt.search.auto_search import AutoSearch, AutoSettings, warped
from veldt.search.candidates import Candidates
from veldt.search.cma_search import CmaSearch, CmaSearchSettings
from veldt.search.conformance import check
from veldt.search.gaussian_process import GaussianProcess, covariance, loss, priors
from veldt.search.random_search import RandomSearch, RandomSearchSettings
from veldt.search.space.notation import Choice, Integer, Real
from veldt.search.space.space import Space

X, N = ({"kind": "real", "low": -1.0, "high": 1.0}, {"kind": "integer", "low": 1, "high": 9})
MIXED = Space(
    {
        "a": Real(low=-1.0, high=1.0),
        "b": Real(low=-1.0, high=1.0),
        "c": Integer(low=1, high=20),
        "kind": Choice(values=("u", "v", "w")),
        "way": Choice(values=({"name": "here", "x": X}, {"name": "there", "y": X})),
        "rows": {"kind": "repeat", "of": N, "low": 0, "high": 2},
    }
)
RULE = {"kind": "rule", "name": "f"}
ENDS = [{"name": "end", "x": X}, {"name": "more", "in": RULE}]
GRAMMAR = Space({"f": RULE}, rules={"f": {"kind": "choice", "values": ENDS}})


def mixed(point):
    found = -((point["a"] - 0.3) ** 2) - (point["b"] + 0.4) ** 2 - abs(point["c"] - 13) / 20
    found -= 0.5 * (point["kind"] != "v") + 0.2 * point["rows"]
    return found - (1.0 if point["way"] == "here" else abs(point["way[there].y"] - 0.5))


def best(build, settings, seed, turned=1.0):
    asking, found = build(settings, MIXED, Key(seed), None), []
    while (question := asking.ask()) is not None:
        found.append(mixed(question.point))
        asking.tell(question.number, turned * found[-1])
    return max(found)


def wins(build, settings, seeds, turned=1.0):
    random = RandomSearchSettings(trials=settings.trials)
    return sum(
        best(build, settings, seed, turned) > best(RandomSearch, random, seed) for seed in seeds
    )


def test_cma_beats_random_search_and_not_with_its_answers_turned_round():
    settings = CmaSearchSettings(trials=150)
    assert wins(CmaSearch, settings, range(10)) >= 9
    assert wins(CmaSearch, settings, range(10), turned=-1.0) <= 2


def test_the_portfolio_beats_random_search_and_not_with_its_answers_turned_round():
    settings = AutoSettings(trials=40)
    assert wins(AutoSearch, settings, range(3)) == 3
    assert wins(AutoSearch, settings, range(3), turned=-1.0) <= 1


def test_they_conform_where_there_are_conditions():
    check(AutoSearch, AutoSettings(trials=10, first=4), MIXED)
    for space in (MIXED, Space({"k": Choice(values=(1, 2))})):
        check(CmaSearch, CmaSearchSettings(trials=24, population=5), space)


def test_in_a_grammar_the_portfolio_does_without_coordinates():
    """Deep is good, and it goes deeper."""

    def deeper(turned):
        searcher, found = AutoSearch(AutoSettings(trials=60), GRAMMAR, Key(0), None), []
        while (question := searcher.ask()) is not None:
            GRAMMAR.tree_of(question.point)
            found.append(len(question.point))
            searcher.tell(question.number, turned * float(found[-1]))
        return np.mean(found[-20:]) - np.mean(found[:10])

    assert deeper(1.0) > 2.0 and deeper(-1.0) < 1.0


def test_cma_waits_for_nobody_and_keeps_lengths_apart():
    searcher = CmaSearch(CmaSearchSettings(trials=100, population=8), MIXED, Key(0), None)
    asked = [searcher.ask() for _ in range(40)]
    assert None not in asked
    for question in asked[:14]:
        searcher.tell(question.number, 0.0, 0.5 if question.number % 2 else 1.0)
    assert searcher._library.generation == 0
    searcher.tell(14, 0.0, 1.0)
    assert searcher._library.generation == 1
    assert {len(pool) for pool in searcher._pools.values()} == {0, 7}


@pytest.mark.parametrize("worst", [True, False])
def test_failures_are_last_in_their_generation(worst):
    """The Gaussian goes away from where trials fail."""
    space = Space({"x": Real(low=-1.0, high=1.0), "y": Real(low=-1.0, high=1.0)})
    searcher = CmaSearch(CmaSearchSettings(trials=80, population=8), space, Key(1), None)
    while (question := searcher.ask()) is not None:
        failed = (question.point["x"] < 0.0) == worst
        searcher.tell(question.number, None if failed else 0.0)
    assert (searcher._library._mean[0] > 0.5) == worst


def test_what_is_not_reached_counts_for_nothing():
    searcher = CmaSearch(CmaSearchSettings(trials=200, population=10), MIXED, Key(0), None)
    names = searcher._axes.numbers
    for _ in range(10):
        members, library = [], searcher._library
        sigma, variance = library._sigma, np.diag(library._C).copy()
        mean, generation = library._mean.copy(), library.generation
        for _ in range(10):
            question = searcher.ask()
            members.append(question.point)
            searcher.tell(question.number, mixed(question.point))
        assert library.generation == generation + 1
        for i, name in enumerate(names[: len(searcher._axes.any)]):
            reached = np.mean([name in point for point in members])
            if reached == 0.0:
                assert library._mean[i] == mean[i]
                now = library._sigma**2 * library._C[i, i]
                assert now == pytest.approx(sigma**2 * variance[i])
                return
    raise AssertionError("every generation reached everything")


def test_the_gaussian_process_is_the_literal_one():
    random = np.random.default_rng(0)
    x, y, new = random.random((12, 3)), random.normal(size=12), random.random((5, 3))
    theta = priors(3)[0] + 0.3 * random.normal(size=5)
    lengths, height, noise = np.exp(theta[:3]), math.exp(theta[3]), math.exp(theta[4])

    def kernel(a, b):
        r = math.sqrt(5.0 * sum(((a[i] - b[i]) / lengths[i]) ** 2 for i in range(3)))
        return height * (1.0 + r + r * r / 3.0) * math.exp(-r)

    whole = np.array([[kernel(a, b) for b in x] for a in x]) + noise * np.eye(12)
    between = np.array([[kernel(a, b) for b in x] for a in new])
    mean, deviation = GaussianProcess(x, y, theta, fit=False).predict(new)
    inverse = np.linalg.inv(whole)
    np.testing.assert_allclose(covariance(x, theta), whole, atol=1e-6)
    np.testing.assert_allclose(mean, between @ inverse @ y, rtol=1e-5)
    variance = height - np.einsum("ij,jk,ik->i", between, inverse, between)
    np.testing.assert_allclose(deviation, np.sqrt(variance), rtol=1e-5)

    off = (theta - priors(3)[0]) / priors(3)[1]
    literal = 0.5 * y @ inverse @ y + 0.5 * np.linalg.slogdet(whole)[1] + 0.5 * off @ off
    value, gradient = loss(theta, x, y)
    assert value == pytest.approx(literal, rel=1e-6)
    slope = approx_fprime(theta, lambda t: loss(t, x, y)[0], 1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-3, atol=1e-4)
    fitted = GaussianProcess(x, y)
    assert loss(fitted.theta, x, y)[0] < loss(priors(3)[0], x, y)[0]


def test_the_expected_improvement_is_the_integral():
    random = np.random.default_rng(1)
    x, y = random.random((10, 2)), random.normal(size=10)
    process = GaussianProcess(x, y, fit=False)
    new = random.random((4, 2))
    for best in (-1.0, 0.5, 3.0):
        found = process.log_improvement(new, best)
        for value, mean, s in zip(found, *process.predict(new), strict=True):

            def gain(t, mean=mean, s=s, best=best):
                return (t - best) * math.exp(-0.5 * ((t - mean) / s) ** 2)

            area = quad(gain, best, max(best, mean) + 12 * s, epsabs=0.0, limit=200)[0]
            assert value == pytest.approx(math.log(area / s / math.sqrt(2 * math.pi)), abs=1e-6)
    far = process.log_improvement(new, 40.0)
    assert np.isfinite(far).all() and (far < -100).all()


@pytest.mark.parametrize(
    "space",
    [MIXED, Space({"a": Real(low=0.0, high=1.0, step=0.25), "c": Choice(values=(1, 2, 3))})],
)
def test_candidates_are_points(space):
    of, random = Candidates(space), np.random.default_rng(0)
    some = of.anywhere(20, random)
    for found in (some, of.near(some, 0.1, 30, random), of.among(some, 30, random)):
        for vector in found:
            again = space.encode(space.decode(vector))
            np.testing.assert_allclose(again, vector, atol=1e-4)


def test_the_portfolio_looks_at_one_length_and_at_failures_of_any():
    searcher = AutoSearch(AutoSettings(trials=60), MIXED, Key(0), None)
    enough = len(MIXED.nodes) + 2
    for _ in range(enough):
        searcher.tell(searcher.ask().number, None, 0.0)  # nothing came of it
    short = [searcher.ask() for _ in range(enough + 5)]
    for question in short:
        searcher.tell(question.number, mixed(question.point), 1 / 9)
    assert searcher._trusted() == 1 / 9 and len(searcher._known()) == 2 * enough + 5
    for question in short[:enough]:
        searcher.tell(question.number, -1.0, 1.0)
    assert searcher._trusted() == 1.0 and len(searcher._known()) == 2 * enough
    assert searcher.ask() is not None


def test_warping_keeps_the_order_and_puts_failures_last():
    scores = [3.0, None, -1e9, 2.999, 3.0, 0.0]
    z = warped(scores)
    assert z[1] == z[2] == z.min() and z[0] == z[4] == z.max()
    assert z[0] > z[3] > z[5] > z[2]
    assert abs(z.mean()) < 1e-12 and z.std() == pytest.approx(1.0)
    assert not warped([1.0, 1.0, None]).any()
