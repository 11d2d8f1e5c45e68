"""Guided evolution strategy: more noise along the directions that helped of late.

Maheswaranathan et al. 2019, "Guided Evolutionary Strategies: Augmenting Random Search with
Surrogate Gradients", arXiv:1806.10230, algorithm 1. Without a surrogate the subspace is
spanned by the strategy's own last gradients, as the authors suggest where there is none.

Legend: n dimensions, k of the subspace, U [n, k] its orthonormal basis, alpha the share of
the noise in the whole space, beta the size of the gradient; a member is theta +- sigma d,

    d = sqrt(alpha) e + sqrt((1 - alpha) n / k) U e',   e [n], e' [k] normal

which is the paper's epsilon times sqrt(n) / sigma: of length about sqrt(n), as elsewhere here.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.search.strategies.gradient_es import GradientES, GradientSettings
from veldt.search.strategies.noise import CUT, GRID, WHOLE, Share, normal
from veldt.search.vectors import State, Vector


class GuidedESSettings(GradientSettings):
    """A gradient strategy's, and the paper's."""

    method: Literal["guided-es"] = "guided-es"
    alpha: float = pydantic.Field(0.5, gt=0.0, le=1.0)
    subspace: int = pydantic.Field(1, ge=1, le=1000)
    """k, at most"""


class GuidedES(GradientES):
    """Its noise leans towards the gradients it found last."""

    Settings = GuidedESSettings
    unrolls = 1

    def __init__(self, settings: GuidedESSettings, start: Vector, key: Key) -> None:
        self._key, self._alpha = key, settings.alpha
        self._history = np.zeros((0, len(start)))  # the last estimates, newest last
        self._basis = np.zeros((len(start), 0))  # U
        self._most = min(settings.subspace, len(start))
        largest = CUT * (1.0 + np.sqrt(len(start)))
        super().__init__(settings, start, self._draw, bound=float(largest))

    def _draw(self, generation: int, pair: int) -> Vector:
        """d, on the grid."""
        n, k = self._basis.shape
        child = self._key.child("noise", generation, pair)
        whole = normal(child, n)
        if k == 0:
            return whole
        inside = self._basis @ normal(child.child("subspace"), k)
        leaning = np.sqrt(self._alpha) * whole + np.sqrt((1.0 - self._alpha) * n / k) * inside
        rounded: Vector = np.rint(leaning * GRID) / GRID
        return rounded

    def tell(self, scores: Vector, share: Share = WHOLE) -> None:
        estimate = self._estimate(scores, share)
        if estimate.any():
            self._history = np.concatenate([self._history, estimate[None]])[-self._most :]
            self._span()
        self._climb(estimate)

    def _span(self) -> None:
        if len(self._history):
            scaled = self._history / np.sqrt((self._history**2).sum(1, keepdims=True))
            self._basis = np.linalg.qr(scaled.T)[0]
        else:
            self._basis = np.zeros((self._history.shape[1], 0))

    def state(self) -> State:
        return {**super().state(), "history": self._history}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        super().restore(state)
        self._history = state["history"].copy()
        self._span()
