"""What schedulers answer, read from all trials of the view at every question: slow, and plain."""

import bisect
import statistics

from veldt.search.schedulers.halving import promotion
from veldt.search.schedulers.scheduler import Begin, Continue


def asha(frames, eta, brackets, view, refused):
    """`frames` of the rungs; arXiv:1810.05934, algorithm 2."""
    for bracket in range(brackets):
        trials = [t for t in view.trials.values() if t.number % brackets == bracket]
        for rung in range(len(frames) - 2, bracket - 1, -1):
            there = [t for t in trials if frames[rung] in t.scores]
            there.sort(key=lambda t: (-t.scores[frames[rung]], t.number))
            for trial in there[: len(there) // eta]:
                if trial.state == "paused" and trial.frames < frames[rung + 1]:
                    return Continue(trial.number, frames[rung + 1])
    return None if refused else Begin(frames[len(view.trials) % brackets])


def halving(brackets, view, refused):
    """`brackets` of rungs (trials, frames), one after another."""
    first = 0
    for bracket in brackets:
        numbers = range(first, first + bracket[0][0])
        members = [view.trials[number] for number in numbers if number in view.trials]
        first += bracket[0][0]
        wish = promotion(bracket, members, view.exhausted)
        if wish is not None:
            return wish
        if len(members) < bracket[0][0]:
            return None if refused else Begin(bracket[0][1])
    return None


def median(settings, whole, view, trial):
    """Whether a trial is to go on."""
    if not trial.reports:
        return True
    frames = trial.reports[-1][0]
    if frames < settings.least_share * whole:
        return True
    others = [_average(other, frames) for other in view.trials.values() if other is not trial]
    others = [average for average in others if average is not None]
    if len(others) < settings.least_trials:
        return True
    return max(value for _, value in trial.reports) >= statistics.median(others)


def _average(trial, frames):
    count = bisect.bisect_right(trial.reports, (frames, float("inf")))
    if not count or (count == len(trial.reports) and trial.reports[-1][0] < frames):
        return None
    return statistics.fmean(value for _, value in trial.reports[:count])


def asked(view, purpose, trial, frames):
    """The replicates that were begun."""
    return {
        s.replicate
        for s in view.segments.values()
        if (s.purpose, s.trial, s.end) == (purpose, trial, frames)
    }
