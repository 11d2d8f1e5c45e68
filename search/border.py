"""Whether a point lies at the border of what was searched in: then a better one may lie beyond.

Bengio 2012, "Practical recommendations", arXiv:1206.5533: if the best value is at the border,
widen the range.
"""

from veldt.search.space import walk
from veldt.search.space.space import Point, Space
from veldt.search.space.tree import Number, Scalar

NEAR = 0.02  # of the way between the bounds, on the number's own scale
FEW = 5  # whole numbers; among fewer, one at the border says nothing


def at_border(space: Space, point: Point) -> list[str]:
    """The numbers of a point that lie at a bound, by their addresses."""
    found = []

    def decide(site: walk.Site) -> Scalar:
        decision = point[site.address]
        if isinstance(site.node, Number) and _telling(site.node):
            share = site.node.share(decision)  # type: ignore[arg-type]
            if not NEAR < share < 1.0 - NEAR:
                found.append(site.address)
        return decision

    walk.fill(space.tree, decide)
    return found


def _telling(number: Number) -> bool:
    step = number.step or (1.0 if number.whole else None)
    return step is None or (number.high - number.low) / step >= FEW - 1
