"""A recorded landscape: what trainings of many settings came to, played again in virtual time.

A point that is asked about is answered by the recorded one that is nearest to it in the unit
cube: a landscape of cells, each of one height, so that searchers that model the settings see
the settings they asked for. Of each point there are trainings from several seeds. A repeat of
a study draws, for each point, which of them it is tuned on, which one tests it, and the rest
validate: the three are disjoint, as they are in a real study.
"""

import dataclasses
import gzip
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.platform.runs import write_whole
from veldt.search.simulator import Played
from veldt.search.space.space import Space
from veldt.search.trial import Job, Outcome, Reported
from veldt.search.vectors import Vector

Curves = list[list[list[float | None]]]
"""[points, seeds, checkpoints]"""


@dataclasses.dataclass(frozen=True)
class Recording:
    """Plain JSON, and where it comes from."""

    environment: str
    train: dict[str, Any]
    """what all trainings have in common, as in a recipe"""
    space: dict[str, Any]
    points: list[dict[str, Any]]
    frames: list[int]
    """of the checkpoints"""
    returns: Curves
    """mean return of an evaluation's episodes; None: it had diverged"""
    training_returns: Curves
    """of the training's own episodes since the last checkpoint; None: there were none"""
    seconds: Curves
    """of training so far"""
    episodes: int
    """of an evaluation"""
    made_with: dict[str, Any]
    """code and libraries"""

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """`returns` as an array; NaN: diverged."""
        return np.array(self.returns, np.float64)

    @cached_property
    def final(self) -> Vector:
        """The mean over all seeds of a whole training [points]; of points that diverged, on
        any seed, as bad as the worst."""
        last = self.scores[:, :, -1]
        found: Vector = np.where(np.isnan(last), np.nanmin(self.scores), last).mean(axis=1)
        return found

    @cached_property
    def cube(self) -> NDArray[np.float64]:
        """The points [points, n]."""
        space = Space(self.space)
        return np.array([space.encode(point) for point in self.points])

    def nearest(self, vector: Vector) -> int:
        """The recorded point that stands for one of the cube."""
        return int(np.argmin(((self.cube - vector) ** 2).sum(axis=1)))


def save(path: Path, recording: Recording) -> None:
    """Writes the file: the same bytes for the same recording."""
    text = json.dumps(dataclasses.asdict(recording), separators=(",", ":"), allow_nan=False)
    write_whole(path, gzip.compress(text.encode(), mtime=0))


def load(path: Path) -> Recording:
    """Reads a recording.

    Raises:
        InputError: if it is none.
    """
    try:
        return Recording(**json.loads(gzip.decompress(path.read_bytes())))
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not a recorded landscape ({error}).") from error


class Recorded:
    """A recording as a landscape.

    Args:
        recording: It.
        key: Of the repeat: which seeds tune, validate and test.

    Raises:
        InputError: if there are fewer than three seeds.
    """

    def __init__(self, recording: Recording, key: Key) -> None:
        seeds = recording.scores.shape[1]
        if seeds < 3:
            raise InputError(
                f"the recording has {seeds} seed(s) of each point; to tune, validate and test "
                "on different ones takes 3."
            )
        self._recording, self._space = recording, Space(recording.space)
        self.validations = seeds - 2
        points = range(len(recording.points))
        order = [key.child("seeds", point).generator().permutation(seeds) for point in points]
        self._order = np.array(order)
        self._reached: dict[str, int] = {}  # folder of a training -> frames

    def seed(self, point: int, purpose: str, replicate: int = 0) -> int:
        """Which of the recorded trainings of a point one is."""
        if purpose == "validate" and replicate >= self.validations:
            raise InputError(f"the recording has {self.validations} validation(s) of a point.")
        place = {"tune": 0, "test": 1, "validate": 2}[purpose]
        return int(self._order[point, place + replicate])

    def point(self, decided: dict[str, Any]) -> int:
        """The recorded point that answers for one."""
        return self._recording.nearest(self._space.encode(decided))

    def play(self, job: Job) -> Played:
        recording = self._recording
        if job.parent is not None:
            raise InputError(
                "a recording cannot tell what a copy with changed settings would come to: "
                "population-based training is not to be replayed on it."
            )
        point = self.point({path: _at(job.settings, path) for path in recording.space})
        seed = self.seed(point, *_purpose(job))
        begin = self._reached.get(job.folder, 0)
        end = min(job.until or recording.frames[-1], recording.frames[-1])
        self._reached[job.folder] = end
        seconds = [value or 0.0 for value in recording.seconds[point][seed]]
        before, after = (
            float(np.interp(at, [0, *recording.frames], [0.0, *seconds])) for at in (begin, end)
        )
        values = recording.training_returns[point][seed]
        reports = [
            (seconds[i] - before, Reported(job.segment, frames, value))
            for i, (frames, value) in enumerate(zip(recording.frames, values, strict=True))
            if begin < frames < end and value is not None
        ]
        return Played(max(after - before, 1e-3), self._outcome(job, point, seed, end), reports)

    def paused(self, job: Job, reported: Reported) -> Outcome:
        point = self.point({path: _at(job.settings, path) for path in self._recording.space})
        self._reached[job.folder] = reported.frames
        return self._outcome(job, point, self.seed(point, *_purpose(job)), reported.frames)

    def _outcome(self, job: Job, point: int, seed: int, frames: int) -> Outcome:
        """By the newest checkpoint there was; before the first, the first."""
        there = np.searchsorted(self._recording.frames, frames, side="right")
        score = self._recording.returns[point][seed][max(0, int(there) - 1)]
        if score is None:
            reason = "Diverged: as recorded"
            return Outcome(job.segment, None, reason, frames=frames, diverged=True)
        episodes = self._recording.episodes
        evaluation = {"mean_return": score, "standard_error": None, "episodes": episodes}
        summary = {"steps": frames, "updates": frames, "frames": frames}
        return Outcome(job.segment, score, frames=frames, summary=summary, evaluation=evaluation)


def _at(settings: dict[str, Any], path: str) -> Any:
    for name in path.split("."):
        settings = settings[name]
    return settings


def _purpose(job: Job) -> tuple[str, int]:
    kind, *numbers = job.name.split("-")
    if kind == "trial":
        return "tune", 0
    return ("validate", int(numbers[-1])) if kind == "validate" else ("test", 0)
