"""CMA-ES over mixed spaces: CatCMA with margin, by the library `cmaes`.

Hamano et al. 2025, "CatCMA with Margin for Single- and Multi-Objective Mixed-Variable Black-Box
Optimization", arXiv:2504.07884. Numbers have a Gaussian, in the unit cube; where there are only
a few that are allowed, the margin keeps the others within reach. Picks have probabilities.

Nobody is waited for: a generation is as many answers as it has members, whoever came first; a
member that was drawn for an earlier one is a foreign solution, and not allowed to pull further
than a member would (Hansen 2011, "Injecting External Solutions Into CMA-ES", arXiv:1110.4181).
Trainings of one length make a generation; what failed is last in the next one that is full.

What a point does not reach counts for nothing: in its place stands the mean, and the variance
there stays what it was. Once the Gaussian has shrunk to nothing, the search begins again
elsewhere, with twice the members (Auger and Hansen 2005, IPOP).
"""

import dataclasses
import math
from typing import Any, Literal

import cmaes
import numpy as np
import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.candidates import levels
from veldt.search.searcher import Question
from veldt.search.space.cube import encoded, width
from veldt.search.space.space import Point, Space
from veldt.search.space.tree import Pick
from veldt.search.vectors import Vector

SMALLEST, LARGEST = 1e-5, 10.0  # deviations in the unit cube; our numbers have five digits
ASNG = ("q", "s", "gamma", "Delta", "delta", "eps")  # the library's state of the picks


class CmaSearchSettings(Settings):
    """CatCMA with margin."""

    method: Literal["cma"] = "cma"
    trials: int = pydantic.Field(ge=1, le=1_000_000)
    population: int | None = pydantic.Field(None, ge=4, le=10_000)
    """Answers of a generation; 4 + 3 ln n if not given"""
    sigma: float = pydantic.Field(0.15, gt=0.0, le=1.0)
    """Deviation at first, of a number's whole range"""


@dataclasses.dataclass(frozen=True)
class _Member:
    """Of a generation."""

    point: Point
    numbers: Vector | None
    picks: Vector | None
    born: tuple[int, int]
    """restart and generation whose Gaussian it was drawn from"""


class _Axes:
    """Which coordinate of the library's is which node of a space."""

    def __init__(self, space: Space) -> None:
        self.any: list[str] = []
        self.few: dict[str, list[float]] = {}  # address -> where its levels are in the cube
        self.picks: dict[str, int] = {}  # address -> options
        self.slots: dict[str, int] = {}  # address -> first coordinate in the cube
        self.nodes = space.nodes
        at = 0
        for address, node in self.nodes.items():
            self.slots[address] = at
            at += width(node)
            if isinstance(node, Pick):
                if len(node.options) > 1:
                    self.picks[address] = len(node.options)
            elif (known := levels(node)) is None:
                self.any.append(address)
            elif len(known) > 1:
                self.few[address] = known.tolist()
        self.dimensions = at
        self.numbers = [*self.any, *self.few]

    def probabilities(self, start: Point) -> Vector:
        """Of the options at first, [picks, most options]; half for the one to start with."""
        found = np.zeros((len(self.picks), max(self.picks.values())))
        for i, (address, options) in enumerate(self.picks.items()):
            found[i, :options] = 1.0 / options
            if address in start:
                chosen = encoded(self.nodes[address], start[address])
                found[i, :options] = 0.5 / options + 0.5 * chosen
        return found

    def chosen(self, point: Point) -> Vector | None:
        """The options of a point, [picks, most options]; a pick that is not reached has none."""
        if not self.picks:
            return None
        found = np.zeros((len(self.picks), max(self.picks.values())))
        for i, (address, options) in enumerate(self.picks.items()):
            if address in point:
                found[i, :options] = encoded(self.nodes[address], point[address])
        return found

    def vector(self, solution: Any) -> Vector:
        """A solution's coordinates in the cube."""
        found = np.full(self.dimensions, 0.5)
        for i, address in enumerate(self.any):
            found[self.slots[address]] = solution.x[i]
        for i, address in enumerate(self.few):
            found[self.slots[address]] = solution.z[i]
        for i, (address, options) in enumerate(self.picks.items()):
            begin = self.slots[address]
            found[begin : begin + options] = solution.c[i, :options]
        return found


