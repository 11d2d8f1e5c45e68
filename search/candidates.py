"""Points that a model is to choose from, as vectors of the unit cube.

They are all points of the space: numbers where they may be, of a pick one option and no other,
the middle where nothing is reached. A model that was shown anything else would learn that its
best place is between two integers.
"""

import numpy as np
from numpy.typing import NDArray

from veldt.search.space.counting import steps
from veldt.search.space.cube import encoded, width
from veldt.search.space.space import Space
from veldt.search.space.tree import Number, Open, Pick, Repeat
from veldt.search.vectors import Vector

MARGINAL = 128  # a number of more levels than this may as well be any
FOREIGN = 0.2  # probability of any other option
LEAST = 0.005  # of the cube, that a number is spread at least


class Candidates:
    """Of a space without rules."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._slots: list[tuple[slice, Open, Vector | None]] = []
        at = 0
        for node in space.nodes.values():
            self._slots.append((slice(at, at + width(node)), node, levels(node)))
            at += width(node)
        self._flat = all(len(point) == len(self._slots) for point in space.corners())

    def anywhere(self, count: int, generator: np.random.Generator) -> Vector:
        """Uniform ones, [count, n]."""
        return self.allowed(generator.random((count, self._space.dimensions)))

    def near(
        self, parents: Vector, scale: float, count: int, generator: np.random.Generator
    ) -> Vector:
        """Each is a parent with a few of its decisions changed, numbers by `scale` or so."""
        found = self._drawn(parents, count, generator)
        few = max(0.4, 2.0 / len(self._slots))
        for (place, node, _), turn in zip(
            self._slots, _turns(len(self._slots), count, few, generator), strict=True
        ):
            found[turn, place] = self._moved(found[turn, place], node, scale, generator)
        return self.allowed(found)

    def among(self, parents: Vector, count: int, generator: np.random.Generator) -> Vector:
        """As the parents are spread: Parzen's estimate of where they come from."""
        found = self._drawn(parents, count, generator)
        spread = parents.std(axis=0)
        for place, node, _ in self._slots:
            if isinstance(node, Pick):
                turn = generator.random(count) < FOREIGN
                found[turn, place] = self._moved(found[turn, place], node, 1.0, generator)
            else:
                scale = float(0.7 * (spread[place][0] + LEAST))
                found[:, place] = self._moved(found[:, place], node, scale, generator)
        return self.allowed(found)

    def _drawn(self, parents: Vector, count: int, generator: np.random.Generator) -> Vector:
        chosen: Vector = parents[generator.integers(len(parents), size=count)]
        return chosen.copy()

    def _moved(
        self, values: Vector, node: Open, scale: float, generator: np.random.Generator
    ) -> Vector:
        if isinstance(node, Pick):
            return generator.random(values.shape)  # the largest wins
        moved: Vector = (values + scale * generator.standard_normal(values.shape)).clip(0.0, 1.0)
        return moved

    def allowed(self, vectors: Vector) -> Vector:
        """The points nearest to vectors, [count, n]."""
        found = vectors.copy()
        if not self._flat:
            cube = self._space.cube
            return np.array([cube.encode(cube.decode(vector)) for vector in found])
        for place, node, known in self._slots:
            part = found[:, place]
            if isinstance(node, Pick):
                found[:, place] = np.eye(part.shape[1])[part.argmax(axis=1)]
            elif known is not None:
                edges = (known[1:] + known[:-1]) / 2
                found[:, place] = known[np.searchsorted(edges, part)]
        return found


def levels(node: Open) -> Vector | None:
    """Where in the cube the numbers lie that a node allows; None if there are (nearly) any, or
    it is no number."""
    if isinstance(node, Repeat):
        return np.array([encoded(node, n)[0] for n in range(node.low, node.high + 1)])
    if not isinstance(node, Number) or steps(node) > MARGINAL:
        return None
    step = node.step or 1.0
    values = sorted({node.nearest(node.low + i * step) for i in range(int(steps(node)))})
    return np.array([node.share(value) for value in values])


def _turns(
    nodes: int, count: int, share: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Which nodes of which candidate change, [nodes, count]; of each at least one."""
    found = generator.random((nodes, count)) < share
    found[generator.integers(nodes, size=count), np.arange(count)] = True
    return found
