"""Atari as a problem of flat vectors: the contract, and what a score is made of."""

import math

import numpy as np
import pytest

from veldt.agents.evaluate import load_run
from veldt.agents.flat_network import export
from veldt.agents.settings import TrainSettings
from veldt.platform.envs.atari import AtariVector
from veldt.platform.errors import SettingsError, UnknownName
from veldt.platform.keys import Key
from veldt.search.problems import atari
from veldt.search.problems.atari import AtariProblem, AtariSettings
from veldt.search.problems.conformance import check
from veldt.search.problems.problem import Members
from veldt.search.strategies.openai_es import OpenAIES, OpenAIESSettings

SMALL = {"game": "freeway", "cap": 12, "test_cap": 12, "reference": 8}


@pytest.fixture
def build():
    made = []

    def make(seed=0, **settings):
        made.append(AtariProblem(AtariSettings.parse(SMALL | settings), Key(seed)))
        return made[-1]

    yield make
    for problem in made:
        problem.close()


def evaluate(problem, candidate, seed=0, tick=lambda: None):
    members = Members(range(1), lambda number: candidate, lambda number: Key(seed))
    return problem.evaluate(members, tick)[0]


def always(problem, action):
    """Parameters that choose one action whatever they see."""
    candidate = problem.start.copy()
    actions = problem._vector(problem.episodes).spec.actions.count
    candidate[-actions:] = 1000.0 * (np.arange(actions) == action)
    return candidate


def test_the_contract():
    short = SMALL | {"game": "pong", "cap": 4, "test_cap": 4}
    check(AtariProblem, AtariSettings.parse(short), spread=0.02, generations=1)


def test_a_score_is_the_mean_of_what_the_games_gave(build):
    problem = build(cap=200, episodes=2)
    score = evaluate(problem, always(problem, 1), seed=3)
    totals, vector = np.zeros(2), AtariVector("atari/freeway", 2)
    vector.reset(Key(3))
    for _ in range(200):
        totals += vector.step(np.array([1, 1])).reward
    vector.close()
    assert (score.fitness, score.steps) == (totals.mean(), 400)
    assert totals.min() >= 1.0
    test, again = (problem.test(always(problem, 1), [Key(4)], lambda: None)[0] for _ in range(2))
    assert test == again  # one game, however many a member plays
    assert test.steps == 12


def test_games_end_by_themselves_and_count_once(build):
    problem = build(cap=100, episodes=2, options={"max_frames": 240})
    score = evaluate(problem, always(problem, 1))
    assert score.steps == 2 * 60  # though the vector plays on
    cut = build(cap=40, episodes=2)
    assert evaluate(cut, always(cut, 1)).steps == 2 * 40


def test_the_reference_is_the_keys(build):
    one, same, other = build(), build(), build(1)
    np.testing.assert_array_equal(one._network._reference, same._network._reference)
    assert not np.array_equal(one._network._reference, other._network._reference)
    assert len({image.numpy().tobytes() for image in one._network._reference}) == 8


def test_it_ticks_at_every_step_and_while_it_loads(build):
    problem, ticks = build(reference=20), []
    evaluate(problem, problem.start, tick=lambda: ticks.append(1))
    assert len(ticks) == 3 * 3 + 12
    ticks.clear()
    evaluate(problem, problem.start, tick=lambda: ticks.append(1))
    assert len(ticks) == 12  # already loaded


def test_a_policy_that_is_not_finite_has_failed(build):
    problem = build()
    for wrong in (math.nan, 1e200):
        candidate = problem.start.copy()
        candidate[5] = wrong
        for score in (evaluate(problem, candidate), problem.test(candidate, [Key(0)], print)[0]):
            assert math.isnan(score.fitness)
    assert evaluate(problem, problem.start).steps == 12


def test_its_policy_is_an_agents(build, tmp_path):
    problem = build()
    settings = TrainSettings.parse({"environment": {"id": "atari/freeway"}, "frames": 1000})
    export(problem.policy(always(problem, 1)), settings, tmp_path / "run")
    agent, _, _ = load_run(tmp_path / "run")
    assert agent.network.policy.bias.argmax() == 1


def test_a_film_is_what_the_policy_sees(build):
    problem = build()
    frames, rate = problem.film(problem.start, Key(0))
    pictures = list(frames)
    assert len(pictures) == 12
    assert pictures[0].shape == (336, 336, 3)
    assert pictures[0].dtype == np.uint8
    assert rate == 15.0


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"game": "freewya"}, UnknownName, "Did you mean 'atari/freeway'"),
        ({"options": {"stickiness": 1}}, SettingsError, "stickiness"),
        ({"cpa": 3}, SettingsError, "Did you mean 'cap'"),
    ],
)
def test_wrong_input_is_refused(build, settings, error, words):
    with pytest.raises(error, match=words):
        build(**settings)


def learn(problem, score, generations=3):
    """The centre's score after some generations that are scored by `score`."""
    settings = OpenAIESSettings.parse(
        {"pairs": 6, "sigma": 0.02, "optimizer": {"name": "adam", "learning_rate": 0.02}}
    )
    strategy = OpenAIES(settings, problem.start, Key(1))
    for _ in range(generations):
        population = strategy.ask()
        strategy.tell(np.array([score(population.candidate(m)) for m in range(population.size)]))
    return score(strategy.centre)


def ups(problem, seen):
    """How much more a candidate likes to go up than anything else, averaged over images."""

    def score(candidate):
        problem._load(candidate, lambda: None)
        logits = problem._network.logits(seen)
        return float((logits[:, 1] - logits[:, [0, 2]].max(1)).mean())

    return score


def test_evolution_moves_the_network_where_it_should(build):
    problem = build()
    seen = problem._network._reference.numpy()
    score = ups(problem, seen)
    before = score(problem.start)
    assert learn(problem, score) > before + 0.5
    assert learn(problem, lambda candidate: -score(candidate)) > 0.5 - before  # the other way


def test_it_is_listed():
    assert atari.AtariProblem.Settings is AtariSettings
    settings = AtariSettings.parse(SMALL | {"options": {"sticky": 0.25}})
    assert AtariSettings.parse(settings.dump()) == settings
