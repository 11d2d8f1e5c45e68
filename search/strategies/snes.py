"""Separable natural evolution strategy: the natural gradient of a normal with diagonal spread.

Schaul, Glasmachers and Schmidhuber 2011, "High Dimensions and Heavy Tails for Natural
Evolution Strategies", GECCO, algorithm 1; utilities and rates from Wierstra et al. 2014, JMLR
15, section 3.1 and table 1.

Legend: l members, z_i normal, u_i the utility of the i-th, mu and sigma [n].

    mu     mu + eta sigma sum_i u_i z_i
    sigma  sigma exp(eta_sigma / 2 sum_i u_i (z_i^2 - 1))
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.strategies.noise import CUT, WHOLE, Share, normal, weighted_sum
from veldt.search.strategies.pgpe import squared_minus_1
from veldt.search.strategies.strategy import Population
from veldt.search.vectors import State, Vector


class SNESSettings(Settings):
    """The papers' knobs."""

    method: Literal["snes"] = "snes"
    population: int | None = pydantic.Field(None, ge=2, le=1_000_000)
    """l; 4 + 3 ln n if not given"""
    sigma: float = pydantic.Field(gt=0.0)
    """of every parameter at first"""
    learning_rate: float = pydantic.Field(1.0, gt=0.0)
    """eta"""
    sigma_learning_rate: float | None = pydantic.Field(None, ge=0.0)
    """eta_sigma; (3 + ln n) / (5 sqrt n) if not given"""


def utilities(scores: Vector) -> Vector:
    """u [l], sum 0: the better half's fall with the logarithm of their rank from the top.

    Equal scores share the mean of their utilities.
    """
    size = len(scores)
    raw = np.maximum(0.0, math.log(size / 2 + 1) - np.log(np.arange(1, size + 1)))
    by_rank = raw / raw.sum() - 1.0 / size
    worst_last = np.where(np.isfinite(scores), -scores, np.inf)
    _, place, counts = np.unique(worst_last, return_inverse=True, return_counts=True)
    shared = np.add.reduceat(by_rank, np.cumsum(counts) - counts) / counts
    u: Vector = shared[place]
    return u


class SNES:
    """mu and sigma, both [n]."""

    Settings = SNESSettings
    unrolls = 1

    def __init__(self, settings: SNESSettings, start: Vector, key: Key) -> None:
        n = len(start)
        self._key = key
        self._size = settings.population or 4 + math.floor(3 * math.log(n))
        self._eta = settings.learning_rate
        rate = settings.sigma_learning_rate
        self._eta_sigma = (3 + math.log(n)) / (5 * math.sqrt(n)) if rate is None else rate
        self._mu = start.astype(float)
        self._sigma = np.full(n, settings.sigma)
        self._generation = 0

    @property
    def centre(self) -> Vector:
        return self._mu

    def _draw(self, generation: int, member: int) -> Vector:
        return normal(self._key.child("noise", generation, member), len(self._mu))

    def ask(self) -> Population:
        mu, sigma, generation = self._mu, self._sigma, self._generation
        return Population(self._size, lambda member: mu + sigma * self._draw(generation, member))

    def tell(self, scores: Vector, share: Share = WHOLE) -> None:
        u, n, generation = utilities(scores), len(self._mu), self._generation
        along = weighted_sum(u, lambda i: self._draw(generation, i), n, share)
        spread = weighted_sum(
            u, lambda i: squared_minus_1(self._draw(generation, i)), n, share, CUT**2
        )
        self._mu = self._mu + self._eta * self._sigma * along
        self._sigma = self._sigma * np.exp(self._eta_sigma / 2 * spread)
        self._generation += 1

    def state(self) -> State:
        return {
            "mu": self._mu,
            "sigma": self._sigma,
            "generation": np.array(self._generation),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._mu, self._sigma = state["mu"].copy(), state["sigma"].copy()
        self._generation = int(state["generation"])
