"""Asynchronous successive halving by promotion: no rung is waited for.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934,
algorithm 2. A free worker looks through the rungs from the top: if some trial among the best
1/eta of a rung has not gone on yet, it does; else a new one begins at the bottom. Trials that
do not go on are paused, not stopped: what looks slow at first may go on when others have come.
"""

import math
from fractions import Fraction
from typing import Literal

import pydantic

from veldt.platform.settings import Settings
from veldt.search.schedulers.rungs import Changes, Rung, ladder
from veldt.search.schedulers.scheduler import Begin, Continue, Plan, Wish
from veldt.search.view import Trial, View


class AshaSettings(Settings):
    """The rungs."""

    name: Literal["asha"] = "asha"
    eta: int = pydantic.Field(3, ge=2, le=100)
    """Of each rung one in so many goes on, for so many times as long (the paper: 4)"""
    rungs: int = pydantic.Field(3, ge=1, le=30)
    """The last is whole trials, the first is eta^(1 - rungs) of that"""
    brackets: int = pydantic.Field(1, ge=1, le=30)
    """Every so many-th trial begins one rung higher than the one before it"""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> "AshaSettings":
        if self.brackets > self.rungs:
            raise ValueError(f"brackets is {self.brackets}, more than the {self.rungs} rungs")
        return self


class Asha:
    """Promotion; brackets as in the paper's section 3.2, a trial's by its number."""

    Settings = AshaSettings
    listens, forks = False, False

    def __init__(self, settings: AshaSettings, plan: Plan) -> None:
        self._eta, self._brackets = settings.eta, settings.brackets
        top = settings.rungs - 1
        self._rungs = [
            math.ceil(Fraction(plan.frames, settings.eta ** (top - i)))
            for i in range(settings.rungs)
        ]
        self._changes = Changes()
        self._ladders: list[list[Rung]] = []  # of each bracket

    def next(self, view: View, refused: bool) -> Wish | None:
        self._keep_up(view)
        for bracket, rungs in enumerate(self._ladders):
            for rung in reversed(rungs[bracket:]):
                found = rung.promoted(self._eta)
                if found is not None:
                    return Continue(found, rung.longer)
        first = len(view.trials) % self._brackets
        return None if refused else Begin(self._rungs[first])

    def _keep_up(self, view: View) -> None:
        anew, changed = self._changes.since(view)
        if anew:
            self._ladders = [ladder(self._rungs) for _ in range(self._brackets)]
        for trial in changed:
            for rung in self._ladders[trial.number % self._brackets]:
                rung.take(trial)

    def judge(self, view: View, trial: Trial) -> bool:
        return True
