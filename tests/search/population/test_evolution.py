"""A population search in one process: what travels, what is chosen, and going on exactly."""

import math

import numpy as np
import pytest

from veldt.platform import checkpoints, plugins
from veldt.platform.errors import InputError, Interrupted, RunFailed, SettingsError
from veldt.platform.ranks import OneRank
from veldt.platform.records import read
from veldt.search.population.evolution import Evolution
from veldt.search.population.run import search
from veldt.search.population.settings import PopulationSettings
from veldt.search.population.team import (
    Alone,
    assemble,
    encode,
    pack,
    packed_size,
    unpack,
)
from veldt.search.problems.problem import Score

ARS = {"method": "ars", "directions": 4, "top": 2, "step_size": 0.2, "noise": 0.1}

CARTPOLE = {"environment": {"id": "CartPole-v1"}, "policy": {"name": "linear"}}


@pytest.fixture(autouse=True)
def rough(monkeypatch):
    """The problem of tests/faulty, as if it were installed."""
    known = plugins.known
    monkeypatch.syspath_prepend(str(__import__("pathlib").Path(__file__).parents[2] / "faulty"))
    monkeypatch.setattr(
        plugins,
        "known",
        lambda kind, builtin: (
            known(kind, builtin)
            | ({"rough": "faulty_problems:Rough"} if kind == "problems" else {})
        ),
    )


def settings(**changes):
    problem = {"kind": "rough"} | changes.pop("problem", {})
    data = {"strategy": ARS, "problem": problem, "generations": 9}
    return PopulationSettings.parse(
        data | {"evaluation": {"episodes": 5, "every": 3, "threshold": -20.0}} | changes
    )


def turns(evolution, count=10**9):
    team = Alone(lambda: False)
    events = []
    while not evolution.done and len(events) < count:
        events.append(evolution.apply(team.score(evolution.turn(), lambda: None)))
    return events


def test_generations_evaluations_and_a_last_one_on_fresh_episodes():
    evolution = Evolution(settings())
    events = turns(evolution)
    kinds = [event["kind"][0] for event in events]
    assert "".join(kinds) == "mmme" * 3 + "f"
    evaluations = [event for event in events if event["kind"] == "evaluation"]
    best = max(evaluations, key=lambda event: event["mean_return"])
    counters = evolution.counters
    assert counters.chosen_generation == best["generation"]
    assert counters.best_score == best["mean_return"]
    first = next(event for event in evaluations if event["mean_return"] >= -20.0)
    assert counters.episodes_to_threshold == first["episodes"] == 8 * first["generation"]
    assert evolution.final["returns"] != best["returns"]  # other episodes
    assert abs(evolution.final["mean_return"] - best["mean_return"]) < 0.05  # of the same centre


def test_with_common_random_numbers_members_differ_by_their_parameters_alone():
    """Twins score alike, in each generation on other seeds; by default they do not."""
    # At the first centre, zero, all actions are worth the same, and the sign of any step decides.
    twins = {"strategy": ARS | {"noise": 1e-300}, "problem": {"kind": "episodes"} | CARTPOLE}
    apart, together = (
        [
            event["fitness_deviation"]
            for event in turns(Evolution(settings(**twins, common_random_numbers=common)), 3)[1:]
        ]
        for common in (False, True)
    )
    assert min(apart) > 0 and max(together) == 0
    evolution = Evolution(settings(**twins, common_random_numbers=True))
    means = {event["mean_fitness"] for event in turns(evolution, 3)}
    assert len(means) == 3


def test_a_shuffled_generation_is_dealt_out_anew_among_all_its_members():
    """A block of this problem is one member."""
    told = {}
    for shuffled in (False, True):
        evolution = Evolution(settings(shuffled=shuffled))
        tell = evolution.strategy.tell
        told[shuffled] = []
        evolution.strategy.tell = lambda scores, share, t=told[shuffled], f=tell: (
            t.append(scores) or f(scores, share)
        )
        turns(evolution, 1)
    plain, dealt = told[False][0], told[True][0]
    assert sorted(dealt) == sorted(plain) and dealt.tolist() != plain.tolist()
    assert evolution.problem.block < len(plain)


def test_nothing_chooses_where_fitness_is_shuffled():
    """Else the best of many centres would be taken, which evaluations found, and not chance."""
    evolution = Evolution(settings(shuffled=True, evaluation={"episodes": 5, "every": 1}))
    events = turns(evolution)
    means = [event["mean_return"] for event in events if event["kind"] == "evaluation"]
    assert len(means) == 9 and means.index(max(means)) != 8
    assert evolution.counters.chosen_generation == 9
    assert (evolution.chosen["centre"] == evolution.strategy.centre).all()


