"""Evaluations beside a training: a process of its own plays while the agent learns on.

    learner --weights--> DIR/evaluations/000001200.safetensors
    DIR/evaluations/000001200.safetensors --> evaluator --> DIR/evaluations/000001200.json

The files are the queue: weights without a result are still to be played with, one after
another, and after a kill by whoever goes on with the run. Every evaluation that was due is
made, late if need be, so that what is reported does not depend on who was fast; one that
ends without a result again and again is left out with a warning.
"""

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from veldt.agents.actor import load_weights
from veldt.agents.build import environment_spec, make_agent
from veldt.agents.evaluate import EvaluationSettings, score
from veldt.agents.kept_loss import kept
from veldt.agents.settings import TrainSettings
from veldt.platform import checkpoints
from veldt.platform.checkpoints import Arrays
from veldt.platform.errors import RunFailed
from veldt.platform.keys import Key
from veldt.platform.runs import read_json, read_settings, write_json
from veldt.platform.zygote import Child, Zygote, exit_reason

MODULE = "veldt.agents.evaluator"
FOLDER = "evaluations"
ATTEMPTS = 3
SHOWN = ("update", "frames", "mean_return", "standard_error", "mean_normalised_score")
POLL_S = 0.1
log = logging.getLogger("veldt")


class Evaluator:
    """The learner's side: says what is to be evaluated, and looks after the process.

    Args:
        settings: Of the training.
        folder: The run's. Whatever was evaluated there of updates after `done` is forgotten:
            they will be made again.
        zygote: Forks the process.
        done: Updates that this session goes on from.
        frames: After these.
    """

    def __init__(
        self, settings: TrainSettings, folder: Path, zygote: Zygote, done: int, frames: int
    ) -> None:
        self._every, self._next = settings.evaluation.every, 0
        self._folder, self._zygote, self._log = folder / FOLDER, zygote, folder / "evaluations.log"
        self._child: Child | None = None
        self._under_way, self._attempts = 0, 0
        for file in self._folder.glob("[0-9]*"):
            if int(file.stem) > done:
                file.unlink()
        self._last = (results(folder) or [{}])[-1]
        self._waiting = sorted(int(file.stem) for file in self._folder.glob("*.safetensors"))
        self._count_from(frames)

    def _count_from(self, frames: int) -> None:
        if self._every:
            self._next = (frames // self._every + 1) * self._every

    def offer(self, update: int, frames: int, last: bool, weights: Callable[[], Arrays]) -> None:
        """After an update: keeps the weights, if an evaluation is due.

        Args:
            update: Its number.
            frames: After it.
            last: Whether it ends the training.
            weights: Gives the network's arrays.
        """
        if not self._every or (frames < self._next and not last):
            return
        self._count_from(frames)
        self._folder.mkdir(exist_ok=True)
        file = self._folder / f"{update:09d}.safetensors"
        checkpoints.save_arrays(file, weights(), {"frames": str(frames)})
        self._waiting.append(update)

    def watch(self) -> None:
        """Takes a result that is there, and begins the next evaluation."""
        if self._child is not None:
            status = self._child.poll()
            if status is None:
                return
            self._child = None
            self._take(status)
        if self._waiting and self._child is None:
            self._under_way = self._waiting[0]
            argument = {"run": str(self._folder.parent.resolve()), "update": self._under_way}
            self._child = self._zygote.spawn(f"{MODULE}:main", argument, self._log)

    def _take(self, status: int) -> None:
        update = self._under_way
        file = self._folder / f"{update:09d}.json"
        self._attempts += 1
        if status == 0 and file.exists():
            self._last = read_json(file)
        elif self._attempts < ATTEMPTS:
            return
        else:
            log.warning(
                "the evaluation of update %d ended %d times without a result (%s) and is left "
                "out; see %s.",
                *(update, ATTEMPTS, exit_reason(status), self._log),
            )
        self._attempts = 0
        self._waiting.remove(update)
        file.with_suffix(".safetensors").unlink(missing_ok=True)

    def finish(self, stop: Callable[[], bool]) -> bool:
        """Waits for every evaluation that is due; False if `stop` said so first."""
        self.watch()
        while self._child is not None:
            if stop():
                return False
            self._child.wait(POLL_S)
            self.watch()
        return True

    def summary(self) -> dict[str, Any]:
        """The newest result, as numbers of a record; nothing before there is one."""
        found = {f"evaluation_{name}": self._last[name] for name in SHOWN if name in self._last}
        for task, scored in self._last.get("tasks", {}).items():
            found[f"evaluation_mean_return/{task}"] = scored["mean_return"]
        return found

    def close(self) -> None:
        """Ends the evaluation under way; it is to be made again."""
        if self._child is not None:
            self._child.signal(signal.SIGKILL)
            self._child = None


def results(run: Path) -> list[dict[str, Any]]:
    """What was evaluated beside a training, in order."""
    return [read_json(file) for file in sorted((run / FOLDER).glob("[0-9]*.json"))]


def main(argument: dict[str, Any]) -> None:
    """Makes one evaluation.

    Args:
        argument: run, the folder; update, of the weights.
    """
    torch.set_num_threads(1)
    parent = os.getppid()
    run = Path(argument["run"])
    settings = kept(TrainSettings.parse(read_settings(run)), run)
    file = Path(run, FOLDER, f"{argument['update']:09d}.safetensors")
    agent = make_agent(settings, environment_spec(settings))
    weights, words = checkpoints.load_arrays(file)
    load_weights(agent, weights)
    protocol = EvaluationSettings(
        episodes=settings.evaluation.episodes, policy=settings.evaluation.policy
    )
    key = Key(settings.seed).child("evaluation", argument["update"])

    def beat() -> None:
        if os.getppid() != parent:
            raise RunFailed("the training is gone.")

    result = {"update": argument["update"], "frames": int(words["frames"])}
    write_json(file.with_suffix(".json"), result | score(agent, settings, protocol, key, beat))
