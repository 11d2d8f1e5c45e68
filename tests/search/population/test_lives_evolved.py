"""Losses that are evolved by the lives of agents: in stretches, and whether it brings anything."""

import literal_strategies as literal
import numpy as np
import pytest
import torch

from veldt.agents.lives.life import Lives, blend_of
from veldt.agents.lives.vtrace_loss import VTraceLoss
from veldt.platform.errors import InputError
from veldt.search.population.evolution import Evolution
from veldt.search.population.settings import PopulationSettings
from veldt.search.population.team import Alone
from veldt.search.strategies import gradient_es

LIFE = {
    "environment": {"id": "family/direction", "options": {"half": "right"}},
    "hidden": [4],
    "updates": 4,
    "steps": 16,
    "minibatch": 16,
    "buffer": 32,
    "final_episodes": 1,
}


def stretched(method, unrolls, stretches):
    strategy = {"method": method, "unrolls": unrolls, "pairs": 2, "sigma": 0.3, "shaping": "raw"}
    strategy["optimizer"] = {"name": "sgd", "learning_rate": 1e-3}
    life = LIFE | {"stretches": stretches}
    problem = {"kind": "lives", "life": life, "loss": {"kind": "v-trace"}, "tasks": 2}
    data = {"strategy": strategy, "problem": problem, "generations": 100}
    return PopulationSettings.parse(data | {"evaluation": {"every": 100}})


def lived_alone(problem, candidate, key, number, carry):
    """One stretch of one member's lives: its fitness, and what they take along."""
    place = problem._places[0]
    numbers = torch.from_numpy(candidate).float().expand(2, -1)
    blend = blend_of(VTraceLoss(place.anatomy), numbers, lambda rows: {"numbers": rows})
    keys = [key.child("life", task) for task in range(2)]
    outcome, carry = Lives(place.life, place.anatomy).stretch(keys, blend, number, carry)
    return outcome.returns.mean(), carry


@pytest.mark.parametrize("method", ["persistent-es", "noise-reuse-es"])
def test_stretches_of_lives_are_credited_as_the_papers_have_it(method):
    """arXiv:2112.13835, algorithm 2 and arXiv:2304.12180, algorithm 2, life by life."""
    evolution = Evolution(stretched(method, 2, 2))
    strategy, seen, carried = evolution.strategy, [], [None] * 4
    step_of = strategy._ascent.step
    strategy._ascent.step = lambda gradient: seen.append(gradient) or step_of(gradient)
    for generation in range(4):
        number, population = generation % 2, strategy.ask()
        candidates = [population.candidate(member) for member in range(4)]
        if number == 0 or method == "noise-reuse-es":
            since_birth = [[], []]
        for k in range(2):
            since_birth[k].append((candidates[2 * k] - strategy.centre) / 0.3)
        fitness = []
        for member in range(4):
            key = evolution._key.child("member", generation - number, member)
            before = carried[member] if number else None
            value, carried[member] = lived_alone(
                evolution.problem, candidates[member], key, number, before
            )
            fitness.append(value)
        expected = literal.persistent_es_gradient(since_birth, fitness[::2], fitness[1::2])
        evolution.apply(Alone(lambda: False).score(evolution.turn(), lambda: None))
        np.testing.assert_allclose(seen[-1], expected, rtol=1e-3, atol=1e-4)
        assert max(map(abs, expected)) > 0.01


def test_a_strategy_of_stretches_has_to_know_how_many_there_are():
    with pytest.raises(InputError, match=r"takes 1 generation.*problem\.life\.stretches"):
        Evolution(stretched("persistent-es", 2, 1))


def evolved(generations=16, **more):
    """What agents come to, on 80 tasks to the right, by a small loss that was evolved there."""
    life = LIFE | {"hidden": [], "steps": 50, "minibatch": 25, "buffer": 50}
    data = {
        "strategy": {
            "method": "openai-es",
            "pairs": 8,
            "sigma": 0.3,
            "optimizer": {"name": "adam", "learning_rate": 0.2},
        },
        "problem": {
            "kind": "lives",
            "life": life | {"learning_rate": 0.1},
            "loss": {"kind": "epg", "context": 0, "units": 4, "memory": 0},
            **{"tasks": 2, "block": 16, "test_block": 80},
        },
        "common_random_numbers": True,
        "evaluation": {"every": 1000, "episodes": 80},
    }
    evolution = Evolution(
        PopulationSettings.parse(data | {"generations": generations, "seed": 1} | more)
    )
    while not evolution.done:
        evolution.apply(Alone(lambda: False).score(evolution.turn(), lambda: None))
    return np.array(evolution.final["returns"])


def test_evolving_a_loss_brings_something_and_with_shuffled_fitness_nothing():
    """An agent that does not learn gets 0 in the mean, and the best there is about 85."""
    right = evolved()
    assert right.mean() > 15.0
    assert (right - evolved(shuffled=True)).mean() > 20.0


def test_with_the_sign_of_the_update_turned_round_it_brings_the_opposite(monkeypatch):
    summed = gradient_es.weighted_sum
    monkeypatch.setattr(
        gradient_es, "weighted_sum", lambda weights, *rest: summed(-weights, *rest)
    )
    assert evolved(generations=8).mean() < -10.0
