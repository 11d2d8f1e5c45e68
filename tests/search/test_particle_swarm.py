"""Particle swarm: the formula, what a particle remembers, and that it searches."""

import dataclasses

import literal_swarm
import numpy as np
import pytest

from veldt.platform.keys import Key
from veldt.search import particle_swarm
from veldt.search.conformance import check
from veldt.search.particle_swarm import ParticleSwarm, ParticleSwarmSettings
from veldt.search.random_search import RandomSearch, RandomSearchSettings
from veldt.search.space.notation import Choice, Integer, Real
from veldt.search.space.space import Space

PLANE = Space({f"x{i}": Real(low=-1.0, high=1.0) for i in range(5)})


def sphere(point):
    return -sum((value - 0.6) ** 2 for value in point.values())


def swarm(seed=0, space=PLANE, start=None, **settings):
    return ParticleSwarm(ParticleSwarmSettings(**settings), space, Key(seed), start)


def asked(searcher, score):
    """Points and scores, each question answered before the next."""
    found = []
    while (question := searcher.ask()) is not None:
        found.append((question.point, score(question.point)))
        searcher.tell(question.number, found[-1][1])
    assert searcher.done
    return found


@pytest.mark.parametrize("velocity", [1.0, 40.0])
def test_places_are_the_literal_ones(velocity):
    """With velocities that throw particles many times from side to side too."""
    searcher = swarm(trials=120, particles=4)
    for particle in searcher._swarm:
        particle.velocity = particle.velocity * velocity

    def draws(particle, move):
        random = Key(0).child("move", particle, move).generator()
        return random.random(5), random.random(5)

    places = [particle.place.tolist() for particle in searcher._swarm]
    velocities = [particle.velocity.tolist() for particle in searcher._swarm]
    score = lambda place: sphere(PLANE.decode(np.array(place)))  # noqa: E731
    constants = (0.7298, 1.49618, 1.49618)
    expected = literal_swarm.swarm(places, velocities, draws, score, *constants, 30)
    asked(searcher, sphere)
    np.testing.assert_allclose([place for _, place in searcher._asked], expected, atol=1e-9)


def own_bests(searcher, score):
    """How far each particle ends from the best point that it was at itself."""
    found = asked(searcher, score)
    places: dict[int, list[int]] = {}
    for number, (particle, _) in enumerate(searcher._asked):
        places.setdefault(particle, []).append(number)
    distances = []
    for numbers in places.values():
        best = max(numbers, key=lambda n: found[n][1])
        ends = [searcher._asked[n][1] for n in numbers[-5:]]
        distances.append(max(np.abs(end - searcher._asked[best][1]).max() for end in ends))
    return max(distances)


def test_a_particle_comes_back_to_its_own_best(monkeypatch):
    """Optunity's bug: the best place is the same object as the place, and moves with it.

    Then `best - place` is always 0, and a particle that nothing else draws only rolls to a stop.
    """
    settings = {"trials": 175, "particles": 5, "common": 0.0}
    assert all(own_bests(swarm(seed, **settings), sphere) < 0.05 for seed in range(4))

    learn = ParticleSwarm._learn

    def aliased(self, one, number, place):
        learn(self, one, number, place)
        particle = self._swarm[one]
        if particle.best is not None:
            particle.best = dataclasses.replace(particle.best, place=particle.place)

    monkeypatch.setattr(ParticleSwarm, "_learn", aliased)
    assert all(own_bests(swarm(seed, **settings), sphere) > 0.4 for seed in range(4))


def test_what_is_remembered_does_not_move():
    searcher = swarm(trials=40, particles=2)
    places = {}
    while (question := searcher.ask()) is not None:
        searcher.tell(question.number, -float(question.number))  # the first was the best
        if question.number < 2:
            places[question.number] = searcher._swarm[question.number].best.place.copy()
    for one, place in places.items():
        particle = searcher._swarm[one]
        assert particle.best.place is not particle.place
        np.testing.assert_array_equal(particle.best.place, place)
    np.testing.assert_array_equal(searcher._best.place, places[0])


def wins(turned=1.0, trials=100, seeds=range(10)):
    """Over random search."""

    def best(searcher, score):
        return max(sphere(point) for point, _ in asked(searcher, score))

    return sum(
        best(swarm(seed, trials=trials), lambda p: turned * sphere(p))
        > best(RandomSearch(RandomSearchSettings(trials=trials), PLANE, Key(seed), None), sphere)
        for seed in seeds
    )


def test_it_beats_random_search_and_not_turned_round():
    assert wins() >= 9
    assert wins(turned=-1.0) <= 2


def test_nobody_waits_for_a_generation():
    searcher = swarm(trials=60, particles=3)
    first = [searcher.ask() for _ in range(3)]
    assert searcher.ask() is None
    for number in range(3, 20):  # one is answered again and again, two are not at all
        searcher.tell(first[0].number if number == 3 else number - 1, 0.0)
        assert searcher.ask().number == number and searcher.ask() is None
    assert [particle for particle, _ in searcher._asked] == [0, 1, 2] + [0] * 17


def test_longer_trainings_count_for_more_and_move_nobody():
    searcher = swarm(trials=30, particles=2)
    for number in range(2):
        searcher.ask()
        searcher.tell(number, 5.0 - number, 0.25)
    assert searcher._best.worth == (0.25, 5.0)
    searcher.tell(1, 1.0, 1.0)
    assert searcher._best.worth == (1.0, 1.0) == searcher._swarm[1].best.worth
    assert searcher._idle == [0, 1]


SMALL = Space({"n": Integer(low=1, high=4), "c": Choice(values=("a", "b", "c"))})


def test_what_is_known_is_not_asked_while_there_is_anything_else(monkeypatch):
    def differing():
        found = asked(swarm(0, SMALL, trials=12, particles=3), lambda p: p["n"] + (p["c"] == "b"))
        return len({tuple(point.values()) for point, _ in found})

    assert differing() >= 11
    monkeypatch.setattr(particle_swarm, "TRIES", 1)
    assert differing() <= 10


def test_choices_integers_branches_and_failures():
    space = Space(
        {
            "n": Integer(low=1, high=64, log=True),
            "way": Choice(
                values=(
                    {"name": "smooth", "x": {"kind": "real", "low": -1.0, "high": 1.0}},
                    {"name": "steep", "y": {"kind": "real", "low": -1.0, "high": 1.0}},
                )
            ),
        }
    )

    def score(point):
        if point["n"] > 40:
            return None
        if point["way"] == "smooth":
            return -1.0 - abs(point["way[smooth].x"])
        return -abs(point["way[steep].y"] - 0.4) - abs(np.log(point["n"] / 8.0))

    check(ParticleSwarm, ParticleSwarmSettings(trials=40, particles=6), space)
    found = [score for _, score in asked(swarm(1, space, trials=150), score) if score is not None]
    assert max(found) > -0.1 and len(found) < 150


def test_it_begins_at_the_start():
    start = {f"x{i}": 0.1 + i / 8 for i in range(5)}
    assert swarm(trials=5, start=start).ask().point == start
