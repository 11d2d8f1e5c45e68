"""Random search: independent points, uniform in the encoded space.

Bergstra and Bengio 2012, "Random Search for Hyper-Parameter Optimization", JMLR 13.
"""

from typing import Any, Literal

import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.searcher import Question
from veldt.search.space.space import Point, Space


class RandomSearchSettings(Settings):
    """How many."""

    method: Literal["random"] = "random"
    trials: int = pydantic.Field(ge=1, le=1_000_000)


class RandomSearch:
    """Question `n` depends on the key and `n` alone."""

    Settings = RandomSearchSettings

    def __init__(
        self, settings: RandomSearchSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        self._trials, self._space, self._key = settings.trials, space, key
        self._points: list[Point] = []
        self._scores: dict[int, float | None] = {}

    def ask(self) -> Question | None:
        number = len(self._points)
        if number == self._trials:
            return None
        point = self._space.sample(self._key.child("point", number).generator())
        self._points.append(point)
        return Question(number, point)

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        self._scores[number] = score

    @property
    def done(self) -> bool:
        return len(self._scores) == self._trials

    def state(self) -> dict[str, Any]:
        return {"points": self._points, "scores": dict(sorted(self._scores.items()))}
