"""Persistent evolution strategy: a stretch of a life is credited to all it wore since birth.

Vicol, Metz and Sohl-Dickstein 2021, "Unbiased Gradient Estimation in Unrolled Computation
Graphs with Persistent Evolution Strategies", arXiv:2112.13835, algorithm 2. Truncated lives
without truncation's bias.

All members are born in the same generation, and again every `unrolls` generations; what a
pair has worn since is drawn again from its keys, so that there is nothing to keep.
"""

from typing import Literal

import pydantic

from veldt.platform.keys import Key
from veldt.search.strategies.gradient_es import GradientES, GradientSettings
from veldt.search.strategies.noise import CUT, normal
from veldt.search.vectors import Vector


class PersistentESSettings(GradientSettings):
    """A gradient strategy's, and the length of a life."""

    method: Literal["persistent-es"] = "persistent-es"
    unrolls: int = pydantic.Field(ge=1)
    """generations that a life spans"""


class PersistentES(GradientES):
    """A pair wears the noise of its generation and is credited with the sum since birth."""

    Settings = PersistentESSettings

    def __init__(self, settings: PersistentESSettings, start: Vector, key: Key) -> None:
        self.unrolls = settings.unrolls

        def worn(generation: int, pair: int) -> Vector:
            return normal(key.child("noise", generation, pair), len(start))

        def since_birth(generation: int, pair: int) -> Vector:
            total = worn(generation, pair)
            for earlier in range(generation - generation % settings.unrolls, generation):
                total += worn(earlier, pair)
            return total

        super().__init__(settings, start, worn, since_birth, CUT * settings.unrolls)
