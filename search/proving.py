"""How a winner is chosen and proved: on seeds that no trial was tuned on.

The highest score of many is mostly luck. So the best few trials are trained again on validation
seeds, one of each before the second of any; the highest mean there wins; and only the winner's
last trainings, on seeds that nothing was chosen by, are called the result.
"""

import math
from collections.abc import Callable

from veldt.search.settings import HeldoutSettings
from veldt.search.view import Purpose, Segment, Trial, View

Make = Callable[[int, Purpose, int, int, int], Segment]
"""(trial, purpose, replicate, begin, end) -> a segment in the log"""
ROUNDS = 3  # of validations, before anybody drops out
ERRORS = 2.0  # standard errors of a difference that is clear


class Proving:
    """Validations and tests, from what is in the view.

    Args:
        settings: Of it.
        view: Of the study.
        frames: Of each training.
        make: Makes a segment.
    """

    def __init__(self, settings: HeldoutSettings, view: View, frames: int, make: Make) -> None:
        self._settings, self._view, self._make = settings, view, make
        self._first = frames

    @property
    def frames(self) -> int:
        """Of each training."""
        return max([self._first, *(frames for _, frames in self._view.extensions)])

    def validation(self) -> Segment | None:
        """The next training that chooses among the finalists; none if there is one finalist."""
        settings, finalists = self._settings, self.finalists
        if len(finalists) == 1:
            return None
        # One of each before the second of any, so that no worker waits for a finalist.
        for replicate in range(settings.validations):
            racing = self._racing(replicate)
            if racing is None:
                return None
            for trial in racing:
                if replicate not in self._view.asked("validate", trial, self.frames):
                    return self._make(trial, "validate", replicate, 0, self.frames)
        return None

    def _racing(self, replicate: int) -> list[int] | None:
        """The finalists that get a validation of this number; None if it is not known yet.

        After some rounds those drop out whose mean is worse than the leader's by clearly more
        than the standard error of the difference.
        """
        there = self.finalists
        for before in range(ROUNDS, replicate + 1):
            proofs = {trial: self._view.proofs("validate", trial) for trial in there}
            if any(len(scores) < before for scores in proofs.values()):
                return None
            there = still_in(
                {t: [scores[r] for r in range(before)] for t, scores in proofs.items()}
            )
            if len(there) == 1:
                return []
        return there

    def test(self) -> Segment | None:
        """The winner's own training."""
        winner = self.winner.number
        for replicate in range(self._settings.tests):
            if replicate not in self._view.asked("test", winner, self.frames):
                return self._make(winner, "test", replicate, 0, self.frames)
        return None

    @property
    def finalists(self) -> list[int]:
        """The trials with the highest scores among those that came furthest."""
        return [trial.number for trial in self._view.scored[: self._settings.finalists]]

    @property
    def winner(self) -> Trial:
        """The finalist with the highest validation, or the highest score if there is one."""

        def merit(number: int) -> tuple[int, float]:
            proofs = self._view.proofs("validate", number)
            mean = self._view.mean("validate", number)
            # Who dropped out of the race has fewer, and does not win.
            return (len(proofs), -math.inf) if mean is None else (len(proofs), mean)

        return self._view.trials[max(self.finalists, key=merit)]


def still_in(scores: dict[int, list[float | None]]) -> list[int]:
    """Who goes on in a race; a failed training is out.

    Args:
        scores: trial -> its scores, as many of each.
    """
    whole = {t: [x for x in s if x is not None] for t, s in scores.items() if None not in s}
    if not whole:
        return list(scores)
    count = len(next(iter(whole.values())))
    means = {t: math.fsum(s) / count for t, s in whole.items()}
    errors = {
        t: math.fsum((x - means[t]) ** 2 for x in s) / (count - 1) / count
        for t, s in whole.items()
    }
    leader = max(whole, key=lambda t: means[t])
    return [
        t
        for t in whole
        if means[leader] - means[t] <= ERRORS * math.sqrt(errors[leader] + errors[t])
    ]
