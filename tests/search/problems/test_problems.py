"""Problems: the contract, known optima, the observation filter, and episodes."""

import math

import gymnasium
import numpy as np
import pytest

from veldt.platform import plugins
from veldt.platform.errors import (
    BrokenContract,
    EnvironmentFault,
    SettingsError,
    UnknownName,
    UnsupportedSpace,
)
from veldt.platform.keys import Key
from veldt.search.problems import learning_rate, lqr
from veldt.search.problems.catalogue import PROBLEMS
from veldt.search.problems.conformance import check
from veldt.search.problems.episodes import Episodes, EpisodesSettings
from veldt.search.problems.function import FUNCTIONS, Function, FunctionSettings
from veldt.search.problems.observation_filter import FilterSettings, ObservationFilter
from veldt.search.problems.problem import Members, Score, Scores

CARTPOLE = {"environment": {"id": "CartPole-v1"}, "policy": {"name": "linear"}}
LIFE = {"environment": {"id": "family/direction"}, "updates": 2, "hidden": [4], "buffer": 64}
CART = LIFE | {"environment": {"id": "CartPole-v1"}, "final_episodes": 1}
LIVES = {"life": LIFE, "tasks": 2, "test_block": 3, "loss": {"memory": 2}}
SHORT = {"updates": 1, "hidden": [4], "buffer": 64, "final_episodes": 1}
SEVERAL = {
    "life": SHORT,
    "tasks": 1,
    "test_block": 3,
    "environments": [
        {"id": "CartPole-v1", "low": 10.0, "high": 500.0},
        {"id": "Pendulum-v1", "low": -2000.0, "high": 0.0},
    ],
}
HOPPER = {"environment": {"id": "Hopper-v5"}, "policy": {"name": "linear"}, "horizon": 60}


def build(kind, seed=0, **settings):
    problem = plugins.load("problems", kind, PROBLEMS)
    return problem(problem.Settings.parse({"kind": kind} | settings), Key(seed))


def evaluate(problem, candidate, seed=0):
    key = Key(seed).child("member")
    members = Members(range(1), lambda number: candidate, lambda number: key)
    return problem.evaluate(members, lambda: None)[0]


def merge(problem, scores):
    statistics = sum(
        (score.statistics for score in scores if score.statistics is not None),
        np.zeros(problem.statistics_size, np.int64),
    )
    fitness = np.array([score.fitness for score in scores])
    problem.merge(Scores(fitness, 0, statistics, np.zeros((len(scores), 0))))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("function", {"name": "rosenbrock", "noise": 0.1, "rotated": True}),
        ("lqr", {"horizon": 20}),
        ("learning-rate", {}),
        ("lives", LIVES),
        ("lives", LIVES | {"loss": {"kind": "drift", "units": 3}, "life": CART}),
        ("lives", LIVES | {"loss": {"kind": "v-trace"}, "life": CART}),
        ("lives", SEVERAL | {"loss": {"kind": "drift", "units": 3}}),
        (
            "lives",
            LIVES
            | {"bootstrap": 2, "initialisation": True, "block": 3}
            | {"life": LIFE | {"stretches": 2}},
        ),
        ("episodes", CARTPOLE | {"horizon": 40, "episodes": 2}),
        ("episodes", HOPPER | {"action_noise": 0.1, "filter": {"sampling": 0.5}}),
        ("episodes", HOPPER | {"bins": 5, "cap": {"start": 10}, "policy": {"name": "mlp"}}),
        ("episodes", HOPPER | {"filter": {"clip": 5.0, "floor": 0.1}, "clip_actions": True}),
    ],
)
def test_the_contract(kind, settings):
    problem = plugins.load("problems", kind, PROBLEMS)
    check(problem, problem.Settings.parse({"kind": kind} | settings))


