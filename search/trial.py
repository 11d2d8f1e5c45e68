"""A trial: one training and its evaluation, in a process of its own.

    job -> trial process -> FOLDER/result.json -> outcome

The process may die in any way; then there is no result, and the supervisor says why.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any

from veldt.agents.evaluate import EvaluationSettings, evaluate, load_run
from veldt.agents.settings import TrainSettings
from veldt.agents.train import train
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

WRONG_INPUT = (SettingsError, UnknownName, UnsupportedSpace)
FINAL = (EnvironmentFault, Diverged)


@dataclasses.dataclass(frozen=True)
class Job:
    """What a worker is to do; plain JSON."""

    name: str  # "trial-0003", "winner"
    settings: dict[str, Any]  # a TrainSettings
    evaluation: dict[str, Any]  # an EvaluationSettings
    evaluation_seed: int
    folder: str

    def plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a job; plain JSON."""

    name: str
    score: float | None  # mean return of the evaluation; None if it failed
    reason: str = ""  # of the failure
    final: bool = True  # trying again would end the same way
    wrong_input: bool = False  # it was refused: the search as a whole is at fault
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    evaluation: dict[str, Any] = dataclasses.field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


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
            outcome = Outcome(job.name, None, reason=str(error), wrong_input=True)
        except VeldtError as error:
            # What lies in the settings happens again; what lies in the machine may not.
            reason, final = f"{type(error).__name__}: {error}", isinstance(error, FINAL)
            outcome = Outcome(job.name, None, reason, final)
    write_json(folder / "result.json", outcome.plain())


def run(job: Job, stop: Interrupts) -> Outcome:
    """Trains, from the last checkpoint if there is one, and evaluates."""
    settings = TrainSettings.parse(job.settings)
    folder = Path(job.folder)
    beat = Heartbeat(folder)
    summary = train(settings, folder, resume=True, stop=stop, beat=beat, tensorboard=False)
    agent, _, _ = load_run(folder)
    evaluation = evaluate(
        agent,
        settings,
        EvaluationSettings.parse(job.evaluation),
        Key(job.evaluation_seed).child("evaluation"),
        beat,
    ).summary()
    score = evaluation["mean_return"]
    if not math.isfinite(score):
        return Outcome(job.name, None, "the evaluation's mean return is not finite")
    return Outcome(job.name, score, summary=summary, evaluation=evaluation)


def read_result(folder: Path) -> Outcome | None:
    """The result of a job, if it came to one."""
    path = folder / "result.json"
    return Outcome(**read_json(path)) if path.exists() else None
