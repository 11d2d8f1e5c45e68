"""A study: one search from its settings and a folder to a summary.

    Scheduler --wish--> Searcher --point--> Journal --job--> Crew --outcome--> Journal --> View
        ^                  ^                                                               |
        '------------------'---------------------------------------------------------------'

The coordinator owns the loop (`coordinator.py`); a study is asked and told. Whatever happens is
in the journal before anything follows from it, and what the searcher and the scheduler say
depends on the journal alone, so that a study killed at any moment goes on with the same
questions.

Three phases: trials are tuned; the best of them are validated, and the winner is proved, by
`proving.py`.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.platform.errors import InputError, RunFailed
from veldt.platform.keys import Key
from veldt.search import code_errors
from veldt.search.asked import left_out
from veldt.search.crew import Crew
from veldt.search.findings import findings, results
from veldt.search.jobs import Jobs
from veldt.search.journal import Event, Journal
from veldt.search.proving import Proving
from veldt.search.retention import OWN, Item, Retention
from veldt.search.schedulers.scheduler import Begin, Continue, Fork, Scheduler, Wish
from veldt.search.settings import SearchSettings
from veldt.search.stages import Stages
from veldt.search.trial import GivenUp, Heard, Job, Outcome, Reported
from veldt.search.view import Purpose, Segment, View

Report = Callable[[str, dict[str, Any]], None]


class Study:
    """Its book.

    Args:
        settings: Of the search.
        folder: The study's folder; trials train in its sub-folders.
        journal: Its events so far are replayed.
        report: Called with each event as it happens.

    Raises:
        InputError: if the journal is of another search.
    """

    priority = 0
    """beside other studies that share the workers; higher is more urgent"""

    def __init__(
        self, settings: SearchSettings, folder: Path, journal: Journal, report: Report
    ) -> None:
        self._settings, self.folder, self._journal = settings, folder, journal
        self._report = report
        self._key = Key(settings.seed)
        space, self._frames = settings.searched, settings.frames
        self._limit = settings.tuning_frames
        self.searcher = Stages(settings.stages, space, self._key.child("searcher"))
        plan = settings.plan(self._key.child("scheduler"))
        self._scheduler: Scheduler = settings.build_scheduler()(settings.scheduler, plan)
        self.view = View(self._frames)
        self._jobs = Jobs(settings, folder, self.view, self._scheduler)
        self._retention = Retention(
            settings.keep, folder, self.view, self._scheduler, settings.train is not None
        )
        self._going: list[Item] = []
        proof = settings.work.length(settings.heldout.settings)
        self.proving = Proving(settings.heldout, self.view, proof, self._segment)
        self._questions: dict[int, int] = {}  # trial -> the searcher's question
        self._waiting: list[Segment] = []  # begun, and nobody at work on it
        self._working: dict[int, Segment] = {}  # somebody is at work on it
        self._phases = (self._tuning, self.proving.validation, self.proving.test)
        self._phase = 0
        self._seconds_before = sessions_seconds(journal.events)
        self._begun = time.monotonic()
        for event in journal.events:
            self._replay(event)
        self._waiting = list(self.view.open())

    def _replay(self, event: Event) -> None:
        body = event.body
        if event.kind == "trial" and body["question"] is not None:
            question = self.searcher.ask()
            if question is None or (question.number, question.point) != (
                body["question"],
                body["point"],
            ):
                raise InputError(
                    f"{self.folder}: the log's question {body['question']} is not what this "
                    "search asks; it was made by other settings or another version."
                )
        self._take(event.kind, body)

    def _event(self, kind: str, **body: Any) -> None:
        self._journal.add(kind, **body)
        written = self._journal.events[-1].body
        self._take(kind, written)
        self._report(kind, written)

    def _take(self, kind: str, body: dict[str, Any]) -> None:
        """What follows from an event, now and when it is replayed."""
        self.view.take(kind, body)
        if kind == "trial" and body["question"] is not None:
            self._questions[body["number"]] = body["question"]
        elif kind == "result":
            segment = self.view.segments[body["segment"]]
            if segment.purpose == "tune" and segment.trial in self._questions:
                share = min(1.0, body["frames"] / self._frames)
                question = self._questions[segment.trial]
                if body.get("diverged"):
                    self.searcher.diverged(question, share)
                else:
                    self.searcher.tell(question, body["score"], share)

    def extend(self, top: int, frames: int) -> None:
        """Has the best trials go on, also those that were done.

        Raises:
            InputError: if they cannot, or none is shorter than that.
        """
        best = [trial for trial in self.view.scored[:top] if trial.frames < frames]
        if not best:
            raise InputError(
                f"none of the best {top} trials is shorter than {frames:,} frames; a whole one "
                f"has {self._frames:,}."
            )
        for trial in best:
            self._settings.work.demand_longer(trial.point, frames)
            if trial.parent is not None and (trial.number, OWN) in self.view.dropped:
                raise InputError(
                    f"trial {trial.number} began with another's checkpoint, and its own is gone: "
                    "it cannot go on."
                )
        numbers = [trial.number for trial in best]
        meant = {n for trials, end in self.view.extensions if end == frames for n in trials}
        if not meant.issuperset(numbers):  # else somebody goes on with it
            self._event("extend", trials=numbers, frames=frames)
            self._journal.commit()

    def begin(self, crew: Crew, inherited: bool = False) -> list[int]:
        """A coordinator begins to work on it.

        Args:
            crew: Its workers may be at segments of this study already.
            inherited: From a coordinator whose rank died.

        Returns:
            The workers that are.
        """
        best = self.view.best
        self._event(
            "session",
            workers=crew.size,
            trials=sum(t.state in ("done", "condemned") for t in self.view.trials.values()),
            best_score=best.score if best else None,
            inherited=inherited,
        )
        self._retention.begin()
        if inherited:
            self._event("lost", ranks=crew.lost, workers=[], segments=[])
        mine = []
        for worker, (study, number, attempt) in crew.under_way.items():
            segment = self.view.segments.get(number)
            current = segment in self._waiting and attempt == self.view.attempts[number]
            if study == str(self.folder) and segment is not None and current:
                self._waiting.remove(segment)
                self._start(worker, segment)
                mine.append(worker)
        return mine

    @property
    def over(self) -> bool:
        """Whether the winner is proved."""
        return self._phase == len(self._phases)

    def give(self, worker: int) -> Job | None:
        """The next job, for that worker; None if there is nothing to do now.

        Raises:
            RunFailed: if the study has come to nothing.
        """
        if not self.ready():
            return None
        segment = self._waiting.pop(0)
        self._start(worker, segment)
        return self._jobs.job(segment)

    def ready(self) -> bool:
        """Whether there is something to do now, which is decided then."""
        while not self._waiting and not self.over:
            segment = self._phases[self._phase]()
            if segment is not None:
                self._waiting.append(segment)
            elif self._working:
                return False
            else:
                self._phase += 1
                self._demand_success()
        return bool(self._waiting)

    def _demand_success(self) -> None:
        if self.view.best is None:
            reasons = [t.reason for t in self.view.trials.values() if t.reason]
            raise RunFailed(
                f"all {len(self.view.trials)} trials failed; the last one: {reasons[-1]}"
            )
        failed = [body for body in results(self.view, "test") if body["score"] is None]
        if self.over and failed:
            raise RunFailed(f"the winner could not be trained again: {failed[0]['reason']}")

    def take(self, heard: Heard) -> bool:
        """What a worker says of its job; whether that is to be paused."""
        match heard:
            case Reported():
                return self._hear(heard)
            case GivenUp():
                segment = self._working.pop(heard.segment)
                self._event("given_up", segment=segment.number)
                self._waiting.insert(0, segment)
            case Outcome():
                self._enter(heard)
        return False

    def lose(self, ranks: int, workers: list[int], segments: list[int]) -> None:
        """What workers were at that died goes on elsewhere, from its checkpoint.

        Args:
            ranks: That have died so far.
            workers: That died.
            segments: Of this study, that nobody is at any more.
        """
        self._event("lost", ranks=ranks, workers=workers, segments=segments)
        self._waiting = [self._working.pop(number) for number in segments] + self._waiting

    def commit(self) -> None:
        """Whatever happened is on the disk when this returns."""
        self._journal.commit()
        for item in self._going:
            self._retention.delete(item.trial, item.frames)
        self._going = []

    def leave(self) -> None:
        """The coordinator stops working on it."""
        self._journal.append("pause")

    def summary(self, ranks: int) -> dict[str, Any]:
        """Of a study that is over.

        Args:
            ranks: That it was done on.
        """
        return findings(
            self.view, self.proving.winner, self.searcher.state(), self._settings.searched
        ) | {
            "wall_seconds": round(self._seconds_before + time.monotonic() - self._begun, 3),
            "scored_by": self._settings.evaluation.score if self._settings.train else "command",
            "ranks": ranks,
            "seed": self._settings.seed,
            "left_out": left_out(self._settings),
        }

    def _start(self, worker: int, segment: Segment) -> None:
        trial = self.view.trials[segment.trial]
        self._event(
            "start",
            segment=segment.number,
            name=segment.name,
            attempt=self.view.attempts[segment.number],
            worker=worker,
            anew=segment.purpose == "tune" and segment.begin < trial.frames,
        )
        self._working[segment.number] = segment

    def _tuning(self) -> Segment | None:
        """The next stretch of a trial, as the scheduler wishes, and after that the user."""
        return self._scheduled() or self._extended()

    def _extended(self) -> Segment | None:
        """The next stretch of a trial that somebody wanted to go on."""
        for numbers, frames in self.view.extensions:
            for number in numbers:
                trial = self.view.trials[number]
                if trial.state in ("paused", "done") and trial.frames < frames:
                    return self._granted(Continue(number, frames), None)
        return None

    def _scheduled(self) -> Segment | None:
        if self.view.given >= self._limit:
            return None
        wish = self._scheduler.next(self.view, refused=False)
        if not isinstance(wish, Begin):
            return None if wish is None else self._granted(wish, None)
        question = self.searcher.ask()
        if question is not None:
            self._add(question.point, question=question.number, member=wish.member)
            return self._granted(wish, len(self.view.trials) - 1)
        # Nothing is under way that an answer could come from: there are no more questions.
        self.view.exhausted = not self._working
        wish = self._scheduler.next(self.view, refused=True)
        return None if wish is None else self._granted(wish, None)

    def _add(self, point: Any, **more: Any) -> None:
        number = len(self.view.trials)
        body = {"question": None, "parent": None, "member": 0, "stage": 0} | more
        if body["question"] is not None:
            body["stage"] = self.searcher.stage_of(body["question"])
        self._event("trial", number=number, point=point, **body)

    def _granted(self, wish: Wish, trial: int | None) -> Segment:
        """A wish as a segment in the log."""
        if isinstance(wish, Fork):
            parent = [wish.parent, wish.frames]
            self._add(wish.point, parent=parent, member=wish.member)
            trial = len(self.view.trials) - 1
        elif isinstance(wish, Continue):
            trial = wish.trial
        assert trial is not None
        begin = 0 if (trial, OWN) in self.view.dropped else self.view.trials[trial].frames
        return self._segment(trial, "tune", 0, begin, wish.end)

    def _segment(
        self, trial: int, purpose: Purpose, replicate: int, begin: int, end: int
    ) -> Segment:
        extension = len(self.view.extensions)
        number = len(self.view.segments)
        segment = Segment(number, trial, purpose, replicate, begin, end, extension)
        self._event("segment", **dataclasses.asdict(segment))
        return segment

    def _enter(self, outcome: Outcome) -> None:
        """Writes down what became of a job."""
        number = outcome.segment
        if number not in self._working or outcome.attempt != self.view.attempts[number]:
            return  # somebody had told it before his rank died
        segment = self._working.pop(number)
        if outcome.wrong_input:
            raise InputError(f"{segment.name}: {outcome.reason}")
        if outcome.score is None:
            attempt = self.view.attempts[segment.number]
            self._event(
                "fail",
                segment=segment.number,
                name=segment.name,
                attempt=attempt,
                reason=outcome.reason,
            )
            if not outcome.final and attempt < self._settings.trial.retries:
                self._waiting.insert(0, segment)
                return
        # The last update of a stretch goes past its end by a little, in some trials further.
        frames = min(outcome.frames, segment.end)
        self._event("result", name=segment.name, **outcome.plain() | {"frames": frames})
        if segment.purpose == "tune":
            self._demand_code(outcome)
            self._retention.found(self.view.trials[segment.trial])
            for item in self._retention.expendable():
                missed = self._retention.promotable(item)
                self._event("drop", trial=item.trial, frames=item.frames, promotable=missed)
                self._going.append(item)

    def _demand_code(self, outcome: Outcome) -> None:
        """Nothing would come of more trials if their code fails in all of them."""
        if outcome.error and (reason := code_errors.of_all(self.view)) is not None:
            failed = sum(t.state == "condemned" for t in self.view.trials.values())
            raise RunFailed(
                f"the first {failed} trials all failed with the same error: {reason}. Its "
                f"traceback is in {self.folder / 'logs'}; mend it, and begin anew, or go on "
                "with --resume."
            )

    def _hear(self, reported: Reported) -> bool:
        """A trial says how it goes; whether the scheduler has it paused."""
        if reported.segment not in self._working:
            return False
        self._event("report", **reported.plain())
        trial = self.view.trials[self._working[reported.segment].trial]
        pause = not trial.pausing and not self._scheduler.judge(self.view, trial)
        if pause:
            self._event("pausing", segment=reported.segment)
        return pause


def sessions_seconds(events: list[Event]) -> float:
    """Seconds that the sessions of a log were at work, killed ones up to their last event."""
    total, begun, last = 0.0, 0.0, 0.0
    for event in events:
        if event.kind == "session":
            total += last - begun
            begun = event.time
        last = event.time
    return total + last - begun
