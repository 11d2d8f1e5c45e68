"""The trials of a study and who worked on them when, read from its log.

A study may be under way, stopped, or killed and gone on with: then a trial is started
more than once in the same attempt.
"""

import dataclasses
from pathlib import Path
from typing import Any

from veldt.platform.errors import VeldtError
from veldt.platform.keys import Key
from veldt.search.journal import Event, read
from veldt.search.settings import SearchSettings
from veldt.search.space.space import Point
from veldt.search.stages import Stages
from veldt.search.study import WINNER, sessions_seconds, trial_name


@dataclasses.dataclass
class Trial:
    """A question and what came of it."""

    number: int
    point: Point
    stage: str
    state: str = "waiting"  # then "under way" or "stopped", in the end "scored" or "failed"
    score: float | None = None
    reason: str = ""  # of the last failure
    attempts: int = 0
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    evaluation: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its folder."""
        return trial_name(self.number)


@dataclasses.dataclass
class Span:
    """A worker at work on a job, in seconds of the study's working time."""

    name: str  # of the job: a trial's, a validation's, or the winner's own training
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
        path = folder / "study.sqlite"
        events = read(path) if path.exists() else []
        self.all: dict[int, Trial] = {}
        self.heldout: dict[str, Any] | None = None
        self.validations: dict[int, list[dict[str, Any]]] = {}  # of each finalist
        self.winner_reason = ""  # why its own training last came to nothing
        self.spans: list[Span] = []
        self.sessions_s: list[float] = []  # when each session began, in working time
        self.workers = 0
        self.seconds = sessions_seconds(events)
        self.at_work = bool(events) and events[-1].kind != "pause"
        stages = _stages(settings, events)
        for event in events:
            self._enter(event.kind, event.body, stages)
        self._time(events)
        if not self.at_work:
            for trial in self.all.values():
                trial.state = "stopped" if trial.state == "under way" else trial.state

    def _enter(self, kind: str, body: dict[str, Any], stages: dict[int, str]) -> None:
        if kind == "session":
            self.workers = body["workers"]
        elif kind == "ask":
            number = body["number"]
            self.all[number] = Trial(number, body["point"], stages.get(number, "unknown stage"))
        elif kind == "validate":
            self.validations.setdefault(body["number"], []).append(body)
        elif kind == "heldout" and body["score"] is not None:
            self.heldout = body
        elif kind == "fail" and body["name"] == WINNER:
            self.winner_reason = body["reason"]
        elif kind in ("start", "fail", "tell") and body["name"] == trial_name(body["number"]):
            trial = self.all[body["number"]]
            if kind == "start":
                trial.state, trial.attempts = "under way", body["attempt"] + 1
            elif kind == "fail":
                trial.state, trial.reason = "waiting", body["reason"]
            else:
                trial.state = "failed" if body["score"] is None else "scored"
                trial.score, trial.reason = body["score"], body["reason"] or trial.reason
                trial.summary, trial.evaluation = body["summary"], body["evaluation"]

    def _time(self, events: list[Event]) -> None:
        """Fills `spans`; the time between two sessions does not count."""
        idle, last = 0.0, events[0].time if events else 0.0
        begun = last
        under_way: dict[str, Span] = {}
        for event in events:
            if event.kind == "session":
                self._end(under_way, list(under_way), last - begun - idle, "stopped")
                idle += event.time - last
                self.sessions_s.append(event.time - begun - idle)
            last, now = event.time, event.time - begun - idle
            if event.kind == "start":
                name, number, worker = (event.body[key] for key in ("name", "number", "worker"))
                under_way[name] = Span(name, number, worker, now, now)
            elif event.kind in ("fail", "tell", "validate", "heldout"):
                how = "failed" if event.kind == "fail" else "done"
                self._end(under_way, [event.body["name"]], now, how)
            elif event.kind == "pause":
                self._end(under_way, list(under_way), now, "stopped")
        self._end(under_way, list(under_way), last - begun - idle, "under way")

    def _end(self, under_way: dict[str, Span], names: list[str], now: float, how: str) -> None:
        for name in names:
            span = under_way.pop(name, None)
            if span is not None:
                self.spans.append(dataclasses.replace(span, end_s=now, ending=how))

    @property
    def scored(self) -> list[Trial]:
        """Best first, the earliest of equals first."""
        found = [trial for trial in self.all.values() if trial.score is not None]
        return sorted(found, key=lambda trial: (-(trial.score or 0.0), trial.number))

    @property
    def best(self) -> Trial | None:
        """The winner, if it is chosen, else the trial with the highest score."""
        scored = self.scored
        if self.heldout is not None:
            return self.all[self.heldout["number"]]
        return scored[0] if scored else None

    @property
    def proving(self) -> bool:
        """Whether the winner's own training is under way."""
        return any(span.name == WINNER and span.ending == "under way" for span in self.spans)

    @property
    def steps(self) -> int:
        """Environment steps of all trainings that ended."""
        summaries = [trial.summary for trial in self.all.values()]
        summaries += [body["summary"] for bodies in self.validations.values() for body in bodies]
        summaries += [self.heldout["summary"]] if self.heldout else []
        return sum(summary.get("steps", 0) for summary in summaries)

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.all.values())


def _stages(settings: SearchSettings, events: list[Event]) -> dict[int, str]:
    """The stage that asked each question, from asking and telling once more."""
    methods = [str(stage.method) for stage in settings.stages]  # type: ignore[attr-defined]
    names = [
        method if methods.count(method) == 1 else f"{method} (stage {index + 1})"
        for index, method in enumerate(methods)
    ]
    found: dict[int, str] = {}
    try:
        searcher = Stages(settings.stages, settings.searched, Key(settings.seed).child("searcher"))
        for event in events:
            if event.kind == "ask" and (question := searcher.ask()) is not None:
                found[event.body["number"]] = names[searcher.stage_of(question.number)]
            elif event.kind == "tell" and event.body["number"] in found:
                searcher.tell(event.body["number"], event.body["score"])
    except (VeldtError, LookupError):  # a log of another version: its trials can still be shown
        return found
    return found


def winner_folder(folder: Path) -> Path:
    """Where the winner is trained again."""
    return folder / WINNER
