"""The trials of a study and who worked on them when, read from its log.

A study may be under way, stopped, or killed and gone on with: then a segment is started
more than once in the same attempt.
"""

import dataclasses
from pathlib import Path
from typing import Any

from veldt.platform.errors import InputError
from veldt.platform.runs import read_settings
from veldt.search import study_log
from veldt.search.findings import results, steps, tests
from veldt.search.journal import Event
from veldt.search.settings import SearchSettings
from veldt.search.space.space import Point
from veldt.search.study import sessions_seconds
from veldt.search.view import Purpose, Segment, View, trial_name

WINNER = "winner"
STATES = {
    "new": "waiting",
    "running": "under way",
    "paused": "paused",
    "done": "scored",
    "condemned": "failed",
}


@dataclasses.dataclass
class Trial:
    """A point and what came of it."""

    number: int
    point: Point
    stage: str
    state: str = "waiting"  # "under way", "stopped", "paused", in the end "scored" or "failed"
    score: float | None = None
    frames: int = 0
    reason: str = ""  # of the last failure
    attempts: int = 0
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    evaluation: dict[str, Any] = dataclasses.field(default_factory=dict)
    parent: tuple[int, int] | None = None
    """(trial, frames) that it began with"""

    @property
    def name(self) -> str:
        """Of its folder."""
        return trial_name(self.number)


@dataclasses.dataclass
class Span:
    """A worker at work on a segment, in seconds of the study's working time."""

    name: str  # of the segment's folder
    number: int  # the trial it is about
    worker: int
    begin_s: float
    end_s: float
    ending: str = "under way"  # or "done", "failed", "stopped"


class Trials:
    """All of a study.

    Args:
        folder: The study's; its log may be missing, if the study has only just begun.
        settings: The study's.

    Raises:
        InputError: if the log is not one.
    """

    def __init__(self, folder: Path, settings: SearchSettings) -> None:
        events = study_log.read(folder)
        try:
            self.view = View(settings.frames, events)
        except (KeyError, TypeError) as error:
            raise InputError(f"{folder}: a log of another version ({error!r}).") from error
        self.spans: list[Span] = []
        self.sessions_s: list[float] = []  # when each session began, in working time
        sessions = [event.body["workers"] for event in events if event.kind == "session"]
        self.workers = sessions[-1] if sessions else 0
        self.seconds = sessions_seconds(events)
        self.at_work = bool(events) and events[-1].kind != "pause"
        self._stages = _stage_names(settings)
        self._attempts = {
            event.body["segment"]: event.body["attempt"] + 1
            for event in events
            if event.kind == "start"
        }
        self.all = {number: self._trial(number) for number in self.view.trials}
        proved = results(self.view, "test")
        tested = self.view.segments[proved[-1]["segment"]].trial if proved else 0
        self.tests = tests(self.view, tested)
        """of the winner"""
        scored = [body for body in self.tests if body["score"] is not None]
        self.heldout: dict[str, Any] | None = scored[0] if scored else None
        self._time(events)
        self.events = events

    def _proofs(self, purpose: Purpose) -> list[tuple[Segment, dict[str, Any]]]:
        segments = self.view.segments
        found = [(segments[body["segment"]], body) for body in results(self.view, purpose)]
        return sorted(found, key=lambda pair: pair[0].replicate)

    def _trial(self, number: int) -> Trial:
        trial = self.view.trials[number]
        segments = [
            segment
            for segment in self.view.segments.values()
            if segment.trial == number and segment.purpose == "tune"
        ]
        bodies = [self.view.results[s.number] for s in segments if s.number in self.view.results]
        scored = [body for body in bodies if body["score"] is not None]
        last = scored[-1] if scored else {}
        state = STATES[trial.state]
        if trial.state == "running":
            working = segments[-1].number in self._attempts
            state = "waiting" if not working else "under way" if self.at_work else "stopped"
        return Trial(
            number,
            trial.point,
            self._stages[trial.stage] if trial.parent is None else "fork",
            state,
            trial.score if trial.state != "condemned" else None,
            trial.frames,
            trial.reason,
            sum(self._attempts.get(segment.number, 0) for segment in segments),
            last.get("summary", {}),
            last.get("evaluation", {}),
            trial.parent,
        )

    def _time(self, events: list[Event]) -> None:
        """Fills `spans`; the time between two sessions does not count."""
        idle, last = 0.0, events[0].time if events else 0.0
        begun = last
        under_way: dict[int, Span] = {}
        for event in events:
            if event.kind == "session":
                self._end(under_way, list(under_way), last - begun - idle, "stopped")
                idle += event.time - last
                self.sessions_s.append(event.time - begun - idle)
            last, now = event.time, event.time - begun - idle
            if event.kind == "start":
                number = event.body["segment"]
                segment = self.view.segments[number]
                worker = event.body["worker"]
                under_way[number] = Span(segment.name, segment.trial, worker, now, now)
            elif event.kind in ("fail", "result"):
                how = "failed" if event.kind == "fail" else "done"
                self._end(under_way, [event.body["segment"]], now, how)
            elif event.kind == "given_up":
                self._end(under_way, [event.body["segment"]], now, "stopped")
            elif event.kind == "lost":
                self._end(under_way, event.body["segments"], now, "stopped")
            elif event.kind == "pause":
                self._end(under_way, list(under_way), now, "stopped")
        self._end(under_way, list(under_way), last - begun - idle, "under way")

    def _end(self, under_way: dict[int, Span], numbers: list[int], now: float, how: str) -> None:
        for number in numbers:
            span = under_way.pop(number, None)
            if span is not None:
                self.spans.append(dataclasses.replace(span, end_s=now, ending=how))

    @property
    def winner_reason(self) -> str:
        """Why its own training last came to nothing."""
        failed = [body for _, body in self._proofs("test") if body["score"] is None]
        return str(failed[-1]["reason"]) if failed else ""

    @property
    def scored(self) -> list[Trial]:
        """Best first: those that came furthest, and of them the highest."""
        return [
            self.all[trial.number]
            for trial in self.view.scored
            if self.all[trial.number].score is not None
        ]

    @property
    def best(self) -> Trial | None:
        """The winner, if it is chosen, else the best trial."""
        if self.heldout is not None:
            return self.all[self.view.segments[self.heldout["segment"]].trial]
        return next(iter(self.scored), None)

    @property
    def proving(self) -> bool:
        """Whether the winner's own training is under way."""
        return any(is_proof(span.name) and span.ending == "under way" for span in self.spans)

    @property
    def winner_name(self) -> str:
        """Of the folder where the winner was trained again."""
        found = self.heldout
        return WINNER if found is None else self.view.segments[found["segment"]].name

    @property
    def steps(self) -> int:
        """Environment steps of all trainings that ended."""
        return steps(self.view)

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.all.values())


def settings_of(folder: Path) -> SearchSettings:
    """Of the study in a folder.

    Raises:
        InputError: if there is none.
    """
    if not study_log.exists(folder):
        raise InputError(f"{folder}: holds no search over settings.")
    return SearchSettings.parse(read_settings(folder))


def _stage_names(settings: SearchSettings) -> list[str]:
    """What the stages are called."""
    methods = [str(stage.method) for stage in settings.stages]  # type: ignore[attr-defined]
    return [
        method if methods.count(method) == 1 else f"{method} (stage {index + 1})"
        for index, method in enumerate(methods)
    ]


def is_proof(name: str) -> bool:
    """Whether a folder is of a winner's own training."""
    return name.startswith(WINNER)
