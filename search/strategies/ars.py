"""Augmented random search: finite differences along random directions, the best few kept.

Mania, Guy and Recht 2018, "Simple random search provides a competitive approach to
reinforcement learning", arXiv:1803.07055, algorithm 2. V1 and V2 differ in the problem's
observation filter; "-t" is `top` below `directions`. Without the division by sigma_R
(`scale_by_deviation` false) it is the paper's basic random search (algorithm 1).

Legend: N directions delta_k, M the parameters, alpha the step size, nu the noise, b the
directions kept, sigma_R the deviation of the 2b scores that were used.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.strategies.fitness import failures_last
from veldt.search.strategies.mirrored import MirroredPairs
from veldt.search.strategies.noise import WHOLE, Share
from veldt.search.strategies.strategy import Population
from veldt.search.vectors import State, Vector


class ARSSettings(Settings):
    """The paper's knobs."""

    method: Literal["ars"] = "ars"
    directions: int = pydantic.Field(ge=1, le=1_000_000)
    """N; a generation is twice as many members"""
    top: int | None = pydantic.Field(None, ge=1)
    """b, the directions whose better member is best; all of them if not given"""
    step_size: float = pydantic.Field(gt=0.0)
    """alpha"""
    noise: float = pydantic.Field(gt=0.0)
    """nu"""
    scale_by_deviation: bool = True
    """divide the step by sigma_R"""

    @pydantic.model_validator(mode="after")
    def _keeps_some(self) -> "ARSSettings":
        if self.top is not None and self.top > self.directions:
            raise ValueError(
                f"top = {self.top} directions cannot be kept of directions = {self.directions}"
            )
        return self


class ARS:
    """Augmented random search over M, a flat vector."""

    Settings = ARSSettings
    unrolls = 1

    def __init__(self, settings: ARSSettings, start: Vector, key: Key) -> None:
        self._settings = settings
        self._pairs = MirroredPairs(key, settings.directions)
        self._m = np.array(start, dtype=np.float64)
        self._generation = 0

    @property
    def centre(self) -> Vector:
        return self._m

    def ask(self) -> Population:
        return self._pairs.population(self._m, self._settings.noise, self._generation)

    def tell(self, scores: Vector, share: Share = WHOLE) -> None:
        settings = self._settings
        plus, minus = failures_last(scores).reshape(-1, 2).T
        kept = best_directions(plus, minus, settings.top or settings.directions)
        used = np.concatenate([plus[kept], minus[kept]])
        deviation = float(used.std()) if settings.scale_by_deviation else 1.0
        if deviation > 0.0:
            weights = np.zeros(settings.directions)
            weights[kept] = (plus - minus)[kept] / deviation
            step = self._pairs.weighted_sum(weights, self._generation, len(self._m), share)
            self._m = self._m + settings.step_size / len(kept) * step
        self._generation += 1

    def state(self) -> State:
        return {"m": self._m, "generation": np.array(self._generation)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._m, self._generation = state["m"].copy(), int(state["generation"])


def best_directions(plus: Vector, minus: Vector, top: int) -> NDArray[np.intp]:
    """The `top` directions whose better member is best, ascending; ties to the earlier."""
    order = np.argsort(-np.maximum(plus, minus), kind="stable")
    return np.sort(order[:top])
