"""The linear quadratic regulator: the one control problem whose optimum is known exactly.

Dean, Mania, Matni, Recht and Tu 2017, "On the Sample Complexity of the Linear Quadratic
Regulator", arXiv:1710.01688, section 6: a marginally unstable Laplacian, as in cooling three
coupled sources of heat; used for random search by Mania et al. 2018, arXiv:1803.07055, 4.3.

Legend: x_t state [3], u_t = K x_t input [3], w_t normal noise [3], T steps;
x_{t+1} = A x_t + B u_t + w_t, cost x'Qx + u'Ru.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.problems.problem import NO_WORDS, Members, Score, Scores, Tick
from veldt.search.vectors import State, Vector

A = np.array([[1.01, 0.01, 0.0], [0.01, 1.01, 0.01], [0.0, 0.01, 1.01]])
B = np.eye(3)
Q = 1e-3 * np.eye(3)
R = np.eye(3)
EXPLODED = 1e100  # a cost beyond this is a failure: the state is on its way to infinity


class LqrSettings(Settings):
    """How a gain is scored."""

    kind: Literal["lqr"] = "lqr"
    horizon: int = pydantic.Field(300, ge=1)
    """T"""
    noise: float = pydantic.Field(1.0, ge=0.0)
    """deviation of w"""


class Lqr:
    """The fitness of a gain K, flat [9], is the negative mean cost of a step."""

    Settings = LqrSettings
    block, test_block, episodes, unrolls, statistics_size, carry_size = 1, 1, 1, 1, 0, 0
    product, words = "policy", NO_WORDS
    environment_seconds = 0.0

    def __init__(self, settings: LqrSettings, key: Key) -> None:
        self._settings = settings
        self.start = np.zeros(B.shape[1] * len(A))

    def evaluate(self, members: Members, tick: Tick) -> Sequence[Score]:
        scores = []
        for member in members.numbers:
            tick()
            scores.append(self._cost(members.candidate(member), members.key(member)))
        return scores

    def test(self, candidate: Vector, keys: Sequence[Key], tick: Tick) -> Sequence[Score]:
        tick()
        return [self._cost(candidate, key) for key in keys]

    def _cost(self, candidate: Vector, key: Key) -> Score:
        horizon, size = self._settings.horizon, len(A)
        gain = candidate.reshape(B.shape[1], size)
        closed, weight = A + B @ gain, Q + gain.T @ R @ gain
        noise = self._settings.noise * key.generator().standard_normal((horizon, size))
        x, cost = np.zeros(size), 0.0
        for t in range(horizon):
            x = closed @ x + noise[t]
            cost += float(x @ weight @ x)
            if not cost < EXPLODED:
                return Score(math.nan, t + 1)
        return Score(-cost / horizon, horizon)

    def merge(self, scores: Scores) -> None:
        pass

    def policy(self, candidate: Vector) -> State:
        return {"gain": candidate.reshape(B.shape[1], len(A))}

    def state(self) -> State:
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        pass

    def close(self) -> None:
        pass


def optimal_gain() -> NDArray[np.float64]:
    """K* [3, 3] = -(R + B'PB)^-1 B'PA, P the fixed point of the Riccati recursion."""
    p = Q.copy()
    while True:
        gain = -np.linalg.solve(R + B.T @ p @ B, B.T @ p @ A)
        following = Q + A.T @ p @ A + A.T @ p @ B @ gain
        if np.abs(following - p).max() < 1e-13:
            return gain
        p = following


def stationary_cost(gain: NDArray[np.float64]) -> float:
    """The mean cost of a step in the long run under unit noise; infinite if K does not hold it.

    trace((Q + K'RK) S) with S the stationary covariance, S = C S C' + I, C = A + BK.
    """
    closed = A + B @ gain
    if np.abs(np.linalg.eigvals(closed)).max() >= 1.0:
        return math.inf
    size = len(A)
    inverse = np.linalg.inv(np.eye(size * size) - np.kron(closed, closed))
    covariance = (inverse @ np.eye(size).ravel()).reshape(size, size)
    return float(np.trace((Q + gain.T @ R @ gain) @ covariance))
