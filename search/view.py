"""What is known of a study: its log, read from the beginning.

    trial      a point that was asked about; it goes on as long as somebody wants it to
    segment    a stretch of a trial between two checkpoints, or a training of its own that
               proves a trial (validate, test)

A trial is new, running, paused (it may go on), done (to the end that was meant; it may go on
all the same), or condemned: it failed in a way that would come again.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from veldt.search.journal import Event
from veldt.search.space.space import Point

Purpose = Literal["tune", "validate", "test"]
State = Literal["new", "running", "paused", "done", "condemned"]


@dataclasses.dataclass(frozen=True)
class Segment:
    """Work for one worker; plain JSON."""

    number: int
    trial: int
    purpose: Purpose
    replicate: int
    """of a validation or test: which of the seeds; 0 for tuning"""
    begin: int
    """frames that are there already"""
    end: int
    """frames to come to"""
    extension: int = 0
    """how often the study had been made longer"""

    @property
    def name(self) -> str:
        """Of its folder; all stretches of a trial have one."""
        match self.purpose:
            case "tune":
                return trial_name(self.trial)
            case "validate":
                return f"validate-{self.trial:04d}-{self.replicate}"
            case "test":
                which = [str(n) for n in (self.extension, self.replicate)]
                return "winner" if which == ["0", "0"] else "-".join(["winner", *which])


FIELDS = [field.name for field in dataclasses.fields(Segment)]


@dataclasses.dataclass
class Trial:
    """A point, and what came of it."""

    number: int
    point: Point
    stage: int
    """of the searchers that asked"""
    parent: tuple[int, int] | None = None
    """(trial, frames) whose checkpoint it began with"""
    member: int = 0
    """of a population, where there is one"""
    scores: dict[int, float] = dataclasses.field(default_factory=dict)
    """frames -> score there"""
    reports: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    """(frames, value) on the way"""
    updates: dict[int, int] = dataclasses.field(default_factory=dict)
    """frames -> the checkpoint's number"""
    state: State = "new"
    reason: str = ""
    """of the last failure"""
    error: str = ""
    """of the code, that it failed by: the traceback"""
    pausing: bool = False
    """it was told to end at its next checkpoint"""

    @property
    def frames(self) -> int:
        """How far it is."""
        return max(self.scores, default=self.parent[1] if self.parent else 0)

    @property
    def score(self) -> float | None:
        """The newest."""
        return self.scores[max(self.scores)] if self.scores else None


