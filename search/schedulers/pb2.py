"""Population-based bandits: PBT whose changed settings come from a model, for few members.

Parker-Holder et al. 2020, "Provably Efficient Online Hyperparameter Optimization with
Population-Based Bandits", arXiv:2002.02518. Members train in stretches, and one of the worst
takes over the weights of one of the best, as in `pbt.py`. Its numbers are then those of which the
largest rise of the score in the next stretch may be hoped for: where mean + sqrt(beta)
deviations of a Gaussian process over settings and time (`drifting_process.py`) is highest, with
beta = 0.2 + max(0, log(0.4 n)) after n stretches, as in the authors' program. What members
under way are trying counts as tried. Choices, and how many copies there are, change as in PBT,
and everything does until two stretches have been compared with what was before them.
"""

import math
from typing import Literal

import numpy as np
import pydantic

from veldt.platform.errors import InputError
from veldt.platform.settings import Settings
from veldt.search.drifting_process import DriftingProcess
from veldt.search.schedulers.pbt import Pbt, PbtSettings
from veldt.search.schedulers.scheduler import Plan, Wish
from veldt.search.space import variation, walk
from veldt.search.space.space import Point
from veldt.search.space.tree import Number, Scalar
from veldt.search.vectors import Vector
from veldt.search.view import Trial, View

MOST = 200  # stretches that the model knows, the newest
CLIP = 2.0  # deviations: a collapse tells no more than a bad stretch
GLOBAL, LOCAL = 256, 64  # candidates
SCALES = (0.1, 0.03, 0.01)  # of the local ones, one after another


class Pb2Settings(Settings):
    """The population."""

    name: Literal["pb2"] = "pb2"
    population: int = pydantic.Field(4, ge=2, le=10_000)
    stretches: int = pydantic.Field(10, ge=2, le=100_000)
    """Of a whole trial, after each of which members are compared"""
    burn_in: int = pydantic.Field(0, ge=0, le=100_000)
    """Stretches before the first comparison"""
    share: float = pydantic.Field(0.25, gt=0.0, le=0.5)
    """The worst so many take over from the best so many"""
    resample: float = pydantic.Field(0.25, ge=0.0, le=1.0)
    """With this probability a choice is drawn anew when it is taken over"""


class Pb2:
    """PBT with another way to explore."""

    Settings = Pb2Settings
    listens, forks = False, True

    def __init__(self, settings: Pb2Settings, plan: Plan) -> None:
        if plan.space.grammar:
            raise InputError(
                "scheduler: pb2 models settings as coordinates, and a grammar's points have no "
                "fixed number of them; use pbt."
            )
        self._settings, self._plan = settings, plan
        nodes = plan.space.nodes
        self._numbers = {at: node for at, node in nodes.items() if isinstance(node, Number)}
        known = settings.model_dump(exclude={"name"})
        self._pbt = Pbt(PbtSettings(**known), plan, self._explored)

    def next(self, view: View, refused: bool) -> Wish | None:
        return self._pbt.next(view, refused)

    def floor(self, view: View) -> int:
        return self._pbt.floor(view)

    def judge(self, view: View, trial: Trial) -> bool:
        return True

    def _explored(
        self, view: View, parent: Trial, frames: int, random: np.random.Generator
    ) -> Point:
        tree = self._plan.space.tree_of(parent.point)
        changed = variation.perturbed(tree, random, resample=self._settings.resample)
        point = walk.decisions(changed)
        x, t, y = self._seen(view)
        if len(y) < 2 or not any(address in self._numbers for address in point):
            return point
        promising = self._hoped_for(
            DriftingProcess(x, t, y),
            self._stretch(frames),
            self._under_way(view),
            np.array([address in point for address in self._numbers]),
            random,
        )
        vector = dict(zip(self._numbers, promising, strict=True))

        def decide(site: walk.Site) -> Scalar:
            if isinstance(site.node, Number):
                return site.node.at(float(vector[site.address]))
            return point[site.address]

        return walk.decisions(walk.fill(variation.opened(changed), decide))

    def _hoped_for(
        self,
        process: DriftingProcess,
        t: float,
        also: tuple[Vector, Vector],
        free: Vector,
        random: np.random.Generator,
    ) -> Vector:
        """The numbers [d] with the highest confidence bound; those not free are in the middle."""
        count = len(process.y)
        root = math.sqrt(0.2 + max(0.0, math.log(0.4 * count)))
        best: Vector = random.random((GLOBAL, len(free)))
        for scale in (*SCALES, None):
            best = np.where(free, best.clip(0.0, 1.0), 0.5)
            bound = process.mean(best, t) + root * process.deviation(best, t, also)
            top: Vector = best[int(np.argmax(bound))]
            if scale is not None:
                near = top + scale * random.standard_normal((LOCAL, len(free)))
                best = np.vstack([top, near])
        return top

    def _seen(self, view: View) -> tuple[Vector, Vector, Vector]:
        """Settings, times and rises of the score of stretches that have ended."""
        rows: list[tuple[float, int, Vector, float]] = []
        for trial in view.trials.values():
            scores = dict(trial.scores)
            if trial.parent is not None:
                other, frames = trial.parent
                scores[frames] = view.trials[other].scores[frames]
            there = sorted(scores)
            x = self._placed(trial)
            for before, after in zip(there, there[1:], strict=False):
                rise = (scores[after] - scores[before]) / (after - before)
                rows.append((self._stretch(before), trial.number, x, rise))
        rows = sorted(rows, key=lambda row: row[:2])[-MOST:]
        y = np.array([rise for *_, rise in rows])
        if len(y):
            y = ((y - y.mean()) / (y.std() or 1.0)).clip(-CLIP, CLIP)
        return np.array([x for _, _, x, _ in rows]), np.array([t for t, *_ in rows]), y

    def _under_way(self, view: View) -> tuple[Vector, Vector]:
        """Settings and times of what members are at."""
        running = [trial for trial in view.trials.values() if trial.state == "running"]
        x = np.array([self._placed(trial) for trial in running])
        return (
            x.reshape(len(running), len(self._numbers)),
            np.array([self._stretch(trial.frames) for trial in running]),
        )

    def _placed(self, trial: Trial) -> Vector:
        """A trial's numbers [d] in the unit cube; those that it has not are in the middle."""
        return np.array(
            [
                node.share(trial.point[at]) if at in trial.point else 0.5  # type: ignore[arg-type]
                for at, node in self._numbers.items()
            ]
        )

    def _stretch(self, frames: int) -> float:
        return frames * self._settings.stretches / self._plan.frames
