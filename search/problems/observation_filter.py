"""The running mean and deviation of observations, frozen inside a generation, exact between.

Mania, Guy and Recht 2018, arXiv:1803.07055, algorithm 2, line 9 and section 3: mu and Sigma
of all states seen in training so far. Sums travel as integers, so that they are the same
bits in whatever order episodes come in: an episode's float64 sums, in the order of its
steps, are rounded to a grid, and the rest is integer addition.

Legend: n numbers in an observation, N steps.
"""

from typing import Any

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.settings import Settings
from veldt.search.problems.problem import Integers
from veldt.search.vectors import State, Vector

# A resolution of 1e-9, in two limbs: the lower holds 40 bits, so that int64 holds the sums
# of 2^22 episodes. What is beyond LARGEST (observations of 1e7, say) is cut.
GRID = 2.0**30
LIMB = 2.0**40
LARGEST = 2.0**58


class FilterSettings(Settings):
    """How observations are normalised; the defaults are those of augmented random search."""

    enabled: bool = True
    smallest: float = pydantic.Field(1e-7, ge=0.0)
    """a deviation below it is that of a constant: the number becomes 0"""
    floor: float = pydantic.Field(0.0, ge=0.0)
    """deviations are at least this (OpenAI-ES: 0.1)"""
    clip: float | None = pydantic.Field(None, gt=0.0)
    """normalised observations are cut at +-clip (OpenAI-ES: 5)"""
    sampling: float = pydantic.Field(1.0, gt=0.0, le=1.0)
    """share of the episodes whose observations are counted (OpenAI-ES: 0.01)"""


class ObservationFilter:
    """Its sums, and the mean and scale that follow from them.

    Args:
        settings: How.
        size: n.
    """

    def __init__(self, settings: FilterSettings, size: int) -> None:
        self._settings, self._size = settings, size
        self.statistics_size = 1 + 4 * size if settings.enabled else 0
        # Python's integers: the sum over a search never overflows.
        self._sums = [0] * (1 + 2 * size) if settings.enabled else []
        self.mean, self.scale = np.zeros(size), np.ones(size)

    def statistics(self, observations: Vector) -> Integers:
        """Those of an episode's observations [N, n]: N, and the sums of x and x^2 in limbs."""
        if not self._settings.enabled:
            return np.zeros(0, np.int64)
        with np.errstate(over="ignore"):  # an infinite sum is cut below
            x = observations
            sums = np.concatenate([np.einsum("ij->j", x), np.einsum("ij,ij->j", x, x)])
        grid = np.rint(np.clip(sums, -LARGEST, LARGEST) * GRID)
        high = np.floor(grid / LIMB)
        return np.concatenate([[len(observations)], high, grid - high * LIMB]).astype(np.int64)

    def merge(self, statistics: Integers) -> None:
        """Takes in the sum of a generation's statistics."""
        if not self._settings.enabled:
            return
        count, *limbs = statistics.tolist()
        half, limb = len(limbs) // 2, int(LIMB)
        whole = [high * limb + low for high, low in zip(limbs[:half], limbs[half:], strict=True)]
        self._sums = [a + b for a, b in zip(self._sums, [count, *whole], strict=True)]
        self._refresh()

    def _refresh(self) -> None:
        if not self._sums or self._sums[0] < 2:
            return
        count, n = self._sums[0], self._size
        grid = int(GRID)
        first, second = self._sums[1 : 1 + n], self._sums[1 + n :]
        # Integers to the last: sum (x - mean)^2 = (N sum x^2 - (sum x)^2) / N.
        self.mean = np.array([a / (count * grid) for a in first])
        squares = [max(0, count * grid * b - a * a) for a, b in zip(first, second, strict=True)]
        variance = np.array([s / (count * (count - 1) * grid * grid) for s in squares])
        deviation = np.maximum(np.sqrt(variance), self._settings.floor)
        constant = deviation < self._settings.smallest
        self.scale = np.where(constant, 0.0, 1.0 / (np.where(constant, 1.0, deviation) + 1e-8))

    def state(self) -> State:
        """As two limbs of 62 bits, which int64 can hold."""
        low = [value & (2**62 - 1) for value in self._sums]
        high = [value >> 62 for value in self._sums]
        return {"filter": np.array([high, low], np.int64).reshape(2, -1)}

    def restore(self, state: Any) -> None:
        array: NDArray[np.int64] = state["filter"]
        if array.shape != (2, len(self._sums)):
            raise ValueError(f"a filter of {array.shape[1]} numbers, not {len(self._sums)}")
        high, low = array.tolist()
        self._sums = [(a << 62) + b for a, b in zip(high, low, strict=True)]
        self.mean, self.scale = np.zeros(self._size), np.ones(self._size)
        self._refresh()
