"""A trial at work: a stretch of training and its evaluation, in a process of its own.

    job -> trial process -> FOLDER/reports.jsonl, on the way
                         -> FOLDER/result.json -> outcome

The process may die in any way; then there is no result, and the supervisor says why.
"""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.agents.evaluate import load_run
from veldt.agents.evaluate import score as played
from veldt.agents.settings import TrainSettings
from veldt.agents.train import train
from veldt.platform import checkpoints
from veldt.platform.errors import (
    Diverged,
    EnvironmentFault,
    Interrupted,
    SettingsError,
    UnknownName,
    UnsupportedSpace,
    VeldtError,
)
from veldt.platform.interrupts import Interrupts
from veldt.platform.keys import Key
from veldt.platform.runs import Heartbeat, read_json, write_json
from veldt.search.scoring import ScoringSettings, scored

WRONG_INPUT = (SettingsError, UnknownName, UnsupportedSpace)
FINAL = (EnvironmentFault, Diverged)
RESULT, REPORTS, PAUSE = "result.json", "reports.jsonl", "pause"
MOST_REPORTS = 50  # of a whole trial, about
KEPT = "kept"  # the folder of checkpoints that other trials may begin with


@dataclasses.dataclass(frozen=True)
class Job:
    """What a worker is to do; plain JSON."""

    name: str  # "trial-0003", "winner"
    settings: dict[str, Any]  # a TrainSettings
    evaluation: dict[str, Any]  # a ScoringSettings
    evaluation_seed: int
    folder: str
    segment: int = 0
    until: int | None = None  # frames; None: the whole training
    parent: tuple[str, int] | None = None  # folder and checkpoint that it begins with
    keep: bool = False  # the checkpoint at the end, for others to begin with
    listen: bool = False  # report on the way

    def plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job; plain JSON."""

    segment: int
    score: float | None  # what the evaluation came to; None if it failed
    reason: str = ""  # of the failure
    final: bool = True  # trying again would end the same way
    wrong_input: bool = False  # it was refused: the search as a whole is at fault
    frames: int = 0  # that the training has come to
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    evaluation: dict[str, Any] = dataclasses.field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Reported:
    """How a job goes; plain JSON."""

    segment: int
    frames: int
    value: float

    def plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


Heard = Outcome | Reported


def main(argument: dict[str, Any]) -> None:
    """Does a job; the target that a supervisor's zygote forks."""
    job = Job(**argument)
    folder = Path(job.folder)
    with Interrupts() as stop:
        try:
            outcome = run(job, stop)
        except Interrupted:
            raise SystemExit(3) from None
        except WRONG_INPUT as error:
            outcome = Outcome(job.segment, None, reason=str(error), wrong_input=True)
        except VeldtError as error:
            # What lies in the settings happens again; what lies in the machine may not.
            reason, final = f"{type(error).__name__}: {error}", isinstance(error, FINAL)
            outcome = Outcome(job.segment, None, reason, final)
    write_json(folder / RESULT, outcome.plain())


def run(job: Job, stop: Callable[[], bool]) -> Outcome:
    """Trains, from the last checkpoint if there is one, and evaluates."""
    settings = TrainSettings.parse(job.settings)
    folder = Path(job.folder)
    beat = Heartbeat(folder)
    pause = folder / PAUSE
    reports = _Reports(folder, settings.frames) if job.listen else None
    try:
        summary = train(
            settings,
            folder,
            resume=True,
            until=job.until,
            begin=None if job.parent is None else kept(Path(job.parent[0]), job.parent[1]),
            stop=lambda: stop() or pause.exists(),
            beat=beat,
            report=reports or (lambda values: None),
            tensorboard=False,
        )
    except Interrupted:
        loaded = checkpoints.load(folder)
        if stop() or not pause.exists() or loaded is None:
            raise
        summary = {name: loaded[2][name] for name in ("updates", "steps", "frames")}
    agent, _, update = load_run(folder)
    protocol = ScoringSettings.parse(job.evaluation)
    key = Key(job.evaluation_seed).child("evaluation")
    evaluation = scored(played(agent, settings, protocol, key, beat), settings, protocol)
    if job.keep:
        keep(folder, update)
    score, frames = evaluation["mean_return"], summary["frames"]
    if not math.isfinite(score):
        reason = "the evaluation's mean return is not finite"
        return Outcome(job.segment, None, reason, frames=frames)
    return Outcome(job.segment, score, frames=frames, summary=summary, evaluation=evaluation)


class _Reports:
    """Writes down how the training goes, for the supervisor to read."""

    def __init__(self, folder: Path, frames: int) -> None:
        self._path, self._every, self._next = folder / REPORTS, frames / MOST_REPORTS, 0.0

    def __call__(self, record: dict[str, Any]) -> None:
        value = record.get("mean_return")
        if value is not None and math.isfinite(value) and record["frames"] >= self._next:
            self._next = record["frames"] + self._every
            with self._path.open("a") as file:
                file.write(json.dumps({"frames": record["frames"], "value": value}) + "\n")


def keep(folder: Path, update: int) -> None:
    """Puts a run's checkpoint where it stays."""
    place = kept(folder, update)
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(folder / "checkpoints" / place.name, partial)
    shutil.rmtree(place, ignore_errors=True)
    partial.rename(place)


def kept(folder: Path, update: int) -> Path:
    """Where a run's checkpoint is that was kept."""
    return folder / KEPT / f"{update:09d}"


def read_result(folder: Path) -> Outcome | None:
    """The result of a job, if it came to one."""
    path = folder / RESULT
    return Outcome(**read_json(path)) if path.exists() else None