def test_the_fitness_of_lives_in_several_environments_is_the_mean_of_their_worth():
    knobs = {"loss": {"kind": "v-trace"}}
    both = evaluate(build("lives", **SEVERAL | knobs), np.zeros(9))
    worths, steps = [], 0
    for place in SEVERAL["environments"]:
        one = {"life": SHORT | {"environment": {"id": place["id"]}}, "tasks": 1}
        score = evaluate(build("lives", **one | knobs), np.zeros(9))
        worths.append((score.fitness - place["low"]) / (place["high"] - place["low"]))
        steps += score.steps
    assert both.fitness == pytest.approx(np.mean(worths)) and both.steps == steps
    with pytest.raises(SettingsError, match="environments: epg is a loss for one environment"):
        build("lives", **SEVERAL)
    with pytest.raises(SettingsError, match="high is 0, which is not above low"):
        build("lives", **SEVERAL | {"environments": [{"id": "x", "low": 1, "high": 0}]})


class Counting(Function):
    def _score(self, x, key):
        self.calls = getattr(self, "calls", 0) + 1
        return Score(float(self.calls), 1)


class Deaf(Function):
    def evaluate(self, members, tick):
        try:
            tick()
        except Exception:
            pass
        return [Score(0.0) for _ in members.numbers]


@pytest.mark.parametrize(
    ("broken", "words"), [(Counting, "arguments and the state alone"), (Deaf, "must end")]
)
def test_the_conformance_suite_finds_faults(broken, words):
    with pytest.raises(BrokenContract, match=words):
        check(broken, FunctionSettings())


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("rotated", [False, True])
def test_functions_have_their_minimum_where_they_say(name, rotated):
    problem = build("function", name=name, rotated=rotated, dimensions=4)
    optimum = np.full(4, float(name == "rosenbrock"))
    assert problem.value(optimum) == pytest.approx(0.0, abs=1e-12)
    generator = np.random.default_rng(0)
    for scale in (1e-3, 0.1, 1.0):
        assert problem.value(optimum + scale * generator.normal(size=4)) > 0.0
    noisy = build("function", name=name, noise=1.0, dimensions=4)
    assert evaluate(noisy, optimum, 1).fitness != evaluate(noisy, optimum, 2).fitness
    assert noisy.test(optimum, [Key(0)], lambda: None)[0].fitness == pytest.approx(0.0, abs=1e-12)


def test_a_rotation_keeps_the_sphere_and_turns_the_ellipsoid():
    x = np.arange(1.0, 5.0)
    sphere = build("function", dimensions=4, rotated=True)
    assert sphere.value(x) == pytest.approx(float(x @ x))
    plain, turned = (
        build("function", name="ellipsoid", dimensions=4, rotated=r) for r in (False, True)
    )
    assert plain.value(x) == pytest.approx(sum(10 ** (6 * i / 3) * (i + 1) ** 2 for i in range(4)))
    assert turned.value(x) != pytest.approx(plain.value(x))


def test_the_riccati_gain_is_the_best_there_is():
    gain = lqr.optimal_gain()
    best = lqr.stationary_cost(gain)
    generator = np.random.default_rng(0)
    for _ in range(50):
        other = gain + 0.02 * generator.normal(size=(3, 3))
        assert lqr.stationary_cost(other) > best
    assert lqr.stationary_cost(np.zeros((3, 3))) == math.inf
    problem = build("lqr", horizon=4000)
    costs = [
        -problem.test(gain.ravel(), [Key(seed)], lambda: None)[0].fitness for seed in range(20)
    ]
    assert np.mean(costs) == pytest.approx(best, abs=4 * np.std(costs) / 20**0.5)
    assert math.isnan(problem.test(np.full(9, 3.0), [Key(0)], lambda: None)[0].fitness)


def test_the_gradient_of_the_learning_rates_loss():
    generator = np.random.default_rng(0)
    for _ in range(50):
        x, step = generator.normal(size=2) * [1.0, 5.0], 1e-6
        slopes = [
            (learning_rate.loss(x + step * e) - learning_rate.loss(x - step * e)) / (2 * step)
            for e in np.eye(2)
        ]
        np.testing.assert_allclose(learning_rate.gradient(x), slopes, atol=1e-5)


def test_stretches_of_a_life_add_up_to_the_whole():
    problem = build("learning-rate", unrolls=4, unroll=5)
    theta, fitness = np.array([-3.0, -4.0]), []
    for _ in range(4):
        score = evaluate(problem, theta)
        fitness.append(score.fitness)
        problem.merge(
            Scores(np.array([score.fitness]), 5, np.zeros(0, np.int64), score.carry[None])
        )
    whole = problem.test(theta, [Key(0)], lambda: None)[0].fitness
    assert np.mean(fitness) == pytest.approx(whole, rel=1e-12)
    assert evaluate(problem, theta).fitness == fitness[0]  # born again


