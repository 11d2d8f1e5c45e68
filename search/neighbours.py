"""Points that differ from one in a single setting, for searchers that vary one at a time.

What they go about with is whole: it has a decision for every node of a space, also for those
that the point itself does not reach, so that a branch that was left and is come back to is as
it was.
"""

from collections.abc import Callable, Iterable

import numpy as np

from veldt.search.space import walk
from veldt.search.space.cube import decoded, encoded
from veldt.search.space.space import Point, Space
from veldt.search.space.tree import Open, Pick, Scalar

Whole = dict[str, Scalar]
"""address -> decision, of all nodes"""


def middle(space: Space, random: np.random.Generator) -> Whole:
    """Numbers in the middle of their scales, anything picked.

    Raises:
        InputError: for a grammar, whose nodes are not known beforehand.
    """
    return {
        address: _picked(node, random) if isinstance(node, Pick) else at(node, 0.5)
        for address, node in space.cube.nodes.items()
    }


def anywhere(space: Space, random: np.random.Generator) -> Whole:
    """Uniform on each node's own scale."""
    return {
        address: _picked(node, random) if isinstance(node, Pick) else at(node, random.random())
        for address, node in space.cube.nodes.items()
    }


def begun(space: Space, random: np.random.Generator, again: bool, start: Point | None) -> Whole:
    """Where a searcher begins: at the start, or in the middle; `again`: anywhere."""
    return anywhere(space, random) if again else middle(space, random) | (start or {})


def reached(space: Space, whole: Whole) -> Point:
    """What of it a point is."""
    return walk.decisions(walk.fill(space.tree, lambda site: whole[site.address]))


def at(node: Open, place: float) -> Scalar:
    """The number at a place on its scale, from 0 to 1."""
    return decoded(node, np.array([place]))


def others(
    node: Open, decision: Scalar, places: Callable[[float], Iterable[float]]
) -> list[Scalar]:
    """The decisions that a node may have instead.

    Args:
        node: Of a pick all options are taken.
        decision: What it has.
        places: Of a number: where it lies on its scale -> where the others do.
    """
    if isinstance(node, Pick):
        chosen = node.index(decision)
        return [node.label(i) for i in range(len(node.options)) if i != chosen]
    here = float(encoded(node, decision)[0])
    found = dict.fromkeys(at(node, place) for place in places(here))
    return [value for value in found if value != decision]


def _picked(node: Pick, random: np.random.Generator) -> Scalar:
    return node.label(int(random.integers(len(node.options))))
