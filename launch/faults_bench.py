"""What it costs to kill actors all the time: the same training undisturbed, and with kills.

Actors are killed by SIGKILL, one every few seconds, each in turn. A kill costs at most the
unroll that its actor was at, which is counted and made again: no update is lost.

updates_lost             updates that were seen to be made, less those that the last checkpoint
                         has: what was gone back on
trajectories_begun       tickets that the learner gave out
actors_ended_at_work     actors whose tickets it had to take back when they died
trajectories_dropped     unrolls that came to nothing: those, and what was under way at the end
unrolls_unaccounted      begun, less learnt from and dropped
learner_megabytes_...    the learner's own resident memory: at the beginning, at the end, and the
                         slope of the line through all samples, by least squares
"""

import contextlib
import math
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import rich.table

from veldt.launch.console import Console
from veldt.platform import checkpoints
from veldt.platform.errors import Interrupted, RunFailed

if TYPE_CHECKING:
    from veldt.agents.settings import TrainSettings

ACTOR = "veldt-actor"
SHARED = Path("/dev/shm")
WARM_UP_S = 5.0  # at most
SAMPLES = 100  # of the memory
COUNTED = (
    "updates",
    "trajectories",
    "trajectories_begun",
    "trajectories_dropped",
    "actors_ended_at_work",
    "actor_restarts",
    "actor_recovery_seconds_max",
)


def faults(
    settings: "TrainSettings", seconds: float, every_s: float, console: Console
) -> dict[str, Any]:
    """Trains for `seconds` undisturbed, and for `seconds` with a kill every `every_s`.

    Returns:
        steps/s of both and their ratio; kills; what the disturbed training counted, and what of
        it does not add up; its learner's memory; and what is left under /dev/shm.

    Raises:
        RunFailed: if a training comes to grief.
    """
    before = _shared()
    console.say(f"undisturbed, {seconds:g} s ...")
    undisturbed = _train(settings, seconds, None)
    console.say(f"an actor killed every {every_s:g} s, {seconds:g} s ...")
    disturbed = _train(settings, seconds, every_s)
    rates = {"undisturbed": undisturbed["rate"], "disturbed": disturbed.pop("rate")}
    return {
        **{f"{name}_steps_per_second": rate for name, rate in rates.items()},
        "ratio": rates["disturbed"] / rates["undisturbed"],
        "seconds": seconds,
        **disturbed,
        "shared_memory_left": sorted(_shared() - before),
    }


def show(result: dict[str, Any], console: Console) -> None:
    table = rich.table.Table(title="an actor killed again and again", title_justify="left")
    for column in ("", "value"):
        table.add_column(column, justify="right" if column else "left")
    for name, value in result.items():
        table.add_row(name, f"{value:,.6g}" if isinstance(value, int | float) else f"{value}")
    console.say(table)


def _train(settings: "TrainSettings", seconds: float, every_s: float | None) -> dict[str, Any]:
    """One training, looked at for `seconds`, with its actors killed if `every_s` is given."""
    from veldt.agents.train import train

    watch, steps = Watch(seconds, every_s), settings.steps_per_update
    with tempfile.TemporaryDirectory(prefix="veldt-") as folder:
        with contextlib.suppress(Interrupted):
            train(
                settings.model_copy(update={"frames": 10**12}),
                Path(folder),
                beat=watch.beat,
                stop=watch.stop,
            )
        checkpoint = checkpoints.load(Path(folder))
    if checkpoint is None or len(watch.samples) < 2:
        raise RunFailed("the training ended before it could be measured; try more --seconds.")
    state = checkpoint[2]
    return {
        "rate": watch.updates * steps / watch.seconds,
        "kills": watch.kills,
        **{name: state[name] for name in COUNTED},
        "updates_lost": watch.seen - state["updates"],
        "unrolls_unaccounted": unaccounted(state),
        "learner_megabytes_early": watch.samples[0][1],
        "learner_megabytes_late": watch.samples[-1][1],
        "learner_megabytes_per_minute": per_minute(watch.samples),
    }


def unaccounted(state: dict[str, Any]) -> int:
    """Unrolls that were begun and neither learnt from nor counted as dropped; 0 if the counters of
    a training that has stopped, as a checkpoint has them, are right."""
    used, dropped = state["trajectories"], state["trajectories_dropped"]
    return int(state["trajectories_begun"] - used - dropped)


def per_minute(samples: list[tuple[float, float]]) -> float:
    """The slope of the least-squares line through (seconds, value), in values a minute."""
    seconds, values = np.array(samples).T
    return float(60.0 * np.polyfit(seconds - seconds.mean(), values, 1)[0])


class Watch:
    """Follows a training from its warm-up on, and kills its actors; all in its own thread.

    Args:
        seconds: To be looked at.
        every_s: From one kill to the next; None: none.
    """

    def __init__(self, seconds: float, every_s: float | None) -> None:
        self.updates, self.seconds, self.kills = 0, 0.0, 0
        self.seen = 0
        """updates, the warm-up's too"""
        self.samples: list[tuple[float, float]] = []
        """(seconds, megabytes resident in the learner), about a hundred times"""
        self._least_s, self._every_s = seconds, every_s
        self._begun_s: float | None = None
        self._ready_s = math.inf
        self._process = psutil.Process()

    def beat(self) -> None:
        """After each update."""
        self.seen += 1
        now_s = time.perf_counter()
        if math.isinf(self._ready_s):
            self._ready_s = now_s + min(WARM_UP_S, self._least_s / 2)
        if self._begun_s is None:
            self._begun_s = now_s if now_s >= self._ready_s else None
            return
        self.updates, self.seconds = self.updates + 1, now_s - self._begun_s
        if self.seconds >= len(self.samples) * self._least_s / SAMPLES:
            self.samples.append((self.seconds, self._process.memory_info().rss / 1e6))

    def stop(self) -> bool:
        """Whether it was looked at for long enough; kills, when it is time."""
        if self._begun_s is not None and self._every_s is not None:
            elapsed = time.perf_counter() - self._begun_s
            if elapsed >= (self.kills + 1) * self._every_s and self._kill():
                self.kills += 1
        return self.seconds >= self._least_s

    def _kill(self) -> bool:
        """Kills the actor that lives the longest."""
        actors = [child for child in self._children() if child.name() == ACTOR]
        if not actors:
            return False
        os.kill(min(actors, key=psutil.Process.create_time).pid, signal.SIGKILL)
        return True

    def _children(self) -> list[psutil.Process]:
        children: list[psutil.Process] = self._process.children(recursive=True)
        return children


def _shared() -> set[str]:
    """What lies in shared memory that has a name."""
    return {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()
