"""Successive halving and Hyperband: many short trials, and of each rung the best go on.

Jamieson and Talwalkar 2016, arXiv:1502.07943; Li et al. 2018, "Hyperband", JMLR 18, algorithm 1:

    s_max = floor(log_eta R)      B = (s_max + 1) R
    bracket s = s_max ... 0       n = ceil(B / R eta^s / (s + 1))      r = R eta^-s
    rung i of a bracket           floor(n eta^-i) trials to r eta^i

All of it in exact arithmetic: a logarithm in floating point loses whole rungs. (For R = 81 and
eta = 3 the first rungs have 81, 34, 15, 8 and 5 trials, as in JMLR; the first version of the
arXiv text had 81, 27, 9, 6, 5.)
"""

import bisect
import itertools
import math
from fractions import Fraction
from typing import Literal

import pydantic

from veldt.platform.settings import Settings
from veldt.search.schedulers.rungs import Changes
from veldt.search.schedulers.scheduler import Begin, Continue, Plan, Wish
from veldt.search.view import Trial, View

Rung = tuple[int, int]  # trials, frames
Bracket = list[Rung]
USUAL = 9  # trials of a bracket where nothing says how many


class HalvingSettings(Settings):
    """One bracket, again and again."""

    name: Literal["halving"] = "halving"
    eta: int = pydantic.Field(3, ge=2, le=100)
    """Of each rung one in so many goes on, for so many times as long"""
    trials: int | None = pydantic.Field(None, ge=1, le=1_000_000)
    """In the first rung; if it is not given, as many as the stages ask for, with a budget 9"""
    rungs: int = pydantic.Field(3, ge=1, le=30)
    """The last is whole trials, the first is eta^(1 - rungs) of that"""
    brackets: int | None = pydantic.Field(None, ge=1, le=1_000_000)
    """One after another; if it is not given, as many as all that the stages ask for needs"""


class HyperbandSettings(Settings):
    """All brackets of the paper."""

    name: Literal["hyperband"] = "hyperband"
    eta: int = pydantic.Field(3, ge=2, le=100)
    """Of each rung one in so many goes on, for so many times as long"""
    least_frames: int = pydantic.Field(ge=1)
    """Of a trial: the paper's unit of R"""
    rounds: int | None = pydantic.Field(None, ge=1, le=1_000_000)
    """Over all brackets; if it is not given, as many as all that the stages ask for needs"""


def depth(units: int, eta: int) -> int:
    """floor(log_eta units), exact."""
    found = 0
    while eta ** (found + 1) <= units:
        found += 1
    return found


