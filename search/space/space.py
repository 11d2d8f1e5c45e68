"""The space of a search: named settings and the values they may take.

    [space]
    "optimizer.learning_rate" = {kind = "log", low = 1e-4, high = 1e-1}
    "actors.unroll_length" = {kind = "integer", low = 5, high = 40, log = true}
    "agent.discount" = {kind = "real", low = 0.9, high = 0.999}
    "optimizer.name" = {kind = "choice", values = ["rmsprop", "adam"]}

    [space.optimizer]           # conditional: each optimiser with settings of its own
    kind = "choice"
    values = [
        {name = "rmsprop", decay = {kind = "real", low = 0.9, high = 0.999}},
        {name = "adam", epsilon = {kind = "log", low = 1e-8, high = 1e-3}},
    ]

A point is its decisions, address -> value, in the order in which they were made; see `tree.py`
for the language, and what else can be done with it.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from veldt.platform.settings import merge, nested
from veldt.search.space import notation, walk
from veldt.search.space.cube import Cube
from veldt.search.space.tree import Number, Open, Pick, Repeat, Scalar, Tree, value
from veldt.search.vectors import Vector

Point = dict[str, Scalar]
TRIED = 64  # points of a grammar, where its corners cannot be listed


class Space:
    """Named nodes, in the order in which they are decided: by name.

    Args:
        nodes: Path of a setting -> what it may be, as in TOML.
        shared: Parts that are decided once, by name.
        rules: Of a grammar, by name.
        depth: Of rules within rules.

    Raises:
        SettingsError: if something in it is wrong.
    """

    def __init__(
        self,
        nodes: Mapping[str, Any],
        shared: Mapping[str, Any] | None = None,
        rules: Mapping[str, Any] | None = None,
        depth: int = 8,
    ) -> None:
        ordered = {name: notation.as_node(nodes[name], ("space", name)) for name in sorted(nodes)}
        for name, node in ordered.items():
            notation.demand_open(node, ("space", name))
        self.tree = notation.as_tree(ordered, shared, rules, depth)
        self.grammar = bool(self.tree.rules)
        """whether points have no fixed coordinates"""

    @functools.cached_property
    def cube(self) -> Cube:
        """Raises `InputError` for a grammar."""
        return Cube(self.tree)

    @property
    def nodes(self) -> dict[str, Open]:
        """What is decided, by address, where all of it is known beforehand; else nothing."""
        return {} if self.grammar else self.cube.nodes

    @property
    def dimensions(self) -> int:
        return self.cube.dimensions

    def sample(self, generator: np.random.Generator) -> Point:
        """A point, uniform in the unit cube; of a grammar, in each of its decisions."""
        if self.grammar:
            return walk.decisions(walk.fill(self.tree, walk.draw(generator)))
        return self.decode(generator.random(self.dimensions))

    def encode(self, point: Mapping[str, Scalar]) -> Vector:
        return self.cube.encode(point)

    def decode(self, vector: Vector) -> Point:
        return self.cube.decode(vector)

    def tree_of(self, point: Mapping[str, Scalar]) -> Tree:
        """The point as a tree.

        Raises:
            InputError: if it is none of this space.
        """
        return walk.replay(self.tree, point)

    def values(self, point: Mapping[str, Scalar]) -> dict[str, Any]:
        """Path of a setting -> what it is at a point."""
        found: dict[str, Any] = value(self.tree_of(point))
        return found

    def bind(self, settings: Mapping[str, Any], point: Mapping[str, Scalar]) -> dict[str, Any]:
        """Raw settings with the values of a point put at their paths."""
        bound = dict(settings)
        for path, found in self.values(point).items():
            bound = merge(bound, nested(path, found))
        return bound

    def corners(self) -> list[Point]:
        """Points that between them hold every bound and every choice, for checking."""
        if self.grammar:
            generator = np.random.default_rng(0)
            return [self.sample(generator) for _ in range(TRIED)]
        longest = max((_extremes(node) for node in self.nodes.values()), default=0)
        found = [self._corner(lambda site, i=i: i) for i in range(max(2, longest))]
        always = set.intersection(*(set(point) for point in found))
        for address, node in self.nodes.items():
            if address not in always:
                # It is there only if others are decided so.
                found += [
                    self._corner(lambda site, i=i, address=address: _towards(site, address, i))
                    for i in range(_extremes(node))
                ]
        return [dict(point) for point in {tuple(point.items()): None for point in found}]

    def _corner(self, turn: Any) -> Point:
        """The point whose sites have their `turn`-th bound or choice."""

        def decide(site: walk.Site) -> Scalar:
            i, node = turn(site), site.node
            if isinstance(node, Pick):
                return node.label(site.options[i % len(site.options)])
            return (node.low, node.high)[i % 2]

        return walk.decisions(walk.fill(self.tree, decide))


def _extremes(node: Open) -> int:
    return len(node.options) if isinstance(node, Pick) else 2


def _towards(site: walk.Site, address: str, i: int) -> int:
    """The turn of a site, so that the node at `address` is reached, and has its i-th."""
    if site.address == address:
        return i
    node = site.node
    if isinstance(node, Pick):
        for option in range(len(node.options)):
            if address.startswith(walk.within(site.address, node, node.label(option)) + "."):
                return site.options.index(option)
    return 1 if isinstance(node, Repeat | Number) else 0
