"""A Gaussian process over settings whose worth changes while time passes.

Parker-Holder et al. 2020, "Provably Efficient Online Hyperparameter Optimization with
Population-Based Bandits", arXiv:2002.02518, section 3, after Bogunovic et al. 2016,
arXiv:1601.06650:

    k((x, t), (x', t')) = exp(-|x - x'|^2 / (2 length^2)) (1 - drift)^(|t - t'| / 2)

    x  [n, d]  points of the unit cube
    t  [n]     times, in stretches
    y  [n]     what was seen, with mean 0 and deviation 1 or so
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from veldt.search.vectors import Vector


class Theta(NamedTuple):
    """What is fitted."""

    length: float
    """for a cube of one dimension"""
    drift: float
    """of the correlation, in two stretches"""
    noise: float
    """variance, where what was seen has 1"""


GRID = [
    Theta(*values)
    for values in itertools.product(
        (0.1, 0.2, 0.4, 0.8), (0.0, 0.02, 0.1, 0.3, 0.6), (1e-3, 1e-2, 1e-1)
    )
]


class DriftingProcess:
    """Fitted to what was seen.

    Args:
        x: Where.
        t: When.
        y: What.
        theta: Taken as it is; else the most probable one on a grid.
    """

    def __init__(self, x: Vector, t: Vector, y: Vector, theta: Theta | None = None) -> None:
        self._x, self._t, self.y = x, t, y
        self.theta = theta or max(GRID, key=lambda tried: likelihood(x, t, y, tried))

    def mean(self, x: Vector, t: float) -> Vector:
        """What is expected at x [m, d] at a time, [m]."""
        covariance = seen(self._x, self._t, self.theta)
        weights = np.linalg.solve(covariance, self.y)
        found: Vector = kernel(x, np.full(len(x), t), self._x, self._t, self.theta) @ weights
        return found

    def deviation(self, x: Vector, t: float, also: tuple[Vector, Vector]) -> Vector:
        """How unsure that is, without noise, [m].

        Args:
            x: Where, [m, d].
            t: When.
            also: Where [k, d] and when [k] something will have been seen by then, whatever it
                turns out to be.
        """
        there, then = np.concatenate([self._x, also[0]]), np.concatenate([self._t, also[1]])
        factor = np.linalg.cholesky(seen(there, then, self.theta))
        between = kernel(there, then, x, np.full(len(x), t), self.theta)
        known = np.square(np.linalg.solve(factor, between)).sum(0)
        found: Vector = np.sqrt((1.0 - known).clip(0.0))
        return found


def kernel(x: Vector, t: Vector, z: Vector, s: Vector, theta: Theta) -> Vector:
    """Between (x, t) [n] and (z, s) [m]; [n, m]."""
    squares = np.square((x[:, None] - z) / theta.length).sum(-1) / max(1, x.shape[1])
    found: Vector = np.exp(-0.5 * squares) * (1.0 - theta.drift) ** (np.abs(t[:, None] - s) / 2.0)
    return found


def seen(x: Vector, t: Vector, theta: Theta) -> Vector:
    """Covariance of what is seen at (x, t), [n, n]."""
    return kernel(x, t, x, t, theta) + theta.noise * np.eye(len(t))


def likelihood(x: Vector, t: Vector, y: Vector, theta: Theta) -> float:
    """Its logarithm."""
    factor = np.linalg.cholesky(seen(x, t, theta))
    white = np.linalg.solve(factor, y)
    spread = np.log(np.diag(factor)).sum()
    return float(-0.5 * white @ white - spread - 0.5 * len(y) * math.log(2.0 * math.pi))