def table(units: int, eta: int) -> list[list[tuple[int, Fraction]]]:
    """Hyperband's brackets, the one with the most trials first.

    Args:
        units: R, a whole trial in the smallest that a trial may have.
        eta: Of the paper.

    Returns:
        For each bracket its rungs: trials, and the units that each comes to.
    """
    deepest = depth(units, eta)
    found = []
    for s in range(deepest, -1, -1):
        n = math.ceil(Fraction((deepest + 1) * eta**s, s + 1))
        found.append([(n // eta**i, Fraction(units, eta**s) * eta**i) for i in range(s + 1)])
    return found


class Halving:
    """Brackets of rungs; a rung is full before the best of it go on.

    While one bracket waits for its last trials, the next one begins: no worker is idle for
    the sake of order.
    """

    Settings = HalvingSettings
    listens, forks = False, False

    def __init__(self, settings: HalvingSettings, plan: Plan) -> None:
        top, eta = plan.frames, settings.eta
        trials, brackets = _taken(settings, plan)
        rungs = [
            (trials // eta**i, math.ceil(Fraction(top, eta ** (settings.rungs - 1 - i))))
            for i in range(settings.rungs)
        ]
        self._plan([[rung for rung in rungs if rung[0]]] * brackets)

    def _plan(self, brackets: list[Bracket]) -> None:
        self._brackets = brackets
        sizes = itertools.accumulate(bracket[0][0] for bracket in brackets)
        self._firsts = [0, *sizes]  # of each bracket its first trial, and the end
        self.room = self._firsts[-1]  # trials, after which nothing is begun
        self._changes = Changes()
        self._still: set[int] = set()  # brackets of which nobody goes on until one changes
        self._exhausted = False

    def next(self, view: View, refused: bool) -> Wish | None:
        self._keep_up(view)
        begun = len(view.trials)
        for number, bracket in enumerate(self._brackets):
            first, end = self._firsts[number : number + 2]
            if number not in self._still:
                members = [view.trials[member] for member in range(first, min(end, begun))]
                wish = promotion(bracket, members, view.exhausted)
                if wish is not None:
                    return wish
                self._still.add(number)
            if begun < end:
                return None if refused else Begin(bracket[0][1])
        return None

    def _keep_up(self, view: View) -> None:
        """Forgets what was found of brackets in which something has changed."""
        anew, changed = self._changes.since(view)
        for trial in changed:
            self._still.discard(bisect.bisect_right(self._firsts, trial.number) - 1)
        if anew or view.exhausted != self._exhausted:
            self._still, self._exhausted = set(), view.exhausted

    def judge(self, view: View, trial: Trial) -> bool:
        return True

    def promotable(self, view: View, trial: Trial) -> bool:
        number = bisect.bisect_right(self._firsts, trial.number) - 1
        first, end = self._firsts[number : number + 2]
        members = [view.trials[member] for member in range(first, min(end, len(view.trials)))]
        return survives(self._brackets[number], members, view.exhausted, trial)


class Hyperband(Halving):
    """The brackets of the paper's table."""

    Settings = HyperbandSettings  # type: ignore[assignment]

    def __init__(self, settings: HyperbandSettings, plan: Plan) -> None:
        units = max(1, plan.frames // settings.least_frames)
        unit = Fraction(plan.frames, units)
        brackets = [
            [(trials, math.ceil(unit * length)) for trials, length in bracket]
            for bracket in table(units, settings.eta)
        ]
        rounds = settings.rounds
        if rounds is None:
            rounds = _times(plan.asked(), sum(bracket[0][0] for bracket in brackets))
        self._plan(brackets * rounds)


def _taken(settings: HalvingSettings, plan: Plan) -> tuple[int, int]:
    """Trials of a bracket, and brackets: what is not said follows from the stages."""
    trials, brackets = settings.trials, settings.brackets
    if trials is None:
        asked = None if plan.budgeted else plan.asked()
        trials = USUAL if asked is None else _times(asked, brackets or 1)
    return trials, _times(plan.asked(), trials) if brackets is None else brackets


def _times(asked: int | None, each: int) -> int:
    """How often so many are all that are asked for; once where nobody knows."""
    return 1 if asked is None else max(1, math.ceil(Fraction(asked, each)))


def promotion(bracket: Bracket, members: list[Trial], exhausted: bool) -> Wish | None:
    """A trial of a full rung that goes on, the best first; None if there is none.

    Args:
        bracket: Its rungs.
        members: Its trials so far.
        exhausted: No more will come, so that those that are there are the rung.
    """
    wanted, there = bracket[0][0], members
    for (_, frames), (places, longer) in zip(bracket, bracket[1:], strict=False):
        if len(there) < wanted and not exhausted:
            return None
        if any(reached(trial, frames) is None and trial.state != "condemned" for trial in there):
            return None
        there, wanted = _ordered(there, frames)[:places], places
        for trial in there:
            if trial.state == "paused" and trial.frames < longer:
                return Continue(trial.number, longer)
        wanted = min(wanted, len(there))
    return None


def survives(bracket: Bracket, members: list[Trial], exhausted: bool, trial: Trial) -> bool:
    """Whether a paused trial may still go on: its rung is not full, or it is one of its best.

    Args:
        bracket: Its rungs.
        members: Its trials so far.
        exhausted: No more will come.
        trial: One of them.
    """
    wanted, there = bracket[0][0], members
    for (_, frames), (places, longer) in zip(bracket, bracket[1:], strict=False):
        short = len(there) < wanted and not exhausted
        if short or any(reached(t, frames) is None and t.state != "condemned" for t in there):
            return trial.frames <= frames
        there, wanted = _ordered(there, frames)[:places], places
        if trial not in there:
            return False
        if trial.frames < longer:
            return True
        wanted = min(wanted, len(there))
    return False


def _ordered(there: list[Trial], frames: int) -> list[Trial]:
    """Those that came to a rung, the best first."""
    return sorted(
        (trial for trial in there if reached(trial, frames) is not None),
        key=lambda trial: (-(reached(trial, frames) or 0.0), trial.number),
    )


def reached(trial: Trial, frames: int) -> float | None:
    """The score that a trial had at a rung; None if it is not there yet, or passed it by."""
    return trial.scores.get(frames)