class View:
    """A study so far; whoever plans reads it, and only the log changes it.

    Args:
        frames: Of a whole trial.
        events: The log.
    """

    def __init__(self, frames: int, events: Iterable[Event] = ()) -> None:
        self.frames = frames
        self.trials: dict[int, Trial] = {}
        self.segments: dict[int, Segment] = {}
        self.results: dict[int, dict[str, Any]] = {}
        """of segments"""
        self.attempts: Counter[int] = Counter()
        """that failed, of segments"""
        self.failed = 0
        """attempts"""
        self.lost_ranks = 0
        """that died"""
        self._lost_of_job = 0
        self.extensions: list[tuple[list[int], int]] = []
        """trials that were to go on after all, and how far"""
        self.dropped: set[tuple[int, int]] = set()
        """(trial, frames) of checkpoints that are gone, -1 for a trial's own"""
        self.drops = 0
        """checkpoints that went"""
        self.missed_drops = 0
        """of them, those of trials that might have gone on, which then begin anew"""
        self.given = 0
        """frames of tuning that were given out, less what was not needed"""
        self.exhausted = False
        """the searcher will have no more points"""
        self.changed: list[int] = []
        """trials, each time something about one was new: who keeps a table of them reads on
        from where it was, instead of all trials at every question"""
        self._proofs: dict[tuple[Purpose, int, int], dict[int, float | None]] = {}
        self._asked: dict[tuple[Purpose, int, int], set[int]] = {}
        for event in events:
            self.take(event.kind, event.body)

    def take(self, kind: str, body: dict[str, Any]) -> None:
        """Takes in an event."""
        match kind:
            case "trial":
                parent = body.get("parent")
                self.trials[body["number"]] = Trial(
                    body["number"],
                    body["point"],
                    body.get("stage", 0),
                    (parent[0], parent[1]) if parent else None,
                    body.get("member", 0),
                )
                self.changed.append(body["number"])
            case "segment":
                segment = Segment(**{name: body[name] for name in FIELDS if name in body})
                self.segments[segment.number] = segment
                begun = self._asked.setdefault(
                    (segment.purpose, segment.trial, segment.end), set()
                )
                begun.add(segment.replicate)
                if segment.purpose == "tune":
                    self.given += segment.end - segment.begin
                    self.trials[segment.trial].state = "running"
                    self.changed.append(segment.trial)
            case "session":
                if not body.get("inherited"):
                    self._lost_of_job = 0
            case "lost":
                self.lost_ranks += body["ranks"] - self._lost_of_job
                self._lost_of_job = body["ranks"]
            case "extend":
                self.extensions.append((body["trials"], body["frames"]))
            case "report":
                reports = self.trials[self.segments[body["segment"]].trial].reports
                # A stretch that begins anew from its checkpoint comes by the same place again.
                while reports and reports[-1][0] >= body["frames"]:
                    reports.pop()
                reports.append((body["frames"], body["value"]))
                self.changed.append(self.segments[body["segment"]].trial)
            case "start":  # nobody has told this attempt to end
                self.trials[self.segments[body["segment"]].trial].pausing = False
            case "pausing":
                self.trials[self.segments[body["segment"]].trial].pausing = True
            case "fail":
                self.attempts[body["segment"]] += 1
                self.failed += 1
                segment = self.segments[body["segment"]]
                if segment.purpose == "tune":
                    self.trials[segment.trial].reason = body["reason"]
            case "drop":
                self.dropped.add((body["trial"], body["frames"]))
                self.drops += 1
                self.missed_drops += bool(body.get("promotable"))
            case "result":
                self._result(body)

    def _result(self, body: dict[str, Any]) -> None:
        segment, score = self.segments[body["segment"]], body["score"]
        self.results[segment.number] = body
        if segment.purpose != "tune":
            proofs = self._proofs.setdefault((segment.purpose, segment.trial, segment.end), {})
            proofs[segment.replicate] = score
            return
        trial = self.trials[segment.trial]
        trial.pausing = False
        self.changed.append(trial.number)
        if score is None:
            trial.state, trial.reason = "condemned", body["reason"] or trial.reason
            trial.error = body.get("error", "")
            return
        frames = body["frames"]
        self.given -= segment.end - max(frames, segment.begin)
        trial.scores[frames] = score
        self.dropped.discard((trial.number, -1))
        summary = body["summary"]
        trial.updates[frames] = summary.get("checkpoint", summary.get("updates", 0))
        trial.state = "done" if frames >= self.frames else "paused"

    def open(self) -> Iterator[Segment]:
        """What was begun and has no result, the oldest first."""
        return (s for number, s in self.segments.items() if number not in self.results)

    def proofs(self, purpose: Purpose, trial: int) -> dict[int, float | None]:
        """replicate -> score of a trial's trainings on other seeds; None: it failed."""
        lengths = [end for kind, n, end in self._proofs if (kind, n) == (purpose, trial)]
        return self._proofs[purpose, trial, max(lengths)] if lengths else {}

    def asked(self, purpose: Purpose, trial: int, frames: int) -> set[int]:
        """The replicates that were begun, of so many frames."""
        return self._asked.get((purpose, trial, frames), set())

    @property
    def scored(self) -> list[Trial]:
        """Trials with a score, the best of those that came furthest first."""
        found = [trial for trial in self.trials.values() if trial.scores]
        return sorted(found, key=lambda t: (-t.frames, -(t.score or 0.0), t.number))

    @property
    def best(self) -> Trial | None:
        """The trial with the highest score among those that came furthest."""
        return next(iter(self.scored), None)

    def mean(self, purpose: Purpose, trial: int) -> float | None:
        """Over the replicates; None if one failed or there are none."""
        scores = list(self.proofs(purpose, trial).values())
        # fsum: the same whatever the order in which they came.
        if not scores or any(score is None for score in scores):
            return None
        return math.fsum(score for score in scores if score is not None) / len(scores)


def trial_name(number: int) -> str:
    """Of a trial's folder."""
    return f"trial-{number:04d}"
