"""Deciding a tree, leftmost open node first.

    while (site := walk.first_open(tree)) is not None:
        tree = walk.bind(tree, a decision among site's)

What cannot be finished within the tree's depth of rules is never offered.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

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
    Value,
)

SHARED = "shared"  # the first word of a shared part's address


@dataclasses.dataclass(frozen=True)
class Site:
    """An open node that can be decided now."""

    address: str
    """where it is; the same for the same node of every tree of a space"""
    node: Open
    options: tuple[int, ...] = ()
    """of a Pick: those that can be finished"""


Decide = Callable[[Site], Scalar]
"""a number, an option's label or a count; `LEAVE` leaves the node open"""


class _Leave:
    """Not decided."""


LEAVE: Any = _Leave()


def fill(tree: Tree, decide: Decide) -> Tree:
    """The tree with every open node decided that can be reached, in prefix order.

    Args:
        tree: With nodes open, or without.
        decide: Called with each as it becomes the leftmost.

    Raises:
        InputError: if a decision is not among a site's.
    """
    filling = _Filling(tree, decide)
    root = filling.node(tree.root, "", tree.depth)
    # A shared part that nothing asks for any more is as it was before anybody did.
    shared = tuple(
        (name, part if name in filling.visited else reopened(part))
        for name, part in filling.shared.items()
    )
    return dataclasses.replace(tree, root=root, shared=shared)


def reopened(node: Node) -> Node:
    """What a part was before anything was decided in it."""
    match node:
        case Decided(site, _, _):
            return site
        case Table(items):
            return Table(tuple((name, reopened(part)) for name, part in items))
        case Row(parts):
            return Row(tuple(map(reopened, parts)))
    return node


class _Filling:
    """One pass over a tree."""

    def __init__(self, tree: Tree, decide: Decide) -> None:
        self._decide, self._rules = decide, dict(tree.rules)
        self.shared, self._depth = dict(tree.shared), tree.depth
        self._least = least_depths(tree)
        self.visited: set[str] = set()

    def node(self, node: Node, at: str, depth: int) -> Node:
        match node:
            case Table(items):
                return Table(
                    tuple((name, self.node(part, join(at, name), depth)) for name, part in items)
                )
            case Row(parts):
                return Row(
                    tuple(self.node(part, join(at, str(i)), depth) for i, part in enumerate(parts))
                )
            case Same(name):
                if name not in self.visited:
                    self.visited.add(name)
                    whole = self._depth
                    self.shared[name] = self.node(self.shared[name], join(SHARED, name), whole)
                return node
            case Rule(name):
                return Decided(node, None, self.node(self._rules[name], at, depth - 1))
            case Decided(site, decision, inside):
                return Decided(site, decision, self._inside(site, decision, inside, at, depth))
            case Number() | Pick() | Repeat():
                return self._open(node, at, depth)
        return node

    def _inside(self, site: Node, decision: Scalar, inside: Node, at: str, depth: int) -> Node:
        below = depth - 1 if isinstance(site, Rule) else depth
        return self.node(inside, within(at, site, decision), below)

    def _open(self, node: Open, at: str, depth: int) -> Node:
        site = Site(at, node)
        if isinstance(node, Pick):
            least = [self._least(option) for option in node.options]
            allowed = tuple(i for i, needed in enumerate(least) if needed <= depth)
            site = Site(at, node, allowed)
        decision = self._decide(site)
        if decision is LEAVE:
            return node
        started = demand(site, decision)
        return Decided(node, decision, self._inside(node, decision, started, at, depth))


def demand(site: Site, decision: Scalar) -> Node:
    """The part that a decision comes to, its own nodes still open.

    Raises:
        InputError: if it is not among the site's decisions.
    """
    node = site.node
    number = isinstance(decision, int | float) and not isinstance(decision, bool)
    match node:
        case Pick():
            option = node.index(decision)
            if option is None or option not in site.options:
                raise InputError(f"{site.address}: {decision!r} is not among its choices.")
            return node.options[option]
        case Repeat(body, low, high):
            if not (isinstance(decision, int) and number and low <= decision <= high):
                raise InputError(
                    f"{site.address}: {decision!r} is not a count from {low} to {high}."
                )
            return Row((body,) * decision)
        case Number():
            if not (number and node.nearest(float(decision)) == decision):  # type: ignore[arg-type]
                raise InputError(
                    f"{site.address}: {decision!r} is not a number from {node.low:g} to "
                    f"{node.high:g} that is allowed there."
                )
            return Value(decision)


