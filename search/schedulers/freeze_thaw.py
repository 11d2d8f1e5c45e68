"""Freeze-thaw: all trials are paused again and again, and the most promising goes on.

Swersky, Snoek and Adams 2014, "Freeze-Thaw Bayesian Optimization", arXiv:1406.3896. Trials
train in stretches. After each, a model of all curves (`curves.py`) foresees where every one of
them ends; whichever trial promises the largest improvement there over the best that is expected
goes on for a stretch, or a new one begins if that promises more. The first few go on to their
ends all the same: a model that had seen beginnings only would not know how curves go on.

Two other things differ from the paper. It chooses by how much the next stretch would tell about
which trial is best, among few that expected improvement had chosen; here expected improvement
itself chooses. And its new trials are where the model would have them; here the searcher says
where, afterwards, so that a new one promises what random points of the space do on average.
"""

import statistics
from typing import Literal

import numpy as np
import pydantic

from veldt.platform.settings import Settings
from veldt.search.curves import Curve, Curves, Experience, exceeds, improvement
from veldt.search.schedulers.curve import place
from veldt.search.schedulers.scheduler import Begin, Continue, Plan, Wish
from veldt.search.view import Trial, View

NOTHING = np.zeros(0)
MOST = 64  # trials that the model knows, those that came furthest


class FreezeThawSettings(Settings):
    """The stretches."""

    name: Literal["freeze-thaw"] = "freeze-thaw"
    stretches: int = pydantic.Field(9, ge=2, le=1000)
    """Of a whole trial"""
    first: int = pydantic.Field(3, ge=1, le=MOST)
    """Trials that go on to their ends, whatever they promise: from them the model learns how
    curves go"""
    candidates: int = pydantic.Field(8, ge=1, le=1000)
    """Random points that stand for what may begin"""
    chance: float = pydantic.Field(0.01, ge=0.0, lt=1.0)
    """Of coming to more than the best whole trial, below which none goes on"""


class FreezeThaw:
    """Trials under way are known as far as they are, and wait for nobody."""

    Settings = FreezeThawSettings
    listens, forks = False, False

    def __init__(self, settings: FreezeThawSettings, plan: Plan) -> None:
        self._settings, self._plan = settings, plan
        self._experience = Experience()

    def next(self, view: View, refused: bool) -> Wish | None:
        known = [trial for trial in view.scored if trial.state != "condemned"][:MOST]
        resting = [trial for trial in known if trial.state == "paused"]
        for trial in resting:
            if trial.number < self._settings.first:
                return Continue(trial.number, self._end(trial.frames))
        if not refused and (len(view.trials) < self._settings.first or len(known) < 2):
            return Begin(self._end(0))
        if refused and not resting:
            return None
        new = [] if refused else self._new(len(view.trials))
        curves = [self._curve(trial) for trial in known]
        seen = [(trial.number, len(trial.scores)) for trial in known]
        theta, doubtful = self._experience.of(seen, curves)
        model = Curves([*curves, *new], theta)
        found = [model.at(n, 1.0) for n in range(len(curves) + len(new))]
        found = [(end, doubtful * deviation) for end, deviation in found]
        ends = {trial.number: end for trial, end in zip(known, found, strict=False)}
        best = max(end for end, _ in ends.values())
        done = [ends[trial.number][0] for trial in known if trial.state == "done"]
        if done:
            least = self._settings.chance
            resting = [t for t in resting if exceeds(ends[t.number], max(done)) >= least]
        promise = {t.number: improvement(ends[t.number], best) for t in resting}
        chosen = max(resting, key=lambda t: (promise[t.number], -t.number), default=None)
        if not refused:
            begun = statistics.fmean(improvement(end, best) for end in found[len(known) :])
            if chosen is None or begun > promise[chosen.number]:
                return Begin(self._end(0))
        return None if chosen is None else Continue(chosen.number, self._end(chosen.frames))

    def judge(self, view: View, trial: Trial) -> bool:
        return True

    def _end(self, frames: int) -> int:
        """Of the stretch that begins there."""
        stretches, whole = self._settings.stretches, self._plan.frames
        return -(-whole * (frames * stretches // whole + 1) // stretches)

    def _curve(self, trial: Trial) -> Curve:
        times = sorted(trial.scores)
        return Curve(
            place(self._plan, trial),
            np.array([there / self._plan.frames for there in times]),
            np.array([trial.scores[there] for there in times]),
        )

    def _new(self, number: int) -> list[Curve]:
        """What may begin."""
        space, count = self._plan.space, self._settings.candidates
        random = self._plan.key.child("new", number).generator()
        points = np.zeros((1, 0)) if space.grammar else random.random((count, space.dimensions))
        return [Curve(point, NOTHING, NOTHING) for point in points]
