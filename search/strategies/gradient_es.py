"""Evolution strategies that climb an estimated gradient, all but where their noise comes from.

Salimans et al. 2017, arXiv:1703.03864, algorithm 2. What differs between OpenAI's strategy,
persistent and noise-reuse strategies is which perturbation a member wears in a generation,
and which one its score is credited to; both are functions of generation and pair, passed in.

Legend: k a pair of n, epsilon_k what its members wear, xi_k what is credited, theta the
centre [P], sigma the noise's size, u the shaped scores.

    members   theta +- sigma epsilon_k
    gradient  sum_k (u_k+ - u_k-) xi_k / (2 n), without 1/sigma: the optimiser's rate has it

Not mirrored, all 2 n members have noise of their own, and it is sum_m u_m xi_m / (2 n).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.settings import Settings
from veldt.search.strategies.ascent import Ascent, OptimizerSettings
from veldt.search.strategies.fitness import SHAPINGS, ShapingName
from veldt.search.strategies.mirrored import mirrored
from veldt.search.strategies.noise import CUT, WHOLE, Share, weighted_sum
from veldt.search.strategies.strategy import Population
from veldt.search.vectors import State, Vector

Draw = Callable[[int, int], Vector]  # (generation, pair) -> [P], on the grid of noise.py


class GradientSettings(Settings):
    """What they have in common."""

    pairs: int = pydantic.Field(ge=1, le=1_000_000)
    """n; a generation is twice as many members"""
    sigma: float = pydantic.Field(gt=0.0)
    weight_decay: float = pydantic.Field(0.0, ge=0.0)
    """times theta is taken off the gradient"""
    shaping: ShapingName = "centred-ranks"
    optimizer: OptimizerSettings = OptimizerSettings()


class GradientES:
    """The strategy.

    Args:
        settings: Of it.
        start: theta at first.
        worn: epsilon.
        credited: xi; the same if not given.
        bound: The largest number that xi may have.
        shaping: Another than the settings name.
        ascent: Another optimiser than the settings name.
        mirrored: Whether two members share one perturbation, with opposite signs; else the draws
            are asked for the number of a member in place of a pair's.
    """

    def __init__(
        self,
        settings: GradientSettings,
        start: Vector,
        worn: Draw,
        credited: Draw | None = None,
        bound: float = CUT,
        shaping: Callable[[Vector], Vector] | None = None,
        ascent: Ascent | None = None,
        mirrored: bool = True,
    ) -> None:
        self._mirrored = mirrored
        self._settings = settings
        self._worn, self._credited, self._bound = worn, credited or worn, bound
        self._shaping = shaping or SHAPINGS[settings.shaping]
        self._ascent = ascent or Ascent(settings.optimizer)
        self._theta = start.astype(float)
        self._generation = 0

    @property
    def centre(self) -> Vector:
        return self._theta

    def ask(self) -> Population:
        settings, generation = self._settings, self._generation
        if self._mirrored:
            return mirrored(
                self._theta, settings.sigma, lambda k: self._worn(generation, k), settings.pairs
            )
        theta = self._theta
        return Population(
            2 * settings.pairs,
            lambda member: theta + settings.sigma * self._worn(generation, member),
        )

    def _estimate(self, scores: Vector, share: Share) -> Vector:
        """The gradient [P], before weight decay; changes nothing."""
        u = self._shaping(scores)
        total = weighted_sum(
            u[::2] - u[1::2] if self._mirrored else u,
            lambda draw: self._credited(self._generation, draw),
            len(self._theta),
            share,
            self._bound,
        )
        return total / (2 * self._settings.pairs)

    def tell(self, scores: Vector, share: Share = WHOLE) -> None:
        self._climb(self._estimate(scores, share))

    def _climb(self, estimate: Vector) -> None:
        """One step of the optimiser, and on to the next generation."""
        gradient = estimate - self._settings.weight_decay * self._theta
        self._theta = self._theta + self._ascent.step(gradient)
        self._generation += 1

    def state(self) -> State:
        return {"theta": self._theta, "generation": np.array(self._generation)} | (
            self._ascent.state()
        )

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._theta, self._generation = state["theta"].copy(), int(state["generation"])
        self._ascent.restore(state)
