"""The median rule: a trial that goes worse than half of the others did is paused.

Golovin et al. 2017, "Google Vizier", section 3.2: at step s, when the trial's best so far is
strictly below the median of the others' running averages up to s. Compared are values at the
same frames; a paused trial can be gone on with later, where the first of its kind was stopped
for ever.
"""

import bisect
import statistics
from typing import Literal

import pydantic

from veldt.platform.settings import Settings
from veldt.search.schedulers.rungs import Changes
from veldt.search.schedulers.scheduler import Begin, Plan, Wish
from veldt.search.view import Trial, View


class MedianSettings(Settings):
    """When it speaks."""

    name: Literal["median"] = "median"
    least_trials: int = pydantic.Field(5, ge=1, le=10_000)
    """That have come so far, before it pauses any"""
    least_share: float = pydantic.Field(0.1, ge=0.0, le=1.0)
    """Of a whole trial, before which none is paused"""


class Median:
    """Every trial to its end, but for those that the rule pauses."""

    Settings = MedianSettings
    listens, forks = True, False

    def __init__(self, settings: MedianSettings, plan: Plan) -> None:
        self._settings, self._frames = settings, plan.frames
        self._changes = Changes()
        self._averages: dict[int, tuple[list[int], list[float]]] = {}  # frames, averages so far

    def next(self, view: View, refused: bool) -> Wish | None:
        return None if refused else Begin(self._frames)

    def judge(self, view: View, trial: Trial) -> bool:
        if not trial.reports:
            return True
        frames = trial.reports[-1][0]
        if frames < self._settings.least_share * self._frames:
            return True
        self._keep_up(view)
        others = [
            averages[bisect.bisect_right(there, frames) - 1]
            for number, (there, averages) in self._averages.items()
            if number != trial.number and there[0] <= frames <= there[-1]
        ]
        if len(others) < self._settings.least_trials:
            return True
        return max(value for _, value in trial.reports) >= statistics.median(others)

    def promotable(self, view: View, trial: Trial) -> bool:
        return False

    def _keep_up(self, view: View) -> None:
        anew, changed = self._changes.since(view)
        if anew:
            self._averages = {}
        for trial in changed:
            values = [value for _, value in trial.reports]
            if values:
                averages = [statistics.fmean(values[: i + 1]) for i in range(len(values))]
                self._averages[trial.number] = [frames for frames, _ in trial.reports], averages