def test_the_filter_is_the_mean_and_deviation_of_all_that_was_seen():
    generator = np.random.default_rng(0)
    episodes = [
        generator.normal([0.0, 1e5, -1e-3, 5.0], [1.0, 3.0, 1e-3, 0.0], (length, 4))
        for length in (7, 300, 1, 1000)
    ]
    whole = np.concatenate(episodes)
    one, other = (ObservationFilter(FilterSettings(), 4) for _ in range(2))
    for episode in episodes:
        one.merge(one.statistics(episode))
    other.merge(sum(other.statistics(episode) for episode in reversed(episodes)))
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.scale, other.scale)
    np.testing.assert_allclose(one.mean, whole.mean(0), atol=1e-9)
    expected = 1.0 / (whole.std(0, ddof=1)[:3] + 1e-8)
    np.testing.assert_allclose(one.scale[:3], expected, rtol=1e-5)
    assert one.scale[3] == 0.0  # a constant is not blown up
    restored = ObservationFilter(FilterSettings(), 4)
    restored.restore(one.state())
    np.testing.assert_array_equal(restored.scale, one.scale)


def test_the_filter_does_not_overflow():
    found = ObservationFilter(FilterSettings(), 1)
    huge = found.statistics(np.full((1000, 1), 1e12))
    for _ in range(100):
        found.merge(huge * 2**14)  # as many episodes in each generation
    assert np.isfinite([found.mean, found.scale]).all()
    restored = ObservationFilter(FilterSettings(), 1)
    restored.restore(found.state())
    np.testing.assert_array_equal(restored.mean, found.mean)


def test_an_episode_is_gymnasiums_own():
    generator = np.random.default_rng(0)
    for settings, discrete in ((CARTPOLE, True), (HOPPER, False)):
        problem = build("episodes", **settings)
        candidate = generator.normal(size=len(problem.start))
        score = evaluate(problem, candidate)
        environment = gymnasium.make(settings["environment"]["id"])
        problem._policy.load(candidate, problem._filter.mean, problem._filter.scale)
        seed = Key(0).child("member").child("episode", 0).integer()
        observation, _ = environment.reset(seed=seed)
        total, steps, over = 0.0, 0, False
        while not over and steps < settings.get("horizon", 500):
            action = problem._policy.act(np.asarray(observation, float))
            observation, reward, terminated, truncated, _ = environment.step(
                int(action.argmax()) if discrete else action
            )
            total, steps, over = total + float(reward), steps + 1, terminated or truncated
        assert (score.fitness, score.steps) == (total, steps)


def test_shift_horizon_and_episodes_are_trainings_alone():
    candidate = np.random.default_rng(0).normal(size=33)
    plain = build("episodes", **HOPPER)
    shifted = build("episodes", **HOPPER, shift=1.0)
    one, other = evaluate(plain, candidate), evaluate(shifted, candidate)
    assert other.fitness == pytest.approx(one.fitness - one.steps)
    test = [p.test(candidate, [Key(1)], lambda: None)[0] for p in (plain, shifted)]
    assert test[0] == test[1]
    cut = build("episodes", **(HOPPER | {"horizon": 5}))
    assert evaluate(cut, candidate).steps == 5
    assert cut.test(candidate, [Key(1)], lambda: None)[0].steps == test[0].steps > 5
    three = evaluate(build("episodes", **HOPPER, episodes=3), candidate)
    assert three.steps > one.steps
    assert three.statistics[1] == three.steps  # the filter counts every step


def test_the_filter_is_frozen_inside_a_generation_and_tests_leave_no_trace():
    problem = build("episodes", **HOPPER)
    candidate = np.random.default_rng(0).normal(size=33)
    before = evaluate(problem, candidate)
    for seed in range(3):
        evaluate(problem, candidate, seed)
        problem.test(candidate, [Key(seed)], lambda: None)[0]
    assert evaluate(problem, candidate).fitness == before.fitness
    merge(problem, [before])
    assert evaluate(problem, candidate).fitness != before.fitness
    mean = problem.policy(candidate)["filter.mean"]
    assert mean.shape == (11,)
    assert mean.any()


