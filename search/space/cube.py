"""Points as vectors of the unit cube, for searchers that know nothing else.

One coordinate for a number and for how many copies there are, one for each option of a pick,
the largest of which wins. Every node that may ever be reached has its coordinates; those of
nodes that a point does not reach count for nothing, and are in the middle when it is encoded.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from veldt.platform.errors import InputError
from veldt.search.space.tree import (
    Decided,
    Node,
    Number,
    Open,
    Pick,
    Repeat,
    Row,
    Rule,
    Same,
    Scalar,
    Table,
    Tree,
)
from veldt.search.space.walk import SHARED, Site, decisions, fill, join, within
from veldt.search.vectors import Vector

MIDDLE = 0.5


class Cube:
    """The coordinates of a space.

    Args:
        space: Without rules: a grammar's points have no fixed coordinates.

    Raises:
        InputError: if it has rules.
    """

    def __init__(self, space: Tree) -> None:
        self._space = space
        self.nodes: dict[str, Open] = dict(_slots(space))
        """address -> node, in prefix order"""
        self._places: dict[str, slice] = {}
        at = 0
        for address, node in self.nodes.items():
            self._places[address] = slice(at, at + width(node))
            at += width(node)
        self.dimensions = at

    def encode(self, point: Mapping[str, Scalar]) -> Vector:
        """The vector [n] of a point's decisions."""
        found = np.full(self.dimensions, MIDDLE)
        for address, decision in point.items():
            found[self._places[address]] = encoded(self.nodes[address], decision)
        return found

    def decode(self, vector: Vector) -> dict[str, Scalar]:
        """The decisions that a vector stands for; outside of the cube counts as on its side."""
        return decisions(self.tree(vector))

    def tree(self, vector: Vector) -> Tree:
        """The point that a vector stands for."""

        def decide(site: Site) -> Scalar:
            return decoded(site.node, vector[self._places[site.address]])

        return fill(self._space, decide)


def width(node: Open) -> int:
    """Coordinates of a node."""
    return len(node.options) if isinstance(node, Pick) else 1


def encoded(node: Open, decision: Scalar) -> Vector:
    """The coordinates [width] of a decision."""
    if isinstance(node, Pick):
        chosen = node.index(decision)
        return np.array([float(option == chosen) for option in range(len(node.options))])
    return np.array([_number(node).share(decision)])  # type: ignore[arg-type]


def decoded(node: Open, vector: Vector) -> Scalar:
    """The decision that coordinates [width] stand for."""
    if isinstance(node, Pick):
        return node.label(int(np.argmax(vector)))
    found = _number(node).at(float(vector[0]))
    return int(min(found, node.high)) if isinstance(node, Repeat) else found


def _number(node: Number | Repeat) -> Number:
    if isinstance(node, Number):
        return node
    return Number(node.low, max(node.high, node.low + 1), whole=True)


def _slots(space: Tree) -> Iterator[tuple[str, Open]]:
    shared, visited = dict(space.shared), set[str]()

    def look(node: Node, at: str) -> Iterator[tuple[str, Open]]:
        match node:
            case Table(items):
                for name, part in items:
                    yield from look(part, join(at, name))
            case Row(parts):
                for i, part in enumerate(parts):
                    yield from look(part, join(at, str(i)))
            case Number():
                yield at, node
            case Pick(options):
                yield at, node
                for option, part in enumerate(options):
                    yield from look(part, within(at, node, node.label(option)))
            case Repeat(body, _, high):
                yield at, node
                for i in range(high):
                    yield from look(body, join(at, str(i)))
            case Same(name):
                if name not in visited:
                    visited.add(name)
                    yield from look(shared[name], join(SHARED, name))
            case Rule(name):
                raise InputError(
                    f"{at}: a grammar's points have no fixed number of coordinates; search it "
                    "with random search or evolution."
                )
            case Decided(_, _, inside):
                yield from look(inside, at)

    yield from look(space.root, "")
