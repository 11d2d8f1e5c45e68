"""An evolution strategy on the encoded point: mirrored noise, centred ranks.

Salimans et al. 2017, "Evolution Strategies as a Scalable Alternative to
Reinforcement Learning", arXiv:1703.03864, algorithm 2 with section 2's mirrored
sampling and rank shaping.

Legend: n pairs, theta the mean, sigma the noise's scale in the unit cube, epsilon_i
normal; members theta + sigma epsilon_i and theta - sigma epsilon_i; u their ranks.
"""

from typing import Any, Literal

import numpy as np
import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.searcher import Question
from veldt.search.space import Point, Space, Vector
from veldt.search.strategies.fitness import centred_ranks


class EvolutionStrategySettings(Settings):
    """The strategy's knobs."""

    method: Literal["es"] = "es"
    generations: int = pydantic.Field(ge=1, le=1_000_000)
    pairs: int = pydantic.Field(ge=1, le=1_000_000)
    """n; a generation is twice as many members"""
    sigma: float = pydantic.Field(0.1, gt=0.0, le=1.0)
    learning_rate: float = pydantic.Field(0.03, gt=0.0)


class EvolutionStrategy:
    """A generation is asked whole; the next one begins when all its answers are there."""

    Settings = EvolutionStrategySettings

    def __init__(
        self, settings: EvolutionStrategySettings, space: Space, key: Key, start: Point | None
    ) -> None:
        self._settings, self._space, self._key = settings, space, key
        self._theta: Vector = (
            np.full(space.dimensions, 0.5) if start is None else space.encode(start)
        )
        self._generation = 0
        self._asked = 0
        self._scores: dict[int, float | None] = {}

    @property
    def _members(self) -> int:
        return 2 * self._settings.pairs

    def ask(self) -> Question | None:
        if self.done or self._asked == self._members:
            return None
        member = self._asked
        self._asked += 1
        sign = 1.0 if member % 2 == 0 else -1.0
        vector = self._theta + sign * self._settings.sigma * self._noise(member // 2)
        return Question(
            self._generation * self._members + member, self._space.decode(vector.clip(0.0, 1.0))
        )

    def _noise(self, pair: int) -> Vector:
        generator = self._key.child("noise", self._generation, pair).generator()
        return generator.standard_normal(self._space.dimensions)

    def tell(self, number: int, score: float | None) -> None:
        self._scores[number] = score
        first = self._generation * self._members
        generation = range(first, first + self._members)
        if all(member in self._scores for member in generation):
            self._step([self._scores[member] for member in generation])

    def _step(self, scores: list[float | None]) -> None:
        u = centred_ranks(scores)
        n, sigma = self._settings.pairs, self._settings.sigma
        gradient = sum((u[2 * i] - u[2 * i + 1]) * self._noise(i) for i in range(n))
        gradient = gradient / (2 * n * sigma)
        # The cube's sides are walls: a mean outside it would see only clipped members.
        self._theta = (self._theta + self._settings.learning_rate * gradient).clip(0.0, 1.0)
        self._generation += 1
        self._asked = 0

    @property
    def done(self) -> bool:
        return self._generation == self._settings.generations

    def state(self) -> dict[str, Any]:
        return {
            "theta": self._theta.tolist(),
            "generation": self._generation,
            "asked": self._asked,
            "scores": dict(sorted(self._scores.items())),
        }
