"""The curve rule: a trial that will hardly come to more than the best is paused.

Golovin et al. 2017, "Google Vizier", section 3.2: a Gaussian process on partial curves foresees
the final value, and a trial is stopped when the probability that this is above the best is
small; Domhan et al. 2015, "Speeding up Automatic Hyperparameter Optimization of Deep Neural
Networks by Extrapolation of Learning Curves", IJCAI, with 0.05. The process is `curves.py`,
fitted to the trials that are not under way. Compared is what trainings report; the best is the
highest end of a whole trial, as the process sees it, so that luck counts for less. What is
paused may go on later.
"""

from typing import Literal

import numpy as np
import pydantic

from veldt.platform.settings import Settings
from veldt.search.curves import Curve, Curves, Experience, exceeds, thinned
from veldt.search.schedulers.scheduler import Begin, Plan, Wish
from veldt.search.vectors import Vector
from veldt.search.view import Trial, View

MOST = 64  # trials that are known of, the newest


class CurveSettings(Settings):
    """When it speaks."""

    name: Literal["curve"] = "curve"
    chance: float = pydantic.Field(0.05, gt=0.0, lt=0.5)
    """Of coming to more than the best, below which a trial is paused"""
    least_trials: int = pydantic.Field(4, ge=1, le=MOST)
    """That have come to their end, before it pauses any"""
    least_share: float = pydantic.Field(0.1, ge=0.0, le=1.0)
    """Of a whole trial, before which none is paused"""


class Stopping:
    """Every trial to its end, but for those that the rule pauses."""

    Settings = CurveSettings
    listens, forks = True, False

    def __init__(self, settings: CurveSettings, plan: Plan) -> None:
        self._settings, self._plan = settings, plan
        self._experience = Experience()

    def next(self, view: View, refused: bool) -> Wish | None:
        return None if refused else Begin(self._plan.frames)

    def judge(self, view: View, trial: Trial) -> bool:
        if len(trial.reports) < 2:
            return True
        if trial.reports[-1][0] < self._settings.least_share * self._plan.frames:
            return True
        others = [
            other
            for other in view.trials.values()
            if other is not trial and other.state in ("done", "paused") and other.reports
        ]
        if sum(other.state == "done" for other in others) < self._settings.least_trials:
            return True
        whole = [other for other in others if other.state == "done"][-MOST:]
        part = [other for other in others if other.state == "paused"][-MOST:]
        known = [self._curve(other) for other in (*whole, *part)]
        seen = [(other.number, len(other.reports)) for other in (*whole, *part)]
        theta, doubtful = self._experience.of(seen, known)
        model = Curves([*known, self._curve(trial)], theta)
        best = max(model.at(n, 1.0)[0] for n in range(len(whole)))
        end, deviation = model.at(len(known), 1.0)
        return exceeds((end, doubtful * deviation), best) >= self._settings.chance

    def promotable(self, view: View, trial: Trial) -> bool:
        return False

    def _curve(self, trial: Trial) -> Curve:
        return Curve(place(self._plan, trial), *thinned(trial.reports, self._plan.frames))


def place(plan: Plan, trial: Trial) -> Vector:
    """A trial's settings in the unit cube; of a grammar's nothing is known."""
    return np.zeros(0) if plan.space.grammar else plan.space.encode(trial.point)