def test_it_goes_on_exactly_from_any_turn():
    whole = Evolution(settings())
    events = turns(whole)
    for cut in range(len(events) + 1):
        first, second = Evolution(settings()), Evolution(settings())
        turns(first, cut)
        second.restore(*checkpoints.unpack(checkpoints.pack(*first.state())))
        assert second.fingerprint() == first.fingerprint()
        turns(second)
        assert second.fingerprint() == whole.fingerprint(), cut


def test_the_order_of_the_tasks_does_not_matter():
    evolution, other = Evolution(settings()), Evolution(settings())
    turns(evolution)
    while not other.done:
        turn = other.turn()
        results = {
            task: encode(turn, turn.run(turn.members(task), lambda: None))
            for task in reversed(range(turn.tasks))
        }
        other.apply(assemble(turn, [results[task] for task in range(turn.tasks)]))
    assert other.fingerprint() == evolution.fingerprint()


def test_scores_survive_their_journey():
    turn = Evolution(settings()).turn()
    rows = [
        Score(math.nan, 2**32 - 1, np.array([-(2**62), 5]), np.array([math.pi])),
        *(Score(-1e300 * i, i, None, None) for i in range(1, turn.size)),
    ]
    scores = assemble(turn, [encode(turn, [row]) for row in rows])
    again = unpack(turn, pack(scores))
    assert len(pack(scores)) == packed_size(turn)
    for found in (scores, again):
        np.testing.assert_array_equal(found.fitness, [row.fitness for row in rows])
        assert found.steps == sum(row.steps for row in rows)
        assert found.statistics.tolist() == [-(2**62), 5]
        assert found.carry[:, 0].tolist() == [math.pi] + [0.0] * (turn.size - 1)


def test_a_failed_evaluation_is_counted_and_never_the_best():
    evolution = Evolution(settings(problem={"fault": "nan"}))
    events = [event for event in turns(evolution) if event["kind"] == "metrics"]
    assert [event["failed"] for event in events] == [0, 0] + [1] * 7
    assert evolution.counters.failed == 7
    assert np.isfinite(evolution.strategy.centre).all()


def test_what_raises_ends_the_search_with_its_key_or_counts_as_failed():
    with pytest.raises(
        RunFailed, match=r"generation 2, member 3 \(seed 0, key [\d/]+\)"
    ) as caught:
        turns(Evolution(settings(problem={"fault": "raises"})))
    assert "ArithmeticError: member 3 is unwell" in str(caught.value)
    forgiving = Evolution(settings(problem={"fault": "raises"}, errors="fail"))
    turns(forgiving)
    assert forgiving.counters.failed == 7


def test_budgets_and_the_threshold_end_it():
    def generations(**changes):
        evolution = Evolution(settings(**changes))
        turns(evolution)
        return evolution.counters

    assert generations(generations=100, episodes=17).episodes == 24  # whole generations
    counters = generations(generations=100, steps=2000)
    assert 2000 <= counters.steps < 2000 + 8 * 200
    stop = {"episodes": 5, "every": 1, "threshold": -20.0, "stop_at_threshold": True}
    counters = generations(generations=100, evaluation=stop)
    assert counters.episodes == counters.episodes_to_threshold < 800
    with pytest.raises(SettingsError, match="give a budget"):
        settings(generations=None)


def test_stopped_it_saves_and_resumed_it_ends_the_same(tmp_path):
    whole = search(settings(), tmp_path / "whole", OneRank())
    for asked in (0, 7, 40):
        counts = iter(range(10**9))
        folder = tmp_path / f"stopped-{asked}"
        with pytest.raises(Interrupted, match="--resume"):
            search(settings(), folder, OneRank(), stop=lambda n=asked, c=counts: next(c) >= n)
        summary = search(settings(), folder, OneRank(), resume=True)
        for name in ("fingerprint", "best_score", "evaluation_mean_return", "episodes", "steps"):
            assert summary[name] == whole[name]
        lines, expected = read(folder), read(tmp_path / "whole")
        assert [(x["kind"], x["update"]) for x in lines] == [
            (x["kind"], x["update"]) for x in expected
        ]
    again = search(settings(), folder, OneRank(), resume=True)
    assert again == summary  # over is over


def test_a_checkpoint_of_another_problem_is_refused(tmp_path):
    search(settings(), tmp_path / "run", OneRank())
    other = settings(problem={"dimensions": 7})
    with pytest.raises(InputError, match=r"problem.dimensions: 6 -> 7"):
        search(other, tmp_path / "run", OneRank(), resume=True)
    arrays, plain = Evolution(settings()).state()
    with pytest.raises(InputError, match="7"):
        Evolution(other).restore(arrays, plain)
    with pytest.raises(InputError, match="another strategy or problem"):
        Evolution(settings()).restore({}, plain)
