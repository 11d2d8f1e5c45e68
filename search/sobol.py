"""Points that fill the space evenly: Sobol's sequence, scrambled.

Owen 1998; the sequence is scipy's. Any beginning of it is evenly spread, powers of two best.
"""

import warnings
from typing import Any, Literal

import numpy as np
import pydantic
from scipy.stats import qmc

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.searcher import Question
from veldt.search.space.space import Point, Space

BLOCK = 64  # points drawn at a time


class SobolSettings(Settings):
    """How many."""

    method: Literal["sobol"] = "sobol"
    trials: int = pydantic.Field(ge=1, le=1_000_000)


class Sobol:
    """Question `n` is the n-th point."""

    Settings = SobolSettings

    def __init__(
        self, settings: SobolSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        self._trials, self._space = settings.trials, space
        self._sequence = qmc.Sobol(space.dimensions, scramble=True, rng=key.generator())
        self._drawn = np.empty((0, space.dimensions))
        self._points: list[Point] = []
        self._scores: dict[int, float | None] = {}

    def ask(self) -> Question | None:
        number = len(self._points)
        if number == self._trials:
            return None
        while number >= len(self._drawn):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # about powers of two
                self._drawn = np.vstack([self._drawn, self._sequence.random(BLOCK)])
        self._points.append(self._space.decode(self._drawn[number]))
        return Question(number, self._points[-1])

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        self._scores[number] = score

    @property
    def done(self) -> bool:
        return len(self._scores) == self._trials

    def state(self) -> dict[str, Any]:
        return {"points": self._points, "scores": dict(sorted(self._scores.items()))}
