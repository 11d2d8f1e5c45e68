"""Who stands where on a ladder of rungs, kept up to date change by change.

What the scheduler asks at each event (who is among the best of a rung and has not gone on?) is
answered in the logarithm of the trials, where reading all of them would take their number.
Nothing is kept that the view does not say: a table made anew from it is the same.
"""

import bisect
from collections.abc import Iterator, Sequence

from veldt.search.view import Trial, View

Place = tuple[float, int]  # minus the score, the trial: the best first


class Changes:
    """The trials that changed since they were last asked for, each once."""

    def __init__(self) -> None:
        self._view: View | None = None
        self._seen = 0

    def since(self, view: View) -> tuple[bool, Iterator[Trial]]:
        """Whether the view is another than before, and its trials that are new since."""
        anew = view is not self._view
        if anew:
            self._view, self._seen = view, 0
        numbers = dict.fromkeys(view.changed[self._seen :])
        self._seen = len(view.changed)
        return anew, (view.trials[number] for number in numbers)


class Rung:
    """The trials that had a score at so many frames.

    Args:
        frames: Of the rung.
        longer: Of the next.
    """

    def __init__(self, frames: int, longer: int) -> None:
        self.frames, self.longer = frames, longer
        self.all: list[Place] = []
        self._resting: list[Place] = []  # those that may go on, and have not
        self._places: dict[int, Place] = {}

    def take(self, trial: Trial) -> None:
        """Takes in how a trial is now."""
        before, score = self._places.pop(trial.number, None), trial.scores.get(self.frames)
        now = None if score is None else (-score, trial.number)
        if before != now:
            _move(self.all, before, now)
        if now is not None:
            self._places[trial.number] = now
        rests = now if trial.state == "paused" and trial.frames < self.longer else None
        _move(self._resting, before, rests)

    def promoted(self, eta: int) -> int | None:
        """The best trial that may go on, if it is among the best 1/eta of all; else none is."""
        if not self._resting:
            return None
        rank = bisect.bisect_left(self.all, self._resting[0])
        return self._resting[0][1] if rank < len(self.all) // eta else None


def _move(places: list[Place], before: Place | None, now: Place | None) -> None:
    """Puts one in order where it is now, and takes it from where it was, if it was there."""
    if before is not None:
        at = bisect.bisect_left(places, before)
        if at < len(places) and places[at] == before:
            del places[at]
    if now is not None:
        bisect.insort(places, now)


def ladder(frames: Sequence[int]) -> list[Rung]:
    """The rungs from which trials go on."""
    return [Rung(here, longer) for here, longer in zip(frames, frames[1:], strict=False)]