def test_the_cap_grows_when_episodes_reach_it():
    problem = build("episodes", **CARTPOLE, cap={"start": 4, "fraction": 0.5, "ratio": 2.0})
    scores = [evaluate(problem, np.zeros(8), seed) for seed in range(4)]
    assert [score.steps for score in scores] == [4] * 4
    merge(problem, scores)
    assert evaluate(problem, np.zeros(8)).steps == 8
    merge(problem, [Score(0.0, 1, np.zeros(problem.statistics_size, np.int64))] * 4)
    assert evaluate(problem, np.zeros(8)).steps == 8


def test_bins_choose_among_values_between_the_bounds():
    problem = build("episodes", **HOPPER, bins=3)
    assert len(problem.start) == 3 * 3 * 11
    candidate = np.random.default_rng(0).normal(size=99)
    problem._policy.load(candidate, np.zeros(11), np.ones(11))
    act = problem._action(0.0, Key(0))
    chosen = np.array([act(x) for x in np.random.default_rng(1).normal(size=(50, 12))])
    assert set(np.unique(chosen)) == {-1.0, 0.0, 1.0}


def test_a_policy_that_is_not_finite_has_failed():
    problem = build("episodes", **CARTPOLE)
    candidate = np.zeros(8)
    candidate[3] = math.nan
    assert math.isnan(evaluate(problem, candidate).fitness)
    assert math.isnan(problem.test(candidate, [Key(0)], lambda: None)[0].fitness)


def test_environments_that_misbehave(monkeypatch):
    import pathlib

    monkeypatch.syspath_prepend(str(pathlib.Path(__file__).parents[2] / "faulty"))
    settings = {"policy": {"name": "linear"}, "horizon": 10, "episodes": 2}
    name = "faulty_environments:NaNReward-v0"
    problem = build("episodes", environment={"id": name}, **settings)
    assert math.isnan(evaluate(problem, problem.start).fitness)
    name = "faulty_environments:NaNObservation-v0"
    problem = build("episodes", environment={"id": name}, **settings)
    assert math.isnan(evaluate(problem, problem.start).fitness)
    problem = build("episodes", **CARTPOLE)
    monkeypatch.setattr(problem._single, "step", lambda action, seen: 1 / 0)
    with pytest.raises(EnvironmentFault, match=r"CartPole-v1, seed \d+: ZeroDivisionError"):
        evaluate(problem, problem.start)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"environment": {"id": "CartPoll-v1"}}, UnknownName, "Did you mean 'CartPole-v1'"),
        ({"policy": {"name": "liner"}}, UnknownName, "Did you mean 'linear'"),
        ({"policy": {}}, SettingsError, "policy.name: this setting is required"),
        ({"environment": {"id": "ALE/Pong-v5"}}, UnsupportedSpace, "observations are images"),
        ({"bins": 3}, SettingsError, "for continuous actions"),
        ({"action_noise": 0.1}, SettingsError, "for continuous actions"),
        ({"policy": {"name": "mlp", "hidden": [0]}}, SettingsError, "1 to 65,536 units"),
        ({"environment": {"id": "CartPole-v1", "options": {"x": 1}}}, SettingsError, "options"),
        ({"environment": {"id": "Taxi-v4"}, "horizn": 3}, SettingsError, "Did you mean 'horizon'"),
    ],
)
def test_wrong_input_is_refused(changes, error, words):
    with pytest.raises(error, match=words):
        build("episodes", **(CARTPOLE | changes))


def test_an_environment_without_a_limit_needs_a_horizon(monkeypatch):
    environment = gymnasium.envs.registration.EnvSpec
    gymnasium.register("Endless-v0", "gymnasium.envs.classic_control:CartPoleEnv")
    try:
        with pytest.raises(SettingsError, match="horizon: Endless-v0 has no time limit"):
            build("episodes", environment={"id": "Endless-v0"}, policy={"name": "linear"})
    finally:
        del gymnasium.registry["Endless-v0"]
    assert environment


def test_settings_come_back_from_their_dump():
    settings = EpisodesSettings.parse({"kind": "episodes"} | HOPPER)
    assert EpisodesSettings.parse(settings.dump()) == settings
    assert Episodes.Settings is EpisodesSettings
