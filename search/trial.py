"""A trial at work: one job, in a process of its own.

    job -> trial process -> FOLDER/reports.jsonl, on the way
                         -> FOLDER/result.json -> outcome

What it does there is its work (`works/`). The process may die in any way; then there is no
result, and the supervisor says why.
"""

import dataclasses
import json
import math
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.platform import plugins
from veldt.platform.code_errors import of_machine, told
from veldt.platform.errors import (
    BrokenContract,
    BrokenPlugin,
    CodeError,
    Diverged,
    EnvironmentFault,
    Interrupted,
    SettingsError,
    UnknownName,
    UnsupportedSpace,
    VeldtError,
)
from veldt.platform.interrupts import Interrupts
from veldt.platform.runs import read_json, write_json

RUNS = {
    "training": "veldt.search.works.training_run:run",
    "command": "veldt.search.works.command_run:run",
}
WRONG_INPUT = (SettingsError, UnknownName, UnsupportedSpace, BrokenContract)
FINAL = (EnvironmentFault, Diverged, BrokenPlugin)
RESULT, REPORTS, PAUSE = "result.json", "reports.jsonl", "pause"
MOST_REPORTS = 50  # of a whole trial, about


@dataclasses.dataclass(frozen=True)
class Job:
    """What a worker is to do; plain JSON."""

    name: str  # "trial-0003", "winner"
    study: str  # its folder
    settings: dict[str, Any]  # of its work
    evaluation: dict[str, Any]  # a ScoringSettings
    evaluation_seed: int
    folder: str
    segment: int = 0
    attempt: int = 0  # of the segment
    until: int | None = None  # frames; None: the whole training
    parent: tuple[str, int] | None = None  # folder and checkpoint that it begins with
    keep: bool = False  # the checkpoint at the end, for others to begin with
    listen: bool = False  # report on the way
    work: str = "training"  # a key of RUNS
    timeout_s: float = 86_400.0
    silence_s: float = 300.0

    @property
    def task(self) -> tuple[str, int, int]:
        """Who it is for, which segment, and which attempt at it."""
        return self.study, self.segment, self.attempt

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
    error: str = ""  # of the code: the traceback
    diverged: bool = False  # which is a result: the settings are bad
    frames: int = 0  # that the training has come to
    attempt: int = 0  # of the job; an outcome of an earlier one than the newest is void
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


@dataclasses.dataclass(frozen=True)
class GivenUp:
    """A job ended with a checkpoint, since others want the worker; plain JSON."""

    segment: int

    def plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


Heard = Outcome | Reported | GivenUp


def main(argument: dict[str, Any]) -> None:
    """Does a job; the target that a supervisor's zygote forks."""
    job = Job(**argument)
    folder = Path(job.folder)
    run: Callable[[Job, Callable[[], bool]], Outcome] = plugins.attribute(RUNS[job.work])
    with Interrupts() as stop:
        try:
            outcome = run(job, stop)
        except Interrupted:
            raise SystemExit(3) from None
        except WRONG_INPUT as error:
            outcome = Outcome(job.segment, None, reason=str(error), wrong_input=True)
        except CodeError as error:  # of an actor
            print(error)
            outcome = Outcome(job.segment, None, error.reason, error=error.traceback)
        except VeldtError as error:
            # What lies in the settings happens again; what lies in the machine may not.
            reason, final = f"{type(error).__name__}: {error}", isinstance(error, FINAL)
            diverged = isinstance(error, Diverged)
            outcome = Outcome(job.segment, None, reason, final, diverged=diverged)
        except Exception as error:
            # Nobody foresaw it; the log has it too, among what was printed.
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}"
            if of_machine(error):
                outcome = Outcome(job.segment, None, reason, final=False)
            else:
                outcome = Outcome(job.segment, None, reason, error=told(error))
    write_json(folder / RESULT, outcome.plain())


class Reports:
    """Writes down how a job goes, for the supervisor to read: about as often as is useful.

    Args:
        folder: Of the job.
        frames: Of a whole trial.
    """

    def __init__(self, folder: Path, frames: int) -> None:
        self._path, self._every, self._next = folder / REPORTS, frames / MOST_REPORTS, 0.0

    def __call__(self, frames: int, value: float | None) -> None:
        if value is not None and math.isfinite(value) and frames >= self._next:
            self._next = frames + self._every
            with self._path.open("a") as file:
                file.write(json.dumps({"frames": frames, "value": value}) + "\n")


def read_result(folder: Path) -> Outcome | None:
    """The result of a job, if it came to one."""
    path = folder / RESULT
    return Outcome(**read_json(path)) if path.exists() else None
