"""The simplex method: the worst of n + 1 points is reflected in the middle of the others.

Nelder and Mead 1965, "A Simplex Method for Function Minimization", The Computer Journal 7; the
constants of more than 5 dimensions are those of Gao and Han 2012, "Implementing the Nelder-Mead
simplex algorithm with adaptive parameters", Computational Optimization and Applications 51.

    centre c of all but the worst w        along(a) = c + a (c - w)
    reflection along(1)      expansion along(e)      contraction along(+k), along(-k)
    shrinking everything towards the best: b + s (x - b)

The simplex lives in all of R^n; beyond the cube's sides the function is its mirror image, so
that a simplex is never pressed flat against one. A simplex that has become too small, or on
which nothing is different any more, begins anew elsewhere. For refining: it believes every
score, and one answer at a time is all it can use, but for the n + 1 of a new simplex and the
n of a shrinking one.
"""

from typing import Literal

import numpy as np
import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.generational import folded, inside
from veldt.search.rounds import Rounds, Thoughts
from veldt.search.space.space import Point, Space
from veldt.search.vectors import Vector

ADAPTIVE = 5  # dimensions; the constants of more depend on them


class NelderMeadSettings(Settings):
    """How large a simplex is."""

    method: Literal["nelder-mead"] = "nelder-mead"
    trials: int = pydantic.Field(ge=1, le=1_000_000)
    size: float = pydantic.Field(0.25, gt=0.0, le=0.5)
    """Of a new one, along each side of the unit cube"""
    smallest: float = pydantic.Field(1e-3, gt=0.0, lt=1.0)
    """One that has become smaller begins anew elsewhere"""


class NelderMead(Rounds):
    """The first simplex is at the start, if there is one; the others are anywhere."""

    Settings = NelderMeadSettings

    def __init__(
        self, settings: NelderMeadSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        def descent(begun: int) -> Thoughts:
            there = None if begun else start
            first = corners(settings, space, key.child("simplex", begun), there)
            return _descent(space, first, settings.smallest)

        super().__init__(settings.trials, descent)


def constants(n: int) -> tuple[float, float, float]:
    """Of n dimensions: expansion e, contraction k, shrinking s."""
    if n > ADAPTIVE:
        return 1.0 + 2.0 / n, 0.75 - 0.5 / n, 1.0 - 1.0 / n
    return 2.0, 0.5, 0.5


def corners(settings: NelderMeadSettings, space: Space, key: Key, start: Point | None) -> Vector:
    """A new simplex [n + 1, n]: one point, and a step from it along each side.

    No step leads out of the cube: between a point and its mirror image there is a ridge.
    """
    random, n = key.generator(), space.dimensions
    first = random.random(n) if start is None else inside(space, start)
    steps = np.where(random.random(n) < 0.5, -settings.size, settings.size)
    steps = np.where(np.abs(first + steps - 0.5) > 0.5, -steps, steps)
    return np.vstack([first, first + np.diag(steps)])


def _descent(space: Space, simplex: Vector, smallest: float) -> Thoughts:
    """Until a simplex [n + 1, n] is too small, or nothing on it differs."""

    def points(*vectors: Vector) -> list[Point]:
        return [space.decode(folded(x)) for x in vectors]

    expansion, contraction, shrinking = constants(space.dimensions)
    scores = np.array((yield points(*simplex)))
    while True:
        order = np.argsort(-scores, kind="stable")
        simplex, scores = simplex[order], scores[order]
        here = points(*simplex)
        if np.abs(simplex - simplex[0]).max() < smallest or all(p == here[0] for p in here):
            return
        centre, worst = np.add.reduce(simplex[:-1], 0) / len(simplex[:-1]), simplex[-1]

        def along(a: float, c: Vector = centre, w: Vector = worst) -> Vector:
            return (1.0 + a) * c - a * w

        new = along(1.0)
        (score,) = yield points(new)
        if score > scores[0]:
            further = along(expansion)
            (beyond,) = yield points(further)
            if beyond > score:
                new, score = further, beyond
        elif score <= scores[-2]:
            better = score > scores[-1]  # than the worst: a contraction on its own side
            least = score if better else scores[-1]
            new = along(contraction if better else -contraction)
            (score,) = yield points(new)
            if score < least or (score == least and not better):
                simplex[1:] = simplex[0] + shrinking * (simplex[1:] - simplex[0])
                scores[1:] = yield points(*simplex[1:])
                continue
        simplex[-1], scores[-1] = new, score
