"""A strategy over flat vectors as a searcher over a space of settings.

The strategy's vectors live in all of R^n, encoded points in the unit cube; a coordinate is
folded into [0, 1] as by mirrors at 0 and 1, so that no direction ends at a wall and small
steps stay small. On a mirror itself the two members of a mirrored pair are one point, and
nothing would ever drive a strategy off it: a start that lies there is moved inside first.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pydantic

from veldt.platform import plugins
from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key
from veldt.platform.settings import Path, Settings, dotted
from veldt.search.searcher import Question
from veldt.search.space.cube import MIDDLE, encoded, width
from veldt.search.space.space import Point, Space
from veldt.search.space.tree import Pick
from veldt.search.strategies.catalogue import STRATEGIES
from veldt.search.vectors import Vector

OWN = ("method", "generations", "strategy")
MARGIN = 0.02  # of the unit cube, between a start and its sides
CHOICE_MARGIN = 0.4  # the chosen value's coordinate is 0.6, the others' 0.4


class GenerationalSettings(Settings):
    """A strategy's settings, and for how long."""

    method: str
    """see `veldt list strategies`"""
    generations: int = pydantic.Field(ge=1, le=1_000_000)
    strategy: pydantic.SerializeAsAny[Settings]
    """in a recipe its settings stand beside the two above"""

    @classmethod
    def prepare(cls, data: dict[str, Any], at: Path) -> dict[str, Any]:
        own = {name: value for name, value in data.items() if name in OWN}
        knobs = own.get("strategy", {n: v for n, v in data.items() if n not in OWN})
        if isinstance(knobs, Mapping):
            build = plugins.load("strategies", str(own["method"]), STRATEGIES, "Settings.parse")
            knobs = build.Settings.parse({"method": own["method"]} | dict(knobs), at)
        if getattr(knobs, "unrolls", 1) > 1:
            raise SettingsError(f"{dotted((*at, 'unrolls'))}: a trial is a whole life.")
        return own | {"strategy": knobs}

    def asks(self, space: Space) -> int:
        """The members of all generations."""
        centre = np.full(space.dimensions, MIDDLE)
        strategy = plugins.load("strategies", self.method, STRATEGIES)(
            self.strategy, centre, Key(0)
        )
        return int(strategy.ask().size) * self.generations


class Generational:
    """A generation is asked whole; the next one begins when all its answers are there."""

    Settings = GenerationalSettings

    def __init__(
        self, settings: GenerationalSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        build = plugins.load("strategies", settings.method, STRATEGIES)
        centre = np.full(space.dimensions, 0.5) if start is None else inside(space, start)
        self._strategy = build(settings.strategy, centre, key)
        self._space, self._generations = space, settings.generations
        self._generation = self._first = self._asked = 0
        self._scores: dict[int, float | None] = {}  # of the generation under way

    def ask(self) -> Question | None:
        population = self._strategy.ask()
        if self.done or self._asked == population.size:
            return None
        member = self._asked
        self._asked += 1
        point = self._space.decode(folded(population.candidate(member)))
        return Question(self._first + member, point)

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        if number - self._first in self._scores or number < self._first:
            return  # what comes of a member later has no part in its generation
        self._scores[number - self._first] = score
        size = self._strategy.ask().size
        if len(self._scores) == size:
            told = [self._scores[member] for member in range(size)]
            self._strategy.tell(np.array([np.nan if s is None else s for s in told]))
            self._generation += 1
            self._first, self._asked, self._scores = self._first + size, 0, {}

    @property
    def done(self) -> bool:
        return self._generation == self._generations

    def state(self) -> dict[str, Any]:
        return {
            "strategy": {name: array.tolist() for name, array in self._strategy.state().items()},
            "generation": self._generation,
            "asked": self._asked,
            "scores": dict(sorted(self._scores.items())),
        }


def inside(space: Space, point: Point) -> Vector:
    """A point encoded, off the cube's sides; choices are the same, but within sigma's reach."""
    parts = []
    for address, node in space.cube.nodes.items():
        margin = CHOICE_MARGIN if isinstance(node, Pick) else MARGIN
        if address in point:
            there = encoded(node, point[address])
        else:
            there = np.full(width(node), MIDDLE)
        parts.append(there.clip(margin, 1.0 - margin))
    return np.concatenate(parts)


def folded(x: Vector) -> Vector:
    """x [n] into [0, 1] by a triangle wave of period 2."""
    rest = np.mod(x, 2.0)
    within: Vector = np.minimum(rest, 2.0 - rest)
    return within
