"""A genetic algorithm whose individuals are chains of seeds, however large their networks.

Such et al. 2017, "Deep Neuroevolution: Genetic Algorithms are a Competitive Alternative for
Training Deep Neural Networks for Reinforcement Learning", arXiv:1712.06567, algorithm 1:
truncation selection, mutation by normal noise, no crossover.

Legend: P members, T parents, a chain [L, 2] of (generation, member): the mutations that lead
from the start to an individual, each of them drawn from its key.

The paper plays 30 more episodes with the best ten to find the elite. Here the best of the
parents, `elites` of them, are members of the next generation too, and an individual's merit
is the mean of all the scores it has had: a lucky one is found out a generation later.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.strategies.fitness import LARGEST
from veldt.search.strategies.noise import WHOLE, Share, normal
from veldt.search.strategies.strategy import Population
from veldt.search.vectors import State, Vector

NOBODY = -1  # fills up chains that are shorter than the longest


class GeneticSettings(Settings):
    """The paper's knobs."""

    method: Literal["genetic"] = "genetic"
    population: int = pydantic.Field(ge=2, le=1_000_000)
    """P"""
    parents: int = pydantic.Field(ge=1)
    """T"""
    sigma: float = pydantic.Field(gt=0.0)
    """of a mutation"""
    first_sigma: float | None = pydantic.Field(None, gt=0.0)
    """of the first generation, around the start; sigma if not given"""
    elites: int = pydantic.Field(1, ge=0)
    """members that live on unchanged"""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> "GeneticSettings":
        if self.parents >= self.population:
            raise ValueError(
                f"parents = {self.parents} must be fewer than population = {self.population}"
            )
        if self.elites > self.parents:
            raise ValueError(f"elites = {self.elites} are among the parents = {self.parents}")
        return self


class Genetic:
    """The parents, best first."""

    Settings = GeneticSettings
    unrolls = 1

    def __init__(self, settings: GeneticSettings, start: Vector, key: Key) -> None:
        self._settings, self._key = settings, key
        self._start = start.astype(float)
        self._generation = 0
        self._chains = np.zeros((0, 0, 2), np.int64)  # [T, L, 2]
        self._totals, self._counts = np.zeros(0), np.zeros(0, np.int64)  # of their scores, [T]
        self._thetas: list[Vector] = []  # the parents themselves, rebuilt from their chains

    @property
    def centre(self) -> Vector:
        """The parent with the highest merit."""
        return self._thetas[0] if self._thetas else self._start

    def _mutation(self, generation: int, member: int) -> Vector:
        settings = self._settings
        first = settings.first_sigma or settings.sigma
        noise = normal(self._key.child("noise", generation, member), len(self._start))
        return (settings.sigma if generation else first) * noise

    def rebuild(self, chain: NDArray[np.int64]) -> Vector:
        """The parameters [n] that a chain [L, 2] leads to, always the same bits."""
        theta = self._start
        for generation, member in chain:
            if generation != NOBODY:
                theta = theta + self._mutation(int(generation), int(member))
        return theta

    @property
    def _elites(self) -> int:
        return min(self._settings.elites, len(self._thetas))

    def _parent(self, member: int) -> int | None:
        """Whose child a member is; None in the first generation."""
        if not self._thetas:
            return None
        generator = self._key.child("parent", self._generation, member).generator()
        return int(generator.integers(len(self._thetas)))

    def ask(self) -> Population:
        elites, generation, thetas = self._elites, self._generation, list(self._thetas)

        def candidate(member: int) -> Vector:
            if member < elites:
                return thetas[member]
            parent = self._parent(member)
            origin = self._start if parent is None else thetas[parent]
            return origin + self._mutation(generation, member)

        return Population(self._settings.population, candidate)

    def tell(self, scores: Vector, share: Share = WHOLE) -> None:
        elites, size = self._elites, self._settings.population
        known = np.where(np.isfinite(scores), scores.clip(-LARGEST, LARGEST), -np.inf)
        totals, counts = known.copy(), np.ones(size, np.int64)
        totals[:elites] += self._totals[:elites]
        counts[:elites] += self._counts[:elites]
        best = truncation(totals / counts, self._settings.parents)
        if best:
            population = self.ask()
            thetas = [population.candidate(member) for member in best]
            self._chains = self._lengthened(best, elites)
            self._thetas, self._totals, self._counts = thetas, totals[best], counts[best]
        self._generation += 1

    def _lengthened(self, best: list[int], elites: int) -> NDArray[np.int64]:
        """The chains of some members of this generation."""
        length = self._chains.shape[1]
        chains = np.full((len(best), length + 1, 2), NOBODY, np.int64)
        for row, member in enumerate(best):
            parent = member if member < elites else self._parent(member)
            if parent is not None:
                chains[row, :length] = self._chains[parent]
            if member >= elites:
                chains[row, length] = self._generation, member
        return chains

    def state(self) -> State:
        return {
            "chains": self._chains,
            "totals": self._totals,
            "counts": self._counts,
            "generation": np.array(self._generation),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._chains = state["chains"].copy()
        self._totals, self._counts = state["totals"].copy(), state["counts"].copy()
        self._generation = int(state["generation"])
        self._thetas = [self.rebuild(chain) for chain in self._chains]


def truncation(merits: Vector, parents: int) -> list[int]:
    """The members with the highest merits, best first; ties to the earlier, no failures."""
    order = np.argsort(-merits, kind="stable")[:parents]
    return [int(member) for member in order if merits[member] > -np.inf]
