"""A life of gradient descent whose learning rates are searched for, a stretch at a time.

Vicol, Metz and Sohl-Dickstein 2021, "Unbiased Gradient Estimation in Unrolled Computation
Graphs with Persistent Evolution Strategies", arXiv:2112.13835, the toy problem of their
introduction: whoever looks only at the next few steps prefers a learning rate that is bad
for the whole life.

Legend: x a point of the plane, f its loss, T the steps of a life, K those of a stretch,
theta_0 and theta_1 the logarithms of the first and the last learning rate.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.problems.problem import NO_WORDS, Members, Score, Scores, Tick
from veldt.search.vectors import State, Vector

ORIGIN = np.array([1.0, 1.0])  # where a life begins
CLIP = 3.0  # of each component of the inner gradient


class LearningRateSettings(Settings):
    """The length of a life, and of the stretches it is scored in."""

    kind: Literal["learning-rate"] = "learning-rate"
    unroll: int = pydantic.Field(10, ge=1)
    """K, inner steps in one evaluation"""
    unrolls: int = pydantic.Field(10, ge=1)
    """evaluations in a life: T = K unrolls"""
    start: float = -5.0
    """of theta_0 and theta_1"""


def loss(x: Vector) -> float:
    """f(x), x [2]: a ripple along a valley far from whose floor the slope is small."""
    ripple = np.sin(x[1]) ** 2 * np.exp(-5.0 * x[0] ** 2)
    return float(np.sqrt(x[0] ** 2 + 5.0) - np.sqrt(5.0) + ripple + 0.25 * abs(x[1] - 100.0))


def gradient(x: Vector) -> Vector:
    """f's, [2]."""
    hill = np.exp(-5.0 * x[0] ** 2)
    return np.array(
        [
            x[0] / np.sqrt(x[0] ** 2 + 5.0) - 10.0 * x[0] * hill * np.sin(x[1]) ** 2,
            2.0 * np.sin(x[1]) * np.cos(x[1]) * hill + 0.25 * np.sign(x[1] - 100.0),
        ]
    )


class LearningRate:
    """The fitness of a stretch is the negative mean of its K losses."""

    Settings = LearningRateSettings
    block, test_block, episodes, statistics_size, carry_size = 1, 1, 0, 0, 2
    product, words = "policy", NO_WORDS
    environment_seconds = 0.0

    def __init__(self, settings: LearningRateSettings, key: Key) -> None:
        self._settings = settings
        self.unrolls = settings.unrolls
        self.start = np.full(2, settings.start)
        self._generation = 0
        self._points = np.zeros((0, 2))  # where the members are in their lives, [size, 2]

    def evaluate(self, members: Members, tick: Tick) -> Sequence[Score]:
        stretch = self._generation % self.unrolls
        scores = []
        for member in members.numbers:
            tick()
            x = self._points[member] if stretch else ORIGIN
            fitness, x = self._live(members.candidate(member), x, stretch, stretch + 1)
            scores.append(Score(fitness, self._settings.unroll, carry=x))
        return scores

    def test(self, candidate: Vector, keys: Sequence[Key], tick: Tick) -> Sequence[Score]:
        tick()
        fitness, _ = self._live(candidate, ORIGIN, 0, self.unrolls)
        return [Score(fitness, self._settings.unroll * self.unrolls)] * len(keys)

    def _live(self, theta: Vector, x: Vector, begin: int, end: int) -> tuple[float, Vector]:
        """The fitness of some stretches, and where they lead."""
        length = self._settings.unroll
        total = length * self.unrolls
        first, last = np.exp(np.clip(theta, -50.0, 50.0))
        losses = 0.0
        for t in range(begin * length, end * length):
            rate = first + (last - first) * t / total
            x = x - rate * gradient(x).clip(-CLIP, CLIP)
            losses += loss(x)
        return -losses / (length * (end - begin)), x

    def merge(self, scores: Scores) -> None:
        self._points = np.array(scores.carry)
        self._generation += 1

    def policy(self, candidate: Vector) -> State:
        return {"log_learning_rates": candidate}

    def state(self) -> State:
        return {"points": self._points, "generation": np.array(self._generation)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._points, self._generation = state["points"].copy(), int(state["generation"])

    def close(self) -> None:
        pass
