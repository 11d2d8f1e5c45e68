"""Searchers that ask some questions, wait for all their answers, and think again.

    def descent(number) -> Thoughts:           # 0 first, then 1, 2... for beginning elsewhere
        scores = yield [point, point]          # asked at the same time, answered in any order
        ...

A thought is a list of points; what comes back is their scores, minus infinity for a failure.
What was asked before is not asked again: its score is known.
"""

import math
from collections.abc import Callable, Generator
from typing import Any

from veldt.search.searcher import Question
from veldt.search.space.identity import canonical
from veldt.search.space.space import Point

Thoughts = Generator[list[Point], list[float], None]
IDLE = 100  # descents without anything new, after which there is nothing left to ask


class Rounds:
    """A searcher from its thoughts, which depend on the scores alone.

    Args:
        trials: Questions at most; there are fewer if there is nothing left to ask.
        descent: The thoughts of the n-th.
    """

    def __init__(self, trials: int, descent: Callable[[int], Thoughts]) -> None:
        self._trials, self._descent = trials, descent
        self._points: list[Point] = []
        self._scores: dict[int, float | None] = {}
        self._numbers: dict[str, int] = {}  # of the questions, by point
        self._begun = 0  # descents
        self._idle = 0  # of them, without anything new so far
        self._thoughts: Thoughts | None = None
        self._round: list[Point] = []
        self._new: list[Point] = []  # of this round, not asked yet
        self._think()

    def ask(self) -> Question | None:
        number = len(self._points)
        if number == self._trials or not self._new:
            return None
        point = self._new.pop(0)
        self._numbers[canonical(point)] = number
        self._points.append(point)
        return Question(number, point)

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        if number in self._scores:
            return  # what comes of a point later has no part in its round
        self._scores[number] = score
        if not self._new and len(self._scores) == len(self._points):
            self._think()

    def _think(self) -> None:
        """Goes on until there is something to ask, or there will be nothing more."""
        while not self._over:
            try:
                if self._thoughts is None:
                    self._thoughts = self._descent(self._begun)
                    self._begun, self._idle = self._begun + 1, self._idle + 1
                    self._round = next(self._thoughts)
                else:
                    self._round = self._thoughts.send([self._score(p) for p in self._round])
            except StopIteration:
                self._thoughts = None
                continue
            known = self._numbers
            fresh = {canonical(p): p for p in self._round if canonical(p) not in known}
            self._new = list(fresh.values())
            if self._new:
                self._idle = 0
                return

    @property
    def _over(self) -> bool:
        return self._idle == IDLE and self._thoughts is None

    def _score(self, point: Point) -> float:
        score = self._scores[self._numbers[canonical(point)]]
        return -math.inf if score is None else score

    @property
    def done(self) -> bool:
        asked = self._over or len(self._points) == self._trials
        return asked and len(self._scores) == len(self._points)

    def state(self) -> dict[str, Any]:
        return {"points": self._points, "scores": dict(sorted(self._scores.items()))}
