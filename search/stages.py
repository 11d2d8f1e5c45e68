"""Several searchers one after another, each beginning at the best point so far."""

from collections.abc import Callable, Sequence
from typing import Any

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.catalogue import searcher
from veldt.search.searcher import Question, Searcher, tell_diverged
from veldt.search.space.space import Point, Space


class Stages:
    """A searcher made of searchers, with one numbering for all questions.

    Args:
        settings: One for each stage, of the classes that `method` names.
        space: What is searched.
        key: Stage `i` gets `key.child("stage", i)`.
    """

    def __init__(self, settings: Sequence[Settings], space: Space, key: Key) -> None:
        self._build: list[Callable[[Point | None], Searcher]] = []
        for index, stage in enumerate(settings):
            build = searcher(stage.method)  # type: ignore[attr-defined]
            child = key.child("stage", index)

            def built(
                start: Point | None, build: Any = build, stage: Any = stage, child: Key = child
            ) -> Searcher:
                begun: Searcher = build(stage, space, child, start)
                return begun

            self._build.append(built)
        self._stages: list[Searcher] = [self._build[0](None)]
        self._questions: list[tuple[int, Question]] = []  # stage, its own question
        self._scores: dict[int, float | None] = {}
        self._shares: dict[int, float] = {}

    def ask(self) -> Question | None:
        if self._stages[-1].done and len(self._stages) < len(self._build):
            best = self.best
            self._stages.append(self._build[len(self._stages)](best.point if best else None))
        question = self._stages[-1].ask()
        if question is None:
            return None
        self._questions.append((len(self._stages) - 1, question))
        return Question(len(self._questions) - 1, question.point)

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        stage, question = self._questions[number]
        self._scores[number] = score
        self._shares[number] = share
        self._stages[stage].tell(question.number, score, share)

    def diverged(self, number: int, share: float = 1.0) -> None:
        stage, question = self._questions[number]
        self._scores[number] = None
        self._shares[number] = share
        tell_diverged(self._stages[stage], question.number, share)

    @property
    def done(self) -> bool:
        return len(self._stages) == len(self._build) and self._stages[-1].done

    @property
    def best(self) -> Question | None:
        """The question with the highest score among those that came furthest, the earliest of
        equals; None if all failed."""
        scored = [
            (self._shares[n], score, -n) for n, score in self._scores.items() if score is not None
        ]
        if not scored:
            return None
        number = -max(scored)[2]
        return Question(number, self._questions[number][1].point)

    @property
    def best_score(self) -> float | None:
        return None if self.best is None else self._scores[self.best.number]

    def stage_of(self, number: int) -> int:
        """The stage that asked a question, from 0."""
        return self._questions[number][0]

    def state(self) -> dict[str, Any]:
        return {
            "questions": [[stage, q.number, q.point] for stage, q in self._questions],
            "scores": dict(sorted(self._scores.items())),
            "stages": [stage.state() for stage in self._stages],
        }
