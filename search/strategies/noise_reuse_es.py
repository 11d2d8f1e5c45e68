"""Noise-reuse evolution strategy: a life wears one perturbation from birth to death.

Li, Sohl-Dickstein, Agarwal and Metz 2023, "Variance-Reduced Gradient Estimation via
Noise-Reuse in Online Evolution Strategies", arXiv:2304.12180, algorithm 2. Each stretch of
a life gives a gradient; less variance than persistent ES where its losses add up.

All members are born in the same generation, and again every `unrolls` generations.
"""

from typing import Literal

import pydantic

from veldt.platform.keys import Key
from veldt.search.strategies.gradient_es import GradientES, GradientSettings
from veldt.search.strategies.noise import normal
from veldt.search.vectors import Vector


class NoiseReuseESSettings(GradientSettings):
    """A gradient strategy's, and the length of a life."""

    method: Literal["noise-reuse-es"] = "noise-reuse-es"
    unrolls: int = pydantic.Field(ge=1)
    """generations that a life spans"""


class NoiseReuseES(GradientES):
    """A pair wears, and is credited with, the noise of its life."""

    Settings = NoiseReuseESSettings

    def __init__(self, settings: NoiseReuseESSettings, start: Vector, key: Key) -> None:
        self.unrolls = settings.unrolls
        super().__init__(
            settings,
            start,
            lambda generation, pair: normal(
                key.child("noise", generation // settings.unrolls, pair), len(start)
            ),
        )
