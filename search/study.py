"""A study: one search from its settings and a folder to a summary.

    Searcher --ask--> Journal --job--> Crew --outcome--> Journal --tell--> Searcher

The coordinator owns the loop. Whatever happens is in the journal before anything
follows from it, so that a study killed at any moment goes on with the same questions.
"""

import collections
import dataclasses
import functools
import math
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
Report = Callable[[str, dict[str, Any]], None]


class Study:
    """The coordinator's book: the searcher, the journal, and what is still to do.

    Three phases, each a set of jobs: the trials that the searcher asks for, the
    validation of the finalists, and the winner's own training.

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
        self._waiting: collections.deque[str] = collections.deque()  # jobs for idle workers
        self._attempts: collections.Counter[str] = collections.Counter()  # that failed
        self.answers: dict[str, dict[str, Any]] = {}  # job -> what it came to
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
                self._waiting.append(trial_name(question.number))
            case "fail":
                self._attempts[body["name"]] += 1
            case "tell":
                self.searcher.tell(body["number"], body["score"])
                self.answers[body["name"]] = body
                self._waiting.remove(body["name"])
            case "validate" | "heldout" if body["score"] is not None:
                self.answers[body["name"]] = body

    def run(self, crew: Crew, stop: Callable[[], bool]) -> dict[str, Any]:
        """Has every question answered, and the winner chosen and proved.

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
            self._work(crew, stop, self._ask, lambda: self.searcher.done)
            if self.searcher.best is None:
                raise RunFailed(
                    f"all {len(self.told)} trials failed; the last one: "
                    f"{self.told[max(self.told)]['reason']}"
                )
            for jobs in (self._validations(), [WINNER]):
                self._waiting.extend(name for name in jobs if name not in self.answers)
                answered = functools.partial(self._answered, jobs)
                self._work(crew, stop, lambda: None, answered)
            if self.answers[WINNER]["score"] is None:
                raise RunFailed(
                    f"the winner could not be trained again: {self.answers[WINNER]['reason']}"
                )
        finally:
            self._journal.append("pause")
        return self.summary(crew.ranks)

    def _work(
        self,
        crew: Crew,
        stop: Callable[[], bool],
        more: Callable[[], str | None],
        done: Callable[[], bool],
    ) -> None:
        """Keeps the crew busy until `done`; `more` is asked when no job is waiting."""
        while not done():
            for worker in crew.idle():
                name = self._waiting.popleft() if self._waiting else more()
                if name is None:
                    break
                self._event(
                    "start",
                    name=name,
                    number=self._number(name),
                    attempt=self._attempts[name],
                    worker=worker,
                )
                crew.start(worker, self._job(name))
            if stop():
                raise Interrupted(
                    f"stopped with {len(self.told)} trials done; "
                    "go on with the same command and --resume."
                )
            outcome = crew.poll(POLL_S)
            if outcome is not None:
                self._enter(outcome)

    def _answered(self, jobs: list[str]) -> bool:
        return all(name in self.answers for name in jobs)

    def _ask(self) -> str | None:
        question = self.searcher.ask()
        if question is None:
            return None
        self._event("ask", number=question.number, point=question.point)
        self._questions[question.number] = question
        return trial_name(question.number)

    def _enter(self, outcome: Outcome) -> None:
        """Writes down what became of a job."""
        name = outcome.name
        if outcome.wrong_input:
            raise InputError(f"{name}: {outcome.reason}")
        number = self._number(name)
        if outcome.score is None:
            attempt = self._attempts[name]
            self._attempts[name] += 1
            self._event("fail", name=name, number=number, attempt=attempt, reason=outcome.reason)
            if not outcome.final and self._attempts[name] <= self._settings.trial.retries:
                self._waiting.appendleft(name)
                return
        kind = _kind(name)
        body = dataclasses.asdict(outcome) | {"number": number}
        self._event({"trial": "tell", "validate": "validate", WINNER: "heldout"}[kind], **body)
        self.answers[name] = self._journal.events[-1].body
        if kind == "trial":
            self.searcher.tell(number, outcome.score)

    def _number(self, name: str) -> int:
        """The trial that a job is about."""
        return self.winner.number if name == WINNER else int(name.split("-")[1])

    def _job(self, name: str) -> Job:
        """What the job of this name is; its key is all it draws from."""
        settings, number = self._settings, self._number(name)
        match _kind(name):
            case "trial":
                key, over = self._key.child("trial", number), {}
                evaluation, folder = settings.evaluation, self._folder / "trials" / name
            case "validate":
                key = self._key.child("validate", number, int(name.split("-")[2]))
                over, folder = settings.heldout.settings, self._folder / "validations" / name
                evaluation = settings.heldout.evaluation
            case _:
                key = self._key.child("heldout")
                over, folder = settings.heldout.settings, self._folder / name
                evaluation = settings.heldout.evaluation
        point, seed = self._questions[number].point, key.child("train").integer()
        return Job(
            name=name,
            settings=settings.settings_of(point, seed, over).dump(),
            evaluation=evaluation.dump(),
            evaluation_seed=key.child("evaluate").integer(),
            folder=str(folder),
        )

    @property
    def told(self) -> dict[int, dict[str, Any]]:
        """The answers of the trials, by number."""
        return {
            body["number"]: body for name, body in self.answers.items() if _kind(name) == "trial"
        }

    def _finalists(self) -> list[int]:
        """The trials with the highest scores, earlier ones first among equals."""
        scored = [(n, body["score"]) for n, body in self.told.items() if body["score"] is not None]
        order = sorted(scored, key=lambda pair: (-pair[1], pair[0]))
        return [number for number, _ in order[: self._settings.heldout.finalists]]

    def _validations(self) -> list[str]:
        """The jobs that choose among the finalists; none if there is one finalist."""
        finalists, replicates = self._finalists(), range(self._settings.heldout.validations)
        if len(finalists) == 1:
            return []
        # One of each before the second of any, so that no worker waits for a finalist.
        return [f"validate-{number:04d}-{r}" for r in replicates for number in finalists]

    def validation_score(self, number: int) -> float | None:
        """The mean over a finalist's validations; None if one failed or there are none."""
        bodies = [
            body
            for name, body in self.answers.items()
            if _kind(name) == "validate" and body["number"] == number
        ]
        scores = [body["score"] for body in bodies]
        # fsum: the same whatever the order in which they came.
        return None if not scores or None in scores else math.fsum(scores) / len(scores)

    @property
    def winner(self) -> Question:
        """The finalist with the highest validation, or the highest score if there is one."""

        def merit(number: int) -> float:
            score = self.validation_score(number)
            return -math.inf if score is None else score

        return self._questions[max(self._finalists(), key=merit)]

    def _event(self, kind: str, **body: Any) -> None:
        self._journal.append(kind, **body)
        self._report(kind, body)

    def summary(self, ranks: int) -> dict[str, Any]:
        """The numbers of summary.json; "best" is the winner."""
        winner, told = self.winner, self.told
        evaluation = self.answers[WINNER]["evaluation"]
        return {
            "trials": len(told),
            "failed_trials": sum(body["score"] is None for body in told.values()),
            "failed_attempts": sum(self._attempts.values()),
            "highest_score": self.searcher.best_score,
            "best_trial": winner.number,
            "best_score": told[winner.number]["score"],
            "best_settings": winner.point,
            "validation_mean_return": self.validation_score(winner.number),
            "heldout_mean_return": evaluation["mean_return"],
            "heldout_standard_error": evaluation["standard_error"],
            "heldout_episodes": evaluation["episodes"],
            "steps": sum(body["summary"].get("steps", 0) for body in self.answers.values()),
            "wall_seconds": round(self._seconds_before + time.monotonic() - self._begun, 3),
            "ranks": ranks,
            "seed": self._settings.seed,
            "fingerprint": fingerprint(self.searcher),
        }


def trial_name(number: int) -> str:
    """Of a trial's job and of its folder."""
    return f"trial-{number:04d}"


def _kind(name: str) -> str:
    """ "trial", "validate" or "winner"."""
    return name.partition("-")[0]


def sessions_seconds(events: list[Event]) -> float:
    """Seconds that the sessions of a log were at work, killed ones up to their last event."""
    total, begun, last = 0.0, 0.0, 0.0
    for event in events:
        if event.kind == "session":
            total += last - begun
            begun = event.time
        last = event.time
    return total + last - begun