def join(at: str, name: str) -> str:
    """The address of a part."""
    return f"{at}.{name}" if at else name


def within(at: str, site: Node, decision: Scalar) -> str:
    """The address of what is inside a decided node."""
    return f"{at}[{decision}]" if isinstance(site, Pick) else at


def first_open(tree: Tree) -> Site | None:
    """The leftmost open node that can be reached; None if the tree is a point."""
    found: list[Site] = []

    def look(site: Site) -> Scalar:
        found.append(site)
        return LEAVE  # type: ignore[no-any-return]

    fill(tree, look)
    return found[0] if found else None


def bind(tree: Tree, decision: Scalar) -> Tree:
    """The tree with its leftmost open node decided.

    Raises:
        InputError: if the decision is not among that node's.
    """
    waiting = [decision]

    def decide(site: Site) -> Scalar:
        return waiting.pop() if waiting else LEAVE

    return fill(tree, decide)


def decisions(tree: Tree) -> dict[str, Scalar]:
    """Address -> decision, of all that can be reached, in prefix order."""
    return {address: decided.decision for address, decided in decided_nodes(tree)}


def decided_nodes(tree: Tree, rules: bool = False) -> Iterator[tuple[str, Decided]]:
    """What was decided, with addresses, in prefix order; with `rules` those that were followed."""
    shared, visited = dict(tree.shared), set[str]()

    def look(node: Node, at: str) -> Iterator[tuple[str, Decided]]:
        match node:
            case Table(items):
                for name, part in items:
                    yield from look(part, join(at, name))
            case Row(parts):
                for i, part in enumerate(parts):
                    yield from look(part, join(at, str(i)))
            case Same(name):
                if name not in visited:
                    visited.add(name)
                    yield from look(shared[name], join(SHARED, name))
            case Decided(site, decision, inside):
                if rules or not isinstance(site, Rule):
                    yield at, node
                yield from look(inside, within(at, site, decision))

    yield from look(tree.root, "")


def replay(space: Tree, found: Mapping[str, Scalar]) -> Tree:
    """The point of these decisions.

    Raises:
        InputError: if one is missing, or is for no node, or is not among its node's.
    """
    used: set[str] = set()

    def decide(site: Site) -> Scalar:
        if site.address not in found:
            raise InputError(f"{site.address}: a decision is missing.")
        used.add(site.address)
        return found[site.address]

    tree = fill(space, decide)
    if len(used) < len(found):
        extra = next(address for address in found if address not in used)
        raise InputError(f"{extra}: there is nothing to decide, with the decisions before it.")
    return tree


def least_depths(tree: Tree) -> Callable[[Node], float]:
    """How many rules within rules a part needs at least; infinity where it never ends."""
    needed: dict[str, float] = {name: math.inf for name, _ in tree.rules}
    shared = dict(tree.shared)

    def least(node: Node) -> float:
        match node:
            case Table(items):
                return max((least(part) for _, part in items), default=0)
            case Row(parts):
                return max(map(least, parts), default=0)
            case Pick(options):
                return min(map(least, options))
            case Repeat(body, low, _):
                return least(body) if low else 0
            case Same(name):
                return least(shared[name])
            case Rule(name):
                return 1 + needed[name]
            case Decided(_, _, inside):
                return least(inside)
        return 0

    for _ in tree.rules:  # a fixed point is reached after as many rounds as there are rules
        needed = {name: least(body) for name, body in tree.rules}
    return least


def draw(generator: Any) -> Decide:
    """Decisions that are uniform, on each node's own scale."""

    def decide(site: Site) -> Scalar:
        node = site.node
        match node:
            case Pick():
                return node.label(site.options[int(generator.integers(len(site.options)))])
            case Repeat(_, low, high):
                return int(generator.integers(low, high + 1))
            case Number():
                return node.at(float(generator.random()))

    return decide
