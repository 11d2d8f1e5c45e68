"""Coordinate descent: one setting is swept, its best value kept, and the next one swept.

Bengio 2012, "Practical recommendations for gradient-based training of deep architectures",
arXiv:1206.5533, section 3.3. The first round sweeps each setting over its whole range, the next
ones ever more closely around its best value; in each, the settings come in a random order. When
values lie so close that it does not matter, everything begins anew elsewhere.
"""

from typing import Literal

import numpy as np
import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search import neighbours
from veldt.search.rounds import Rounds, Thoughts
from veldt.search.space.space import Point, Space


class CoordinateSettings(Settings):
    """How finely a setting is swept."""

    method: Literal["coordinate"] = "coordinate"
    trials: int = pydantic.Field(ge=1, le=1_000_000)
    levels: int = pydantic.Field(5, ge=2, le=1000)
    """Of a number, in its first sweep, evenly on its scale; so many at a time may be trained.
    Others have all that they may be"""
    finest: float = pydantic.Field(1e-3, gt=0.0, le=0.5)
    """Share of a scale; values that lie closer are not told apart"""


class Coordinate(Rounds):
    """The first descent is from the start, or from the middle of everything."""

    Settings = CoordinateSettings

    def __init__(
        self, settings: CoordinateSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        def descent(begun: int) -> Thoughts:
            random = key.child("descent", begun).generator()
            whole = neighbours.begun(space, random, begun > 0, start)
            return _descent(settings, space, random, whole)

        super().__init__(settings.trials, descent)


def _descent(
    settings: CoordinateSettings,
    space: Space,
    random: np.random.Generator,
    whole: neighbours.Whole,
) -> Thoughts:
    nodes, half = space.cube.nodes, settings.levels // 2
    (score,) = yield [neighbours.reached(space, whole)]
    spacing, rounds = 1.0 / (settings.levels - 1), 0

    def places(here: float) -> list[float]:
        if rounds:
            return [here + k * spacing for k in range(-half, half + 1)]
        return [i * spacing for i in range(settings.levels)]

    while spacing >= settings.finest:
        for i in random.permutation(len(nodes)):
            address, node = list(nodes.items())[i]
            values = neighbours.others(node, whole[address], places)
            wholes = [whole | {address: value} for value in values]
            scores = yield [neighbours.reached(space, other) for other in wholes]
            if scores and max(scores) > score:
                score = max(scores)
                whole = wholes[scores.index(score)]
        rounds, spacing = rounds + 1, spacing / (half + 1)
