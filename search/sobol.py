"""Points that fill the space evenly: Sobol's sequence, scrambled.

Owen 1998; the sequence is scipy's. Any beginning of it is evenly spread, powers of two best.
"""

import warnings
from typing import Literal

import numpy as np
import pydantic
from scipy.stats import qmc

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.listed import Listed
from veldt.search.space.space import Point, Space

BLOCK = 64  # points drawn at a time


class SobolSettings(Settings):
    """How many."""

    method: Literal["sobol"] = "sobol"
    trials: int = pydantic.Field(ge=1, le=1_000_000)


class Sobol(Listed):
    """Question `n` is the n-th point."""

    Settings = SobolSettings

    def __init__(
        self, settings: SobolSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        super().__init__(settings.trials)
        self._space = space
        self._sequence = qmc.Sobol(space.dimensions, scramble=True, rng=key.generator())
        self._drawn = np.empty((0, space.dimensions))

    def point(self, number: int) -> Point:
        while number >= len(self._drawn):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # about powers of two
                self._drawn = np.vstack([self._drawn, self._sequence.random(BLOCK)])
        return self._space.decode(self._drawn[number])