class CmaSearch:
    """CMA-ES that also decides how many and which."""

    Settings = CmaSearchSettings
    learns_at_once = True

    def __init__(
        self, settings: CmaSearchSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        self._settings, self._space, self._key = settings, space, key
        self._axes = _Axes(space)
        self._points: list[Point] = []
        self._members: dict[int, _Member] = {}  # a foreign one has a number below 0
        self._scores: dict[int, dict[float, float | None]] = {}
        self._pools: dict[float, dict[int, float]] = {}  # share -> answers of no generation yet
        self._failed: list[int] = []
        self._restarts = 0
        self._begin(start or {})

    def _begin(self, start: Point) -> None:
        axes, settings = self._axes, self._settings
        count = len(axes.numbers)
        size = settings.population or 4 + int(3 * math.log(count + len(axes.picks)))
        mean = np.full(count, 0.5)
        for i, address in enumerate(axes.numbers):
            if address in start:
                mean[i] = encoded(axes.nodes[address], start[address])[0]
        self._size = size * 2**self._restarts
        self._library = cmaes.CatCMAwM(
            x_space=[[0.0, 1.0]] * len(axes.any) or None,
            z_space=list(axes.few.values()) or None,
            c_space=list(axes.picks.values()) or None,
            population_size=self._size,
            mean=mean,
            sigma=settings.sigma,
            cov=np.eye(count),
            cat_param=axes.probabilities(start) if axes.picks else None,
        )

    def ask(self) -> Question | None:
        number = len(self._points)
        if number == self._settings.trials:
            return None
        self._library.reseed_rng(self._key.child("point", number).integer())
        solution = self._library.ask()
        point = self._space.decode(self._axes.vector(solution))
        self._members[number] = _Member(point, solution._v_raw, solution.c, self._now)
        self._points.append(point)
        return Question(number, point)

    def learn(self, point: Point, score: float, share: float = 1.0) -> None:
        """Takes in what somebody else asked about."""
        number = min(self._members, default=0)
        number = min(number, 0) - 1
        vector, axes = self._space.encode(point), self._axes
        v = np.array([vector[axes.slots[address]] for address in axes.numbers])
        self._members[number] = _Member(point, v, axes.chosen(point), (-1, -1))
        self._answered(number, score, share)

    @property
    def _now(self) -> tuple[int, int]:
        return self._restarts, self._library.generation

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        self._scores.setdefault(number, {})[share] = score
        self._answered(number, score, share)

    def _answered(self, number: int, score: float | None, share: float) -> None:
        if score is None:
            self._failed.append(number)
            pool = max(self._pools.values(), key=len, default={})
        else:
            pool = self._pools.setdefault(share, {})
            pool[number] = score
        if len(pool) + len(self._failed) >= self._size:
            best = sorted(pool, key=lambda n: (-pool[n], n))
            if best:
                self._learn([*best, *self._failed])
            pool.clear()
            self._failed.clear()

    def _learn(self, members: list[int]) -> None:
        """A generation, the best first. Ranks are told, not scores: nothing is lost by it, and
        the library's penalties need a scale that is never 0."""
        library = self._library
        told = [(self._solution(number), float(rank)) for rank, number in enumerate(members)]
        asng = {name: np.copy(getattr(library, f"_{name}")) for name in self._asng}
        gaussian = (library._sigma, np.diag(library._C).copy()) if self._axes.numbers else None
        with np.errstate(divide="ignore", invalid="ignore"):
            library.tell(told)
        if self._asng and not np.isfinite(library._s).all():  # no member had anything to pick
            for name, value in asng.items():
                setattr(library, f"_{name}", value if value.ndim else value.item())
        if gaussian is not None:
            self._keep(*gaussian, members)
            self._start_again()

    @property
    def _asng(self) -> tuple[str, ...]:
        return ASNG if self._axes.picks else ()

    def _solution(self, number: int) -> Any:
        """A member as the library is told it."""
        member, axes, library = self._members[number], self._axes, self._library
        point = member.point
        v, c = None, None
        if axes.numbers:
            away = (member.numbers - library._mean) * [name in point for name in axes.numbers]
            if member.born != self._now:
                inverse, spread = library._eigen_decomposition()
                n = len(away)
                length = np.linalg.norm(inverse.T @ (away / library._A) / spread) / library._sigma
                away *= min(1.0, (math.sqrt(n) + 2 * n / (n + 2)) / max(length, 1e-9))  # (eq. 4)
            v = library._mean + away
        if axes.picks:
            reached = np.array([name in point for name in axes.picks])
            c = np.where(reached[:, None], member.picks, library._q)
        return cmaes.CatCMAwM.Solution(c=c, _v_raw=v)

    def _keep(self, sigma: float, variance: Vector, members: list[int]) -> None:
        """Undoes what members at the mean, for not reaching a number, did to its variance."""
        library, names = self._library, self._axes.numbers
        reached = np.mean(
            [[name in self._members[n].point for name in names] for n in members], axis=0
        )
        if reached.min() == 1.0:
            return
        # A path of steps that are 0 in some directions is shorter for it.
        shorter = 1.0 - math.sqrt(reached.mean())
        library._sigma *= math.exp(library._c_sigma / library._d_sigma * shorter)
        new, old = np.diag(library._C), variance * (sigma / library._sigma) ** 2
        scale = np.sqrt(reached + (1.0 - reached) * old / new)
        library._C *= np.outer(scale, scale)
        library._B = library._D = None

    def _start_again(self) -> None:
        """If the Gaussian is a point, or has lost all bounds."""
        library, many = self._library, len(self._axes.any)
        spread = (library._sigma * library._A * np.sqrt(np.diag(library._C)))[:many]
        if many and not SMALLEST < spread.max() < LARGEST:
            self._restarts += 1
            random = self._key.child("restart", self._restarts).generator()
            self._begin(self._space.sample(random))

    @property
    def done(self) -> bool:
        return len(self._scores) == self._settings.trials

    def state(self) -> dict[str, Any]:
        return {
            "points": self._points,
            "scores": [[n, sorted(s.items())] for n, s in sorted(self._scores.items())],
        }
