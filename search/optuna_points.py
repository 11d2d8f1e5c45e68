"""Points as Optuna knows them: a parameter and its distribution for each decision.

Conditional by nature: a point has the decisions that it has, and no others.
"""

import contextlib
import warnings
from typing import Any

from veldt.search.space import walk
from veldt.search.space.space import Point
from veldt.search.space.tree import Number, Pick, Repeat, Scalar, Tree


def parameters(
    space: Tree, point: Point, labels: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(address -> value, address -> distribution) of a point's decisions.

    Args:
        space: That it is a point of.
        point: The decisions.
        labels: For people: choices by what they are called, and numbers without their steps;
            else choices are counted, of those that can be finished.
    """
    values: dict[str, Any] = {}
    distributions: dict[str, Any] = {}

    def decide(site: walk.Site) -> Scalar:
        decision, node = point[site.address], site.node
        if labels and isinstance(node, Pick):
            names = _names(node)
            values[site.address] = names[node.index(decision) or 0]
            distributions[site.address] = _categorical(names)
        elif labels and isinstance(node, Number) and not node.whole:
            values[site.address] = decision
            distributions[site.address] = distribution(
                walk.Site(site.address, Number(node.low, node.high, node.log))
            )
        else:
            values[site.address] = inside(site, decision)
            distributions[site.address] = distribution(site)
        return decision

    with quiet():
        walk.fill(space, decide)
    return values, distributions


def _names(node: Pick) -> tuple[Scalar, ...]:
    """What the options are called; as text where Python takes two for one (1 and True)."""
    found = tuple(node.label(option) for option in range(len(node.options)))
    return found if len(set(found)) == len(found) else tuple(map(str, found))


def _categorical(names: tuple[Scalar, ...]) -> Any:
    from optuna.distributions import CategoricalDistribution

    return CategoricalDistribution(names)


def inside(site: walk.Site, decision: Scalar) -> Any:
    """A decision as Optuna knows it."""
    if isinstance(site.node, Pick):
        option = site.node.index(decision)
        return None if option is None else site.options.index(option)
    return decision


def distribution(site: walk.Site) -> Any:
    """Of a decision's value as `inside` gives it."""
    from optuna.distributions import FloatDistribution, IntDistribution

    match site.node:
        case Pick():
            return _categorical(tuple(range(len(site.options))))
        case Repeat(_, low, high):
            return IntDistribution(low, high)
        case Number(low, high, log, whole, step):
            if whole:
                return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
            return FloatDistribution(low, high, log=log, step=step)


@contextlib.contextmanager
def quiet() -> Any:
    """While entered, Optuna does not warn of experimental arguments, which ours are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
