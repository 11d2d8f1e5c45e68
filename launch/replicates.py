"""Trainings of a trial that differ in the seed alone: their mean and its interval, who of the
finalists was validated how often, and who dropped out of the race when."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import scipy.stats

from veldt.launch.console import number
from veldt.launch.intervals import CONFIDENCE
from veldt.search.findings import results
from veldt.search.proving import ROUNDS, still_in
from veldt.search.view import View

Proof = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Replicates:
    """Trainings that differ in the seed alone."""

    scores: tuple[float, ...]
    failed: int = 0

    @property
    def mean(self) -> float | None:
        return math.fsum(self.scores) / len(self.scores) if self.scores else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Student's, of the mean over seeds; None for fewer than two trainings."""
        count = len(self.scores)
        if count < 2:
            return None
        error = float(scipy.stats.sem(self.scores))
        half = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * error
        mean = math.fsum(self.scores) / count
        return mean - half, mean + half

    @property
    def text(self) -> str:
        """The interval for people."""
        bounds = self.interval
        if bounds is None:
            return "needs two trainings"
        return f"{number(bounds[0])} to {number(bounds[1])}"


def replicates(bodies: Sequence[Proof]) -> Replicates:
    scores = [body["score"] for body in bodies]
    return Replicates(tuple(s for s in scores if s is not None), scores.count(None))


def validations(view: View) -> dict[int, list[Proof]]:
    """Of each finalist, its longest ones, in the order of their seeds."""
    found: dict[int, list[tuple[int, int, Proof]]] = {}
    for body in results(view, "validate"):
        segment = view.segments[body["segment"]]
        found.setdefault(segment.trial, []).append((segment.end, segment.replicate, body))
    return {
        trial: [body for end, _, body in sorted(some, key=lambda s: s[:2]) if end == longest]
        for trial, some in found.items()
        if (longest := max(end for end, _, _ in some))
    }


def drop_outs(scores: dict[int, list[float | None]], rounds: int) -> dict[int, int]:
    """Who dropped out of the race, and after how many validations.

    Args:
        scores: Of each finalist, in the order of their seeds.
        rounds: Validations of each, at most.
    """
    there, found = list(scores), dict[int, int]()
    for before in range(ROUNDS, rounds):
        if len(there) < 2 or any(len(scores[trial]) < before for trial in there):
            break
        kept = still_in({trial: scores[trial][:before] for trial in there})
        found |= {trial: before for trial in there if trial not in kept}
        there = kept
    return found
