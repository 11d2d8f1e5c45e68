"""A problem for tests, as a plug-in: uneven tasks, statistics, lives, and faults on demand."""

import math
import os
import time
from typing import Literal

import numpy as np

from veldt.platform.settings import Settings
from veldt.search.problems.problem import Score


class RoughSettings(Settings):
    kind: Literal["rough"] = "rough"
    dimensions: int = 6
    seconds: float = 0.0
    """of an evaluation's pieces, of which it has 1 to 4"""
    fault: Literal["none", "raises", "nan", "killed"] = "none"
    """befalls member 3 in every generation from `from_generation` on"""
    from_generation: int = 2


class Rough:
    """-|x|^2 with noise; what it learns from its members turns into an offset."""

    Settings = RoughSettings
    block, test_block, episodes, unrolls, statistics_size, carry_size = 1, 1, 1, 1, 2, 1
    product, words = "policy", dict[str, str]()

    def __init__(self, settings, key):
        self._settings = settings
        self.start = np.full(settings.dimensions, 2.0)
        self.environment_seconds = 0.0
        self._sums = np.zeros(2, np.int64)
        self._last = np.zeros(0)
        self._generation = 0

    def evaluate(self, members, tick):
        return [
            self._evaluate(i, members.candidate(i), members.key(i), tick) for i in members.numbers
        ]

    def _evaluate(self, member, x, key, tick):
        generator = key.generator()
        pieces = int(generator.integers(1, 5))
        for _ in range(pieces):
            tick()
            time.sleep(self._settings.seconds)
            self.environment_seconds += self._settings.seconds
        if member == 3 and self._generation >= self._settings.from_generation:
            match self._settings.fault:
                case "raises":
                    raise ArithmeticError("member 3 is unwell")
                case "nan":
                    return Score(math.nan, pieces)
                case "killed":
                    os.kill(os.getpid(), 9)
        offset = self._sums[0] * 1e-6 + (self._last[member] if len(self._last) else 0.0)
        fitness = -float((x - offset) @ (x - offset)) + 0.01 * generator.standard_normal()
        row = np.array([1e-3 * generator.standard_normal()])
        return Score(fitness, 50 * pieces, np.array([int(1e3 * x[0]), 1]), row)

    def test(self, candidate, keys, tick):
        tick()
        noise = [0.01 * key.generator().standard_normal() for key in keys]
        return [Score(-float(candidate @ candidate) + each, 10) for each in noise]

    def merge(self, scores):
        self._sums = self._sums + scores.statistics
        self._last = scores.carry[:, 0].copy()
        self._generation += 1

    def state(self):
        return {"sums": self._sums, "last": self._last, "generation": np.array(self._generation)}

    def restore(self, state):
        self._sums, self._last = state["sums"].copy(), state["last"].copy()
        self._generation = int(state["generation"])

    def policy(self, candidate):
        return {"x": candidate}

    def close(self):
        pass
