"""Functions whose minimum is known, for strategies to be tried on.

Hansen et al. 2009, "Real-Parameter Black-Box Optimization Benchmarking 2009: Noiseless
Functions Definitions", INRIA RR-6829: sphere (f1), ellipsoid (f2, f10 where rotated),
Rosenbrock (f8); Ackley 1987; Rastrigin 1974. Minimised; the fitness is the negative value.

Legend: n the dimensions, x a point, z the point as the function sees it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.problems.problem import NO_WORDS, Members, Score, Scores, Tick
from veldt.search.vectors import State, Vector


def sphere(z: Vector) -> float:
    return float(z @ z)


def ellipsoid(z: Vector) -> float:
    """Axes of lengths from 1 to 1000: condition 1e6."""
    exponents = np.arange(len(z)) / max(1, len(z) - 1)
    return float((10.0 ** (6.0 * exponents)) @ z**2)


def rosenbrock(z: Vector) -> float:
    """A bent valley; the minimum is at z = 0 here, which is (1, ..., 1) in the usual form."""
    u = z + 1.0
    return float((100.0 * (u[:-1] ** 2 - u[1:]) ** 2 + (u[:-1] - 1.0) ** 2).sum())


def rastrigin(z: Vector) -> float:
    """About 11^n local minima within [-5, 5]^n."""
    return float(10.0 * (len(z) - np.cos(2.0 * np.pi * z).sum()) + z @ z)


def ackley(z: Vector) -> float:
    """Flat far away, one hole."""
    return float(
        20.0
        - 20.0 * np.exp(-0.2 * np.sqrt(np.mean(z**2)))
        + np.e
        - np.exp(np.mean(np.cos(2.0 * np.pi * z)))
    )


FUNCTIONS: dict[str, Callable[[Vector], float]] = {
    "sphere": sphere,
    "ellipsoid": ellipsoid,
    "rosenbrock": rosenbrock,
    "rastrigin": rastrigin,
    "ackley": ackley,
}


class FunctionSettings(Settings):
    """Which function, and how it is made harder."""

    kind: Literal["function"] = "function"
    name: Literal["sphere", "ellipsoid", "rosenbrock", "rastrigin", "ackley"] = "sphere"
    dimensions: int = pydantic.Field(10, ge=1, le=1_000_000)
    start: float = 3.0
    """every coordinate where a search begins; the minimum, 0, is at 0, Rosenbrock's at 1"""
    rotated: bool = False
    """turn space by a rotation that the seed decides"""
    noise: float = pydantic.Field(0.0, ge=0.0)
    """deviation of normal noise on a member's fitness; evaluations have none"""

    @pydantic.model_validator(mode="after")
    def _has_a_valley(self) -> "FunctionSettings":
        if self.name == "rosenbrock" and self.dimensions < 2:
            raise ValueError("rosenbrock needs at least 2 dimensions")
        return self


class Function:
    """The fitness of x is -f(x)."""

    Settings = FunctionSettings
    block, test_block, episodes, unrolls, statistics_size, carry_size = 1, 1, 0, 1, 0, 0
    product, words = "policy", NO_WORDS
    environment_seconds = 0.0

    def __init__(self, settings: FunctionSettings, key: Key) -> None:
        self._settings = settings
        self._function = FUNCTIONS[settings.name]
        self._optimum = np.full(settings.dimensions, float(settings.name == "rosenbrock"))
        self.start = np.full(settings.dimensions, settings.start)
        self._rotation: Vector | None = None
        if settings.rotated:
            normal = key.child("rotation").generator().standard_normal((len(self.start),) * 2)
            q, r = np.linalg.qr(normal)
            self._rotation = q * np.sign(np.diag(r))  # uniform over all rotations

    def value(self, x: Vector) -> float:
        """f(x) without noise; 0 at the minimum."""
        z = x - self._optimum
        return self._function(z if self._rotation is None else self._rotation @ z)

    def evaluate(self, members: Members, tick: Tick) -> Sequence[Score]:
        tick()
        return [self._score(members.candidate(i), members.key(i)) for i in members.numbers]

    def _score(self, x: Vector, key: Key) -> Score:
        fitness = -self.value(x)
        if self._settings.noise:
            fitness += self._settings.noise * float(key.generator().standard_normal())
        return Score(fitness, 1)

    def test(self, candidate: Vector, keys: Sequence[Key], tick: Tick) -> Sequence[Score]:
        tick()
        return [Score(-self.value(candidate), 1)] * len(keys)

    def merge(self, scores: Scores) -> None:
        pass

    def policy(self, candidate: Vector) -> State:
        return {"x": candidate}

    def state(self) -> State:
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        pass

    def close(self) -> None:
        pass
