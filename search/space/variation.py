"""Neighbours of a point: a part grown anew, a part taken from another point.

Mutation regrows a site with all that hangs on it; crossover puts into one point what another
has at a site of the same kind: the same open node, or the same rule of a grammar, so that
what comes out is again a point of the space (homologous crossover).
"""

import dataclasses

import numpy as np

from veldt.platform.errors import InputError
from veldt.search.space.tree import Decided, Node, Number, Repeat, Row, Rule, Scalar, Table, Tree
from veldt.search.space.walk import (
    SHARED,
    Decide,
    Site,
    decided_nodes,
    decisions,
    draw,
    fill,
    join,
    reopened,
    within,
)

Place = tuple[str, Decided]


def sites(tree: Tree) -> list[Place]:
    """Where decisions were made, in prefix order."""
    return list(decided_nodes(tree))


def parts(tree: Tree) -> list[Place]:
    """Sites, and the rules that were followed: whatever can be grafted."""
    return list(decided_nodes(tree, rules=True))


def replaced(tree: Tree, at: Place, new: Node) -> Tree:
    """The tree with another node in the place of a decided one."""
    address, old = at

    def swap(node: Node, here: str) -> Node:
        if here == address and node is old:
            return new
        match node:
            case Table(items):
                return Table(tuple((name, swap(part, join(here, name))) for name, part in items))
            case Row(inner):
                return Row(tuple(swap(part, join(here, str(i))) for i, part in enumerate(inner)))
            case Decided(site, decision, inside):
                return Decided(site, decision, swap(inside, within(here, site, decision)))
        return node

    shared = tuple((name, swap(part, join(SHARED, name))) for name, part in tree.shared)
    return dataclasses.replace(tree, root=swap(tree.root, ""), shared=shared)


def regrow(tree: Tree, address: str, decide: Decide) -> Tree:
    """The tree with what was decided at an address, and all that hung on it, decided anew.

    Raises:
        InputError: if nothing was decided there.
    """
    for place in decided_nodes(tree):
        if place[0] == address:
            return fill(replaced(tree, place, place[1].site), decide)
    raise InputError(f"{address}: nothing was decided there.")


def graft(tree: Tree, at: Place, other: Tree, source: Place, decide: Decide) -> Tree | None:
    """The tree with what another has at a site, in the place of what it has itself.

    Shared parts stay the tree's own; what of them was not decided yet is by `decide`.

    Returns:
        None if the two are not of one kind, or what comes in is too deep there.
    """
    if at[1].site != source[1].site:
        return None
    grafted = replaced(tree, at, source[1])
    if deepest(grafted) > tree.depth:
        return None
    return fill(grafted, decide)


def deepest(tree: Tree) -> int:
    """Rules within rules, at most."""

    def depth(node: Node) -> int:
        match node:
            case Table(items):
                return max((depth(part) for _, part in items), default=0)
            case Row(inner):
                return max(map(depth, inner), default=0)
            case Decided(site, _, inside):
                return depth(inside) + isinstance(site, Rule)
        return 0

    return max(depth(tree.root), *(depth(part) for _, part in tree.shared), 0)


def mutated(tree: Tree, generator: np.random.Generator) -> Tree:
    """One site, uniform among all, grown anew until something is different, if it can be."""
    for _ in range(64):
        places = sites(tree)
        if not places:
            return tree
        address = places[int(generator.integers(len(places)))][0]
        found = regrow(tree, address, draw(generator))
        if found != tree:
            return found
    return tree


def crossed(tree: Tree, other: Tree, generator: np.random.Generator) -> Tree:
    """The tree with one part of another's; the tree itself if they have nothing in common."""
    kinds: dict[Node, list[Place]] = {}
    for place in parts(other):
        kinds.setdefault(place[1].site, []).append(place)
    pairs = [(place, source) for place in parts(tree) for source in kinds.get(place[1].site, ())]
    pairs = [(place, source) for place, source in pairs if place[1] != source[1]]
    while pairs:
        place, source = pairs.pop(int(generator.integers(len(pairs))))
        found = graft(tree, place, other, source, draw(generator))
        if found is not None:
            return found
    return tree


def perturbed(
    tree: Tree,
    generator: np.random.Generator,
    factor: float = 1.2,
    resample: float = 0.25,
    chance: float = 1.0,
) -> Tree:
    """As population-based training explores (Jaderberg et al. 2017, arXiv:1711.09846).

    Each number is multiplied or divided by `factor` and kept within its bounds, moves one step
    where it has steps, or is drawn anew with probability `resample`; other decisions are drawn
    anew with that probability and stay otherwise. With a `chance` below 1 each is left alone
    unless that comes up.
    """
    before, fresh = decisions(tree), draw(generator)

    def decide(site: Site) -> Scalar:
        old = before.get(site.address)
        if old is not None and chance < 1.0 and generator.random() >= chance:
            return still(site, old)
        again = generator.random() < resample
        up = bool(generator.random() < 0.5)
        if old is None or again:
            return fresh(site)
        if isinstance(site.node, Number):
            assert isinstance(old, int | float)
            node = site.node
            if node.step is not None:
                return node.nearest(old + (node.step if up else -node.step))
            moved = old * factor if up else old / factor
            if node.whole and round(moved) == old:
                moved = old + (1 if up else -1)
            return node.nearest(moved)
        return still(site, old)

    def still(site: Site, old: Scalar) -> Scalar:
        if isinstance(site.node, Number | Repeat):
            return old
        option = site.node.index(old)
        return old if option in site.options else fresh(site)

    return fill(opened(tree), decide)


def opened(tree: Tree) -> Tree:
    """The space that a point is of."""

    shared = tuple((name, reopened(part)) for name, part in tree.shared)
    return dataclasses.replace(tree, root=reopened(tree.root), shared=shared)
