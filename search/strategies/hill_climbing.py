"""Simple random search: the best point so far, and steps from it that are kept if they help.

Rastrigin 1963; Matyas 1965, "Random optimization". With `independent` members are drawn
around the start, not around the best: pure random search, the baseline of baselines.

The best point is a member of every generation (member 0), so that a lucky score of a noisy
problem is found out: its merit is the mean of all scores it has had.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.strategies.fitness import LARGEST
from veldt.search.strategies.noise import WHOLE, Share, normal
from veldt.search.strategies.strategy import Population
from veldt.search.vectors import State, Vector

FAILED = -1e300  # worse than LARGEST below zero, and finite: a state has to be written down


class HillClimbingSettings(Settings):
    """The size of a generation and of a step."""

    method: Literal["random-search"] = "random-search"
    population: int = pydantic.Field(ge=2, le=1_000_000)
    sigma: float = pydantic.Field(gt=0.0)
    """deviation of a step"""
    shape: Literal["normal", "uniform"] = "normal"
    """of a step's distribution"""
    independent: bool = False
    """steps from the start, not from the best"""


class HillClimbing:
    """The best point, [n]."""

    Settings = HillClimbingSettings
    unrolls = 1

    def __init__(self, settings: HillClimbingSettings, start: Vector, key: Key) -> None:
        self._settings, self._key = settings, key
        self._start = start.astype(float)
        self._best = self._start
        self._total, self._count = 0.0, 0  # of the best point's scores
        self._generation = 0

    @property
    def centre(self) -> Vector:
        return self._best

    def ask(self) -> Population:
        best, generation = self._best, self._generation
        origin = self._start if self._settings.independent else best

        def candidate(member: int) -> Vector:
            if member == 0:
                return best
            return origin + self._step(self._key.child("noise", generation, member))

        return Population(self._settings.population, candidate)

    def _step(self, key: Key) -> Vector:
        n, sigma = len(self._start), self._settings.sigma
        if self._settings.shape == "normal":
            return sigma * normal(key, n)
        side = math.sqrt(3.0) * sigma  # of deviation sigma
        return key.generator().uniform(-side, side, n)

    def tell(self, scores: Vector, share: Share = WHOLE) -> None:
        population = self.ask()
        known = np.where(np.isfinite(scores), scores.clip(-LARGEST, LARGEST), FAILED)
        self._total, self._count = self._total + float(known[0]), self._count + 1
        merit = self._total / self._count
        challenger = 1 + int(known[1:].argmax())
        if known[challenger] > merit:
            self._best = population.candidate(challenger)
            self._total, self._count = float(known[challenger]), 1
        self._generation += 1

    def state(self) -> State:
        return {
            "best": self._best,
            "total": np.array(self._total),
            "count": np.array(self._count),
            "generation": np.array(self._generation),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._best = state["best"].copy()
        self._total, self._count = float(state["total"]), int(state["count"])
        self._generation = int(state["generation"])
