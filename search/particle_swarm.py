"""Particle swarm: points with a velocity, drawn to their own best and to everybody's.

Kennedy and Eberhart 1995, "Particle Swarm Optimization"; the constants are those of Clerc and
Kennedy 2002, "The Particle Swarm: Explosion, Stability, and Convergence", IEEE Transactions on
Evolutionary Computation 6, with which a swarm converges without a limit to its velocities.

    v <- inertia v + own r1 (p - x) + common r2 (g - x)        r1, r2 uniform, per coordinate
    x <- x + v, reflected at the sides of the unit cube, as v is

A particle moves when its answer is there and somebody asks, by what is best then; nobody waits
for a generation. A particle that comes by nothing but known points is thrown anywhere.
"""

import dataclasses
from typing import Any, Literal

import numpy as np
import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.generational import folded, inside
from veldt.search.searcher import Question
from veldt.search.space.identity import canonical
from veldt.search.space.space import Point, Space
from veldt.search.vectors import Vector

TRIES = 64  # moves of a particle to points that are known, after which one is asked again


class ParticleSwarmSettings(Settings):
    """The swarm, and what draws it."""

    method: Literal["particle-swarm"] = "particle-swarm"
    trials: int = pydantic.Field(ge=1, le=1_000_000)
    particles: int = pydantic.Field(10, ge=1, le=100_000)
    """So many questions at most are under way"""
    inertia: float = pydantic.Field(0.7298, ge=0.0, lt=1.0)
    """Of a velocity, what remains at each move"""
    own: float = pydantic.Field(1.49618, ge=0.0, le=4.0)
    """How much a particle is drawn to the best point where it was itself"""
    common: float = pydantic.Field(1.49618, ge=0.0, le=4.0)
    """And to the best point where anybody was"""


@dataclasses.dataclass(frozen=True)
class Visit:
    """Where somebody was, and how it was there; what is remembered never changes."""

    worth: tuple[float, float]
    """share of a whole training, score"""
    place: Vector


@dataclasses.dataclass
class Particle:
    """One of the swarm."""

    place: Vector
    velocity: Vector
    best: Visit | None = None
    waiting: int | None = None
    """the question that is under way"""
    moves: int = 0


class ParticleSwarm:
    """Whoever has its answer for longest moves first."""

    Settings = ParticleSwarmSettings
    learns_at_once = True

    def __init__(
        self, settings: ParticleSwarmSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        self._settings, self._space, self._key = settings, space, key
        self._swarm = [self._thrown(n) for n in range(min(settings.particles, settings.trials))]
        if start is not None:
            self._swarm[0].place = inside(space, start)
        self._idle = list(range(len(self._swarm)))
        self._best: Visit | None = None
        self._points: list[Point] = []
        self._scores: dict[int, float | None] = {}
        self._shares: dict[int, float] = {}
        self._asked: list[tuple[int, Vector]] = []  # particle, its place then
        self._known: dict[str, int] = {}  # the newest question about a point

    def _thrown(self, number: int, again: int = 0) -> Particle:
        """Anywhere, on the way to anywhere else."""
        random = self._key.child("particle", number, again).generator()
        place = random.random(self._space.dimensions)
        return Particle(place, (random.random(len(place)) - place) / 2.0)

    def ask(self) -> Question | None:
        number = len(self._points)
        if number == self._settings.trials or not self._idle:
            return None
        one = self._idle.pop(0)
        particle = self._swarm[one]
        for _ in range(TRIES):
            if particle.moves:
                self._move(one)
            particle.moves += 1
            point = self._space.decode(particle.place)
            known = self._known.get(canonical(point))
            if known is None:
                break
            self._learn(one, known, particle.place)  # for nothing
        else:  # where it is everything is known
            thrown = self._thrown(one, particle.moves)
            particle.place, particle.velocity = thrown.place, thrown.velocity
            point = self._space.decode(particle.place)
        self._known[canonical(point)] = number
        particle.waiting = number
        self._asked.append((one, particle.place))
        self._points.append(point)
        return Question(number, point)

    def _move(self, one: int) -> None:
        particle, settings = self._swarm[one], self._settings
        random = self._key.child("move", one, particle.moves).generator()
        velocity = settings.inertia * particle.velocity
        drawn = ((settings.own, particle.best), (settings.common, self._best))
        for strength, best in drawn:
            share = random.random(len(velocity))
            if best is not None:
                velocity = velocity + strength * share * (best.place - particle.place)
        there = particle.place + velocity
        turned = np.mod(np.floor(there), 2.0) == 1.0  # reflected an odd number of times
        particle.place = folded(there)
        particle.velocity = np.where(turned, -velocity, velocity)

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        self._scores[number], self._shares[number] = score, share
        one, place = self._asked[number]
        self._learn(one, number, place)
        if self._swarm[one].waiting == number:
            self._swarm[one].waiting = None
            self._idle.append(one)

    def _learn(self, one: int, number: int, place: Vector) -> None:
        """A particle was where a question is about, if it is answered."""
        score = self._scores.get(number)
        if score is None:
            return
        visit, particle = Visit((self._shares[number], score), place), self._swarm[one]
        if particle.best is None or visit.worth > particle.best.worth:
            particle.best = visit
        if self._best is None or visit.worth > self._best.worth:
            self._best = visit

    @property
    def done(self) -> bool:
        return len(self._scores) == self._settings.trials

    def state(self) -> dict[str, Any]:
        return {
            "points": self._points,
            "scores": dict(sorted(self._scores.items())),
            "shares": dict(sorted(self._shares.items())),
            "swarm": [
                [p.place.tolist(), p.velocity.tolist(), p.waiting, p.moves] for p in self._swarm
            ],
            "idle": self._idle,
        }
