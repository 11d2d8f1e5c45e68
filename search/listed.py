"""Searchers whose questions nobody's answers change: the n-th point is known beforehand."""

import abc
from typing import Any

from veldt.search.searcher import Question
from veldt.search.space.space import Point


class Listed(abc.ABC):
    """So many points, in order.

    Args:
        trials: How many.
    """

    def __init__(self, trials: int) -> None:
        self._trials = trials
        self._points: list[Point] = []
        self._scores: dict[int, float | None] = {}

    @abc.abstractmethod
    def point(self, number: int) -> Point:
        """Question `number`'s."""

    def ask(self) -> Question | None:
        number = len(self._points)
        if number == self._trials:
            return None
        self._points.append(self.point(number))
        return Question(number, self._points[-1])

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        self._scores[number] = score

    @property
    def done(self) -> bool:
        return len(self._scores) == self._trials

    def state(self) -> dict[str, Any]:
        return {"points": self._points, "scores": dict(sorted(self._scores.items()))}
