"""Random search: independent points, uniform in the encoded space.

Bergstra and Bengio 2012, "Random Search for Hyper-Parameter Optimization", JMLR 13.
"""

from typing import Literal

import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.listed import Listed
from veldt.search.space.space import Point, Space


class RandomSearchSettings(Settings):
    """How many."""

    method: Literal["random"] = "random"
    trials: int = pydantic.Field(ge=1, le=1_000_000)


class RandomSearch(Listed):
    """Question `n` depends on the key and `n` alone."""

    Settings = RandomSearchSettings

    def __init__(
        self, settings: RandomSearchSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        super().__init__(settings.trials)
        self._space, self._key = space, key

    def point(self, number: int) -> Point:
        return self._space.sample(self._key.child("point", number).generator())
