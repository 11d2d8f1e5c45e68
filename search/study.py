"""A study: one search from its settings and a folder to a summary.

    Searcher --ask--> Journal --job--> Crew --outcome--> Journal --tell--> Searcher

The coordinator owns the loop. Whatever happens is in the journal before anything
follows from it, so that a study killed at any moment goes on with the same questions.
"""

import collections
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.platform.errors import InputError, Interrupted, RunFailed
from veldt.platform.keys import Key
from veldt.search.crew import POLL_S, Crew
from veldt.search.journal import Event, Journal
from veldt.search.searcher import Question, fingerprint
from veldt.search.settings import SearchSettings
from veldt.search.stages import Stages
from veldt.search.trial import Job, Outcome

WINNER = "winner"
log = logging.getLogger("veldt")
Report = Callable[[str, dict[str, Any]], None]


class Study:
    """The coordinator's book: the searcher, the journal, and what is still to do.

    Args:
        settings: Of the search.
        folder: The study's folder; trials train in its sub-folders.
        journal: Its events so far are replayed.
        report: Called with each event as it happens.

    Raises:
        InputError: if the journal is of another search.
    """

    def __init__(
        self, settings: SearchSettings, folder: Path, journal: Journal, report: Report
    ) -> None:
        self._settings, self._folder, self._journal = settings, folder, journal
        self._report = report
        self._key = Key(settings.seed)
        self.searcher = Stages(settings.stages, settings.searched, self._key.child("searcher"))
        self._questions: dict[int, Question] = {}
        self._open: collections.deque[int] = collections.deque()  # to be given to a worker
        self._attempts: collections.Counter[int] = collections.Counter()  # that failed
        self.told: dict[int, dict[str, Any]] = {}
        self.heldout: dict[str, Any] | None = None
        self._seconds_before = sessions_seconds(journal.events)
        self._begun = time.monotonic()
        for event in journal.events:
            self._replay(event)

    def _replay(self, event: Event) -> None:
        body = event.body
        match event.kind:
            case "ask":
                question = self.searcher.ask()
                if question is None or (question.number, question.point) != (
                    body["number"],
                    body["point"],
                ):
                    raise InputError(
                        f"{self._folder}: the log's question {body['number']} is not what this "
                        "search asks; it was made by other settings or another version."
                    )
                self._questions[question.number] = question
                self._open.append(question.number)
            case "fail" if body["number"] is not None:
                self._attempts[body["number"]] += 1
            case "tell":
                self.searcher.tell(body["number"], body["score"])
                self.told[body["number"]] = body
                self._open.remove(body["number"])
            case "heldout":
                self.heldout = body

    def run(self, crew: Crew, stop: Callable[[], bool]) -> dict[str, Any]:
        """Has every question answered, and the winner proved.

        Raises:
            Interrupted: if `stop` ended it; the jobs under way have written checkpoints.
        """
        self._event(
            "session",
            workers=crew.size,
            trials=len(self.told),
            best_score=self.searcher.best_score,
        )
        try:
            while not self.searcher.done:
                self._dispatch(crew)
                self._collect(crew, stop)
            if self.searcher.best is None:
                raise RunFailed(
                    f"all {len(self.told)} trials failed; the last one: "
                    f"{self.told[max(self.told)]['reason']}"
                )
            self._prove(self.searcher.best, crew, stop)
        finally:
            self._journal.append("pause")
        return self.summary(crew.ranks)

    def _dispatch(self, crew: Crew) -> None:
        for worker in crew.idle():
            if not self._open:
                question = self.searcher.ask()
                if question is None:
                    return
                self._event("ask", number=question.number, point=question.point)
                self._questions[question.number] = question
                self._open.append(question.number)
            number = self._open.popleft()
            self._event("start", number=number, attempt=self._attempts[number], worker=worker)
            crew.start(worker, self._job(number))

    def _job(self, number: int) -> Job:
        key = self._key.child("trial", number)
        name = f"trial-{number:04d}"
        return self._named(name, self._questions[number], key, {}, self._settings.evaluation)

    def _named(
        self, name: str, question: Question, key: Key, over: dict[str, Any], evaluation: Any
    ) -> Job:
        settings = self._settings.settings_of(question.point, key.child("train").integer(), over)
        return Job(
            name=name,
            settings=settings.dump(),
            evaluation=evaluation.dump(),
            evaluation_seed=key.child("evaluate").integer(),
            folder=str(self._folder / "trials" / name if name != WINNER else self._folder / name),
        )

    def _collect(self, crew: Crew, stop: Callable[[], bool]) -> Outcome | None:
        """Waits a moment for an outcome and enters it."""
        if stop():
            raise Interrupted(
                f"stopped with {len(self.told)} trials done; "
                "go on with the same command and --resume."
            )
        outcome = crew.poll(POLL_S)
        if outcome is not None and outcome.wrong_input:
            raise InputError(f"{outcome.name}: {outcome.reason}")
        if outcome is None or outcome.name == WINNER:
            return outcome
        number = int(outcome.name.rpartition("-")[2])
        if outcome.score is None:
            attempt = self._attempts[number]
            self._attempts[number] += 1
            self._event("fail", number=number, attempt=attempt, reason=outcome.reason)
            if not outcome.final and self._attempts[number] <= self._settings.trial.retries:
                self._open.appendleft(number)
                return None
        self._event("tell", number=number, **_answer(outcome))
        self.searcher.tell(number, outcome.score)
        self.told[number] = self._journal.events[-1].body
        return None

    def _prove(self, best: Question, crew: Crew, stop: Callable[[], bool]) -> None:
        """Trains the winner again on a fresh seed and evaluates it on fresh episodes."""
        heldout = self._settings.heldout
        key = self._key.child("heldout")
        job = self._named(WINNER, best, key, heldout.settings, heldout.evaluation)
        attempt = 0
        while self.heldout is None:
            self._event("start", number=None, attempt=attempt, worker=crew.idle()[0])
            crew.start(crew.idle()[0], job)
            while (outcome := self._collect(crew, stop)) is None:
                pass
            if outcome.score is None:
                self._event("fail", number=None, attempt=attempt, reason=outcome.reason)
                attempt += 1
                if outcome.final or attempt > self._settings.trial.retries:
                    raise RunFailed(
                        f"the winner (trial {best.number}) could not be trained again: "
                        f"{outcome.reason}"
                    )
                continue
            self._event("heldout", number=best.number, **_answer(outcome))
            self.heldout = self._journal.events[-1].body

    def _event(self, kind: str, **body: Any) -> None:
        self._journal.append(kind, **body)
        self._report(kind, body)

    def summary(self, ranks: int) -> dict[str, Any]:
        """The numbers of summary.json."""
        best = self.searcher.best
        heldout = self.heldout or {}
        evaluation = heldout.get("evaluation", {})
        return {
            "trials": len(self.told),
            "failed_trials": sum(body["score"] is None for body in self.told.values()),
            "failed_attempts": sum(self._attempts.values()),
            "best_trial": best.number if best else None,
            "best_score": self.searcher.best_score,
            "best_settings": best.point if best else None,
            "heldout_mean_return": evaluation.get("mean_return"),
            "heldout_standard_error": evaluation.get("standard_error"),
            "heldout_episodes": evaluation.get("episodes"),
            "steps": sum(
                body["summary"].get("steps", 0) for body in (*self.told.values(), heldout) if body
            ),
            "wall_seconds": round(self._seconds_before + time.monotonic() - self._begun, 3),
            "ranks": ranks,
            "seed": self._settings.seed,
            "fingerprint": fingerprint(self.searcher),
        }


def sessions_seconds(events: list[Event]) -> float:
    """Seconds that the sessions of a log were at work, killed ones up to their last event."""
    total, begun, last = 0.0, 0.0, 0.0
    for event in events:
        if event.kind == "session":
            total += last - begun
            begun = event.time
        last = event.time
    return total + last - begun


def _answer(outcome: Outcome) -> dict[str, Any]:
    return {
        "score": outcome.score,
        "reason": outcome.reason,
        "summary": outcome.summary,
        "evaluation": outcome.evaluation,
    }
