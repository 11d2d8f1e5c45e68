"""Multi-resolution search: coarse values first, then ever finer ones around the best.

Bengio 2012, "Practical recommendations for gradient-based training of deep architectures",
arXiv:1206.5533, section 3.3. A round tries, around the best point, each setting alone a step to
either side, all at the same time; then all the steps together that were for the better. So a
round costs 2 n + 1 trials, not the 3^n of a grid, and finds what the grid would, as far as
settings do not depend on each other. The next round's steps are half as long. When they no
longer matter, everything begins anew elsewhere.
"""

from typing import Literal

import numpy as np
import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search import neighbours
from veldt.search.rounds import Rounds, Thoughts
from veldt.search.space.space import Point, Space


class MultiResolutionSettings(Settings):
    """From how coarse to how fine."""

    method: Literal["multi-resolution"] = "multi-resolution"
    trials: int = pydantic.Field(ge=1, le=1_000_000)
    step: float = pydantic.Field(0.25, gt=0.0, le=1.0)
    """Share of a number's scale, of the first round; others are tried with all they may be"""
    zoom: float = pydantic.Field(0.5, gt=0.0, lt=1.0)
    """A round's steps by those of the round before"""
    finest: float = pydantic.Field(1e-3, gt=0.0, lt=1.0)
    """Steps that are shorter are not tried"""


class MultiResolution(Rounds):
    """The first round is around the start, or the middle of everything."""

    Settings = MultiResolutionSettings

    def __init__(
        self, settings: MultiResolutionSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        def descent(begun: int) -> Thoughts:
            random = key.child("place", begun).generator()
            whole = neighbours.begun(space, random, begun > 0, start)
            return _narrowing(settings, space, random, whole)

        super().__init__(settings.trials, descent)


def _narrowing(
    settings: MultiResolutionSettings,
    space: Space,
    random: np.random.Generator,
    whole: neighbours.Whole,
) -> Thoughts:
    nodes, step = space.cube.nodes, settings.step
    (score,) = yield [neighbours.reached(space, whole)]
    while step >= settings.finest:

        def places(here: float, step: float = step) -> tuple[float, float]:
            return here - step, here + step

        beside = [
            (address, value)
            for address in neighbours.reached(space, whole)
            for value in neighbours.others(nodes[address], whole[address], places)
        ]
        # In a random order, so that a part of a round is a part of everything.
        beside = [beside[i] for i in random.permutation(len(beside))]
        scores = yield [neighbours.reached(space, whole | dict([one])) for one in beside]
        better: neighbours.Whole = {}
        for found, (address, value) in sorted(
            zip(scores, beside, strict=True), key=lambda pair: pair[0]
        ):
            if found > score:
                better[address] = value  # of one setting the best comes last
                best = whole | {address: value}
        if better:
            together = whole | better
            (both,) = yield [neighbours.reached(space, together)]
            whole, score = (together, both) if both >= max(scores) else (best, max(scores))
        step *= settings.zoom
