"""Every point of a grid.

Candel 2014 (H2O): a coarse grid, each cell trained a little, and the best gone on with: a grid
under successive halving.
"""

import itertools
from typing import Any, Literal

import pydantic

from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.searcher import Question
from veldt.search.space import counting, walk
from veldt.search.space.space import Point, Space
from veldt.search.space.tree import Number, Scalar

MOST = 1_000_000


class GridSettings(Settings):
    """How fine."""

    method: Literal["grid"] = "grid"
    levels: int = pydantic.Field(5, ge=2, le=1000)
    """Of a number that may be any, evenly on its scale; others have all that they may be"""
    shuffled: bool = True
    """In a random order, so that a part of it is a part of everything"""


class Grid:
    """Every combination once, conditional settings only where they are."""

    Settings = GridSettings

    def __init__(
        self, settings: GridSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        self._points = list(itertools.islice(_points(space, settings.levels), MOST + 1))
        if len(self._points) > MOST:
            raise InputError(f"the grid has more than {MOST:,} points; take fewer levels.")
        if settings.shuffled:
            order = key.child("order").generator().permutation(len(self._points))
            self._points = [self._points[i] for i in order]
        self._asked = 0
        self._scores: dict[int, float | None] = {}

    def ask(self) -> Question | None:
        if self._asked == len(self._points):
            return None
        self._asked += 1
        return Question(self._asked - 1, self._points[self._asked - 1])

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        self._scores[number] = score

    @property
    def done(self) -> bool:
        return len(self._scores) == len(self._points)

    def state(self) -> dict[str, Any]:
        return {
            "points": self._points[: self._asked],
            "scores": dict(sorted(self._scores.items())),
        }


def _points(space: Space, levels: int) -> Any:
    """Depth first over the decisions."""

    def after(tree: Any) -> Any:
        site = walk.first_open(tree)
        if site is None:
            yield walk.decisions(tree)
            return
        for decision in _choices(site, levels):
            yield from after(walk.bind(tree, decision))

    yield from after(space.tree)


def _choices(site: walk.Site, levels: int) -> list[Scalar]:
    node = site.node
    if isinstance(node, Number) and counting.steps(node) > levels:
        shares = [i / (levels - 1) for i in range(levels)]
        return list(dict.fromkeys(node.at(share) for share in shares))
    return counting.choices(site)
