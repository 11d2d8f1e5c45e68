"""How many points a space has, and all of them."""

import itertools
import math
from collections.abc import Iterator

from veldt.platform.errors import InputError
from veldt.search.space.tree import (
    Node,
    Number,
    Pick,
    Repeat,
    Row,
    Rule,
    Same,
    Scalar,
    Table,
    Tree,
)
from veldt.search.space.walk import Site, bind, first_open, least_depths

Counts = dict[frozenset[str], float]
"""how many ways there are, by the shared parts that they use"""


def count(space: Tree) -> float:
    """Points, told apart by their decisions; infinity where a number may be any.

    A shared part that a point does not use is not decided in it.
    """
    return _Counting(space).total()


def steps(node: Number) -> float:
    """How many numbers a node allows."""
    if node.step is not None:
        return math.floor((node.high - node.low) / node.step + 1e-9) + 1
    return node.high - node.low + 1 if node.whole else math.inf


class _Counting:
    def __init__(self, space: Tree) -> None:
        self._space = space
        self._rules, self._shared = dict(space.rules), dict(space.shared)
        self._least = least_depths(space)
        self._memory: dict[tuple[Node, int], Counts] = {}

    def total(self) -> float:
        space, found = self._space, 0.0
        for used, ways in self._ways(space.root, space.depth).items():
            found += ways * self._of_shared(used, frozenset())
        return found

    def _of_shared(self, names: frozenset[str], known: frozenset[str]) -> float:
        """Ways to decide shared parts, and those that they use in turn."""
        new = names - known
        if not new:
            return 1.0
        first, found = min(new), 0.0
        for used, ways in self._ways(self._shared[first], self._space.depth).items():
            found += ways * self._of_shared(names | used, known | {first})
        return found

    def _ways(self, node: Node, depth: int) -> Counts:
        memory = (node, depth)
        if memory not in self._memory:
            self._memory[memory] = self._counted(node, depth)
        return self._memory[memory]

    def _counted(self, node: Node, depth: int) -> Counts:
        match node:
            case Number():
                return {frozenset(): steps(node)}
            case Pick(options):
                found: Counts = {}
                for option in options:
                    if self._least(option) <= depth:
                        for used, ways in self._ways(option, depth).items():
                            found[used] = found.get(used, 0.0) + ways
                return found
            case Repeat(body, low, high):
                found = {}
                for copies in range(low, high + 1):
                    product = self._product([body] * copies, depth)
                    for used, ways in product.items():
                        found[used] = found.get(used, 0.0) + ways
                return found
            case Table(items):
                return self._product([part for _, part in items], depth)
            case Row(parts):
                return self._product(list(parts), depth)
            case Same(name):
                return {frozenset({name}): 1.0}
            case Rule(name):
                return self._ways(self._rules[name], depth - 1)
        return {frozenset(): 1.0}

    def _product(self, parts: list[Node], depth: int) -> Counts:
        found: Counts = {frozenset(): 1.0}
        for part in parts:
            more: Counts = {}
            for (used, ways), (also, times) in itertools.product(
                found.items(), self._ways(part, depth).items()
            ):
                more[used | also] = more.get(used | also, 0.0) + ways * times
            found = more
        return found


def points(space: Tree) -> Iterator[Tree]:
    """Every point, in the order of its decisions.

    Raises:
        InputError: if a number may be any.
    """
    site = first_open(space)
    if site is None:
        yield space
        return
    for decision in choices(site):
        yield from points(bind(space, decision))


def choices(site: Site) -> list[Scalar]:
    """All decisions of a site.

    Raises:
        InputError: if they are not countable.
    """
    node = site.node
    match node:
        case Pick():
            return [node.label(option) for option in site.options]
        case Repeat(_, low, high):
            return list(range(low, high + 1))
        case Number():
            many = steps(node)
            if math.isinf(many):
                raise InputError(
                    f"{site.address}: any number from {node.low:g} to {node.high:g} is allowed, "
                    "so its points cannot be enumerated; give it a step."
                )
            step = node.step if node.step is not None else 1.0
            return [node.nearest(node.low + i * step) for i in range(int(many))]
