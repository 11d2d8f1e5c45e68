"""Every point of a grid.

Candel 2014 (H2O): a coarse grid, each cell trained a little, and the best gone on with: a grid
under successive halving.
"""

import itertools
from collections.abc import Iterator
from typing import Literal

import pydantic

from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.listed import Listed
from veldt.search.space import counting, walk
from veldt.search.space.space import Point, Space
from veldt.search.space.tree import Number, Scalar, Tree

MOST = 1_000_000


class GridSettings(Settings):
    """How fine."""

    method: Literal["grid"] = "grid"
    levels: int = pydantic.Field(5, ge=2, le=1000)
    """Of a number that may be any, evenly on its scale; others have all that they may be"""
    shuffled: bool = True
    """In a random order, so that a part of it is a part of everything"""

    def asks(self, space: Space) -> int:
        """How many points there are; one more than `MOST` where there are more."""
        return sum(1 for _ in itertools.islice(_points(space, self.levels), MOST + 1))


class Grid(Listed):
    """Every combination once, conditional settings only where they are."""

    Settings = GridSettings

    def __init__(
        self, settings: GridSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        grid = list(itertools.islice(_points(space, settings.levels), MOST + 1))
        if len(grid) > MOST:
            raise InputError(f"the grid has more than {MOST:,} points; take fewer levels.")
        if settings.shuffled:
            order = key.child("order").generator().permutation(len(grid))
            grid = [grid[i] for i in order]
        super().__init__(len(grid))
        self._grid = grid

    def point(self, number: int) -> Point:
        return self._grid[number]


def _points(space: Space, levels: int) -> Iterator[Point]:
    """Depth first over the decisions."""

    def after(tree: Tree) -> Iterator[Point]:
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
