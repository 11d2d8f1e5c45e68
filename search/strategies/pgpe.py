"""Policy gradients with parameter-based exploration: a sigma of its own for each parameter.

Sehnke et al. 2010, "Parameter-exploring Policy Gradients", Neural Networks 23(4), algorithm
of section 3 with symmetric sampling; ClipUp and the bound on sigma's change from Toklu et al.
2020, arXiv:2008.02387.

Legend: n pairs, z_k normal, members mu +- sigma z_k, r their scores, b the mean of all.

    mu     mean_k (r+ - r-) / 2 z_k sigma                  (ClipUp looks at its direction only)
    sigma  mean_k ((r+ + r-) / 2 - b) (z_k^2 - 1) sigma
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.strategies.ascent import Ascent, OptimizerSettings
from veldt.search.strategies.fitness import SHAPINGS, ShapingName
from veldt.search.strategies.mirrored import mirrored
from veldt.search.strategies.noise import CUT, GRID, WHOLE, Share, normal, weighted_sum
from veldt.search.strategies.strategy import Population
from veldt.search.vectors import State, Vector


class PGPESettings(Settings):
    """The papers' knobs."""

    method: Literal["pgpe"] = "pgpe"
    pairs: int = pydantic.Field(ge=1, le=1_000_000)
    """n"""
    sigma: float = pydantic.Field(gt=0.0)
    """of every parameter at first"""
    sigma_learning_rate: float = pydantic.Field(0.1, ge=0.0)
    sigma_change: float = pydantic.Field(0.2, gt=0.0, lt=1.0)
    """the most of itself that a sigma changes by in one generation"""
    shaping: ShapingName = "z-score"
    optimizer: OptimizerSettings = OptimizerSettings(name="clipup", learning_rate=0.15)


class PGPE:
    """mu and sigma, both [n]."""

    Settings = PGPESettings
    unrolls = 1

    def __init__(self, settings: PGPESettings, start: Vector, key: Key) -> None:
        self._settings, self._key = settings, key
        self._mu = start.astype(float)
        self._sigma = np.full(len(start), settings.sigma)
        self._ascent = Ascent(settings.optimizer)
        self._generation = 0

    @property
    def centre(self) -> Vector:
        return self._mu

    def _draw(self, generation: int, pair: int) -> Vector:
        return normal(self._key.child("noise", generation, pair), len(self._mu))

    def ask(self) -> Population:
        generation = self._generation
        return mirrored(
            self._mu, self._sigma, lambda k: self._draw(generation, k), self._settings.pairs
        )

    def tell(self, scores: Vector, share: Share = WHOLE) -> None:
        settings, generation = self._settings, self._generation
        r = SHAPINGS[settings.shaping](scores).reshape(-1, 2)
        weights = (r[:, 0] - r[:, 1]) / (2 * settings.pairs)
        along = weighted_sum(
            weights, lambda pair: self._draw(generation, pair), len(self._mu), share
        )
        weights = (r.mean(1) - r.mean()) / settings.pairs
        spread = weighted_sum(
            weights,
            lambda pair: squared_minus_1(self._draw(generation, pair)),
            len(self._mu),
            share,
            CUT**2,
        )
        most = settings.sigma_change
        change = (settings.sigma_learning_rate * spread).clip(-most, most)
        self._mu = self._mu + self._ascent.step(along * self._sigma)
        self._sigma = self._sigma * (1.0 + change)
        self._generation += 1

    def state(self) -> State:
        return {
            "mu": self._mu,
            "sigma": self._sigma,
            "generation": np.array(self._generation),
            **self._ascent.state(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._mu, self._sigma = state["mu"].copy(), state["sigma"].copy()
        self._generation = int(state["generation"])
        self._ascent.restore(state)


def squared_minus_1(z: Vector) -> Vector:
    """z^2 - 1, put on the grid of noise.py; at most CUT^2."""
    rounded: Vector = np.rint((z * z - 1.0) * GRID) / GRID
    return rounded
