"""Population-based training: members that do badly go on as changed copies of those that do well.

Jaderberg et al. 2017, arXiv:1711.09846; as IMPALA's authors used it, arXiv:1802.01561, section
5.3 and appendix F. Members train in stretches. After each, one that does badly takes over the
weights and settings of one that does well (exploit), and settings change (explore):

    truncation, copies   one of the worst share takes over from one of the best, and changes
    rival, all           one is compared with one other, drawn at random, and takes over if that
                         is better by more than a margin; copied or not, its settings change

The first is the first paper's, the second IMPALA's: `rival`, a margin of 0.05 of a capped
human-normalised score, `mutants = "all"`, `mutation = 0.33`, `resample = 0`.

A member is a line of trials: whoever takes over, or goes on with other settings, is a new trial
whose parent is known, so that the schedule of settings that a winner lived through can be played
again from the beginning.
"""

import itertools
from collections.abc import Callable
from typing import Literal

import numpy as np
import pydantic

from veldt.platform.settings import Settings
from veldt.search.schedulers.scheduler import Begin, Continue, Fork, Plan, Wish
from veldt.search.space import variation, walk
from veldt.search.space.space import Point
from veldt.search.view import Trial, View

Line = dict[int, list[Trial]]
Explore = Callable[[View, Trial, int, np.random.Generator], Point]
"""(study, the trial whose settings are changed, frames it is at, chance) -> the changed ones"""
GIVE_UP_AFTER = 3  # trials of a member that failed one after another


class PbtSettings(Settings):
    """The population."""

    name: Literal["pbt"] = "pbt"
    population: int = pydantic.Field(8, ge=2, le=10_000)
    stretches: int = pydantic.Field(10, ge=1, le=100_000)
    """Of a whole trial, after each of which members are compared"""
    burn_in: int = pydantic.Field(0, ge=0, le=100_000)
    """Stretches before the first comparison"""
    exploit: Literal["truncation", "rival"] = "truncation"
    """Who takes over: the worst from the best, or who is worse than a random other"""
    share: float = pydantic.Field(0.25, gt=0.0, le=0.5)
    """truncation: the worst so many take over from the best so many"""
    margin: float = pydantic.Field(0.05, ge=0.0)
    """rival: by more than that the other has to be better"""
    relative: bool = False
    """rival: the margin is a share of one's own score, else it is in the score's unit"""
    mutants: Literal["copies", "all"] = "copies"
    """Whose settings change: of those that take over, or of all, after each stretch"""
    mutation: float = pydantic.Field(1.0, ge=0.0, le=1.0)
    """With this probability each setting does"""
    factor: float = pydantic.Field(1.2, gt=1.0, le=100.0)
    """Numbers are multiplied or divided by it"""
    resample: float = pydantic.Field(0.25, ge=0.0, le=1.0)
    """With this probability a setting that changes is drawn anew instead"""


class Pbt:
    """Nobody is waited for: a member is compared with those that have been as far as it is, and
    takes over the checkpoint that one of them had there."""

    Settings = PbtSettings
    listens, forks = False, True

    def __init__(self, settings: PbtSettings, plan: Plan, explore: Explore | None = None) -> None:
        self._settings, self._plan = settings, plan
        self._explore = explore or self._perturbed

    def next(self, view: View, refused: bool) -> Wish | None:
        line = members(view)
        # All begin before anybody goes on, however few workers there are: else the first would
        # be at the end with nobody to be compared with.
        if len(line) < self._settings.population and not refused:
            return Begin(self._end(0), len(line))
        for member, trials in sorted(line.items(), key=lambda item: (item[1][-1].frames, item[0])):
            if trials[-1].state in ("paused", "condemned"):
                wish = self._after(view, line, member)
                if wish is not None:
                    return wish
        return None

    def _end(self, frames: int) -> int:
        """Of the stretch that begins there."""
        stretches, whole = self._settings.stretches, self._plan.frames
        done = frames * stretches // whole
        return -(-whole * (done + 1) // stretches)

    def _after(self, view: View, line: Line, member: int) -> Wish | None:
        """A member's next stretch."""
        settings, trial = self._settings, line[member][-1]
        frames, end = trial.frames, self._end(trial.frames)
        random = self._plan.key.child("exploit", trial.number, frames).generator()
        there = [found for trials in line.values() if (found := at(trials, frames))]
        there.sort(key=lambda t: (-t.scores[frames], t.number))
        if trial.state == "condemned":
            failed = itertools.takewhile(lambda t: t.state == "condemned", line[member][::-1])
            if not there or len(list(failed)) > GIVE_UP_AFTER:
                return None
            parent = drawn(there[: few(settings)], random)
        elif frames * settings.stretches < settings.burn_in * self._plan.frames:
            return Continue(trial.number, end)
        else:
            better = {"truncation": truncation, "rival": rival}[settings.exploit]
            parent = better(trial, there, frames, settings, random) or trial
            if parent is trial and settings.mutants == "copies":
                return Continue(trial.number, end)
        point = self._explore(view, parent, frames, random)
        if parent is trial and point == trial.point and trial.state != "condemned":
            return Continue(trial.number, end)
        return Fork(parent.number, frames, point, end, member)

    def _perturbed(
        self, view: View, parent: Trial, frames: int, random: np.random.Generator
    ) -> Point:
        tree, settings = self._plan.space.tree_of(parent.point), self._settings
        how = (settings.factor, settings.resample, settings.mutation)
        return walk.decisions(variation.perturbed(tree, random, *how))

    def floor(self, view: View) -> int:
        line = members(view)
        if len(line) < self._settings.population and not view.exhausted:
            return 0
        return min((trials[-1].frames for trials in line.values()), default=0)

    def judge(self, view: View, trial: Trial) -> bool:
        return True


def few(settings: PbtSettings) -> int:
    """How many are the best, and how many the worst."""
    return max(1, int(settings.share * settings.population))


def drawn(some: list[Trial], random: np.random.Generator) -> Trial:
    return some[int(random.integers(len(some)))]


def truncation(
    own: Trial, there: list[Trial], frames: int, settings: PbtSettings, random: np.random.Generator
) -> Trial | None:
    """Whom one of the worst takes over from."""
    count = few(settings)
    return drawn(there[:count], random) if own in there[count:][-count:] else None


def rival(
    own: Trial, there: list[Trial], frames: int, settings: PbtSettings, random: np.random.Generator
) -> Trial | None:
    """The other that one is compared with, if it is clearly better."""
    others = [trial for trial in there if trial is not own]
    other = drawn(others, random) if others else own
    margin = settings.margin * (abs(own.scores[frames]) if settings.relative else 1.0)
    return other if other.scores[frames] > own.scores[frames] + margin else None


def members(view: View) -> Line:
    """Member -> the trials that it was, the last one is what it is now."""
    found: Line = {}
    for trial in view.trials.values():
        found.setdefault(trial.member, []).append(trial)
    return found


def at(trials: list[Trial], frames: int) -> Trial | None:
    """What a member was there; None if it has not been so far."""
    return next((trial for trial in reversed(trials) if frames in trial.scores), None)


def lineage(view: View, trial: Trial) -> list[tuple[Trial, int]]:
    """The trials that led to one, the first first, and the frames at which each was left."""
    found, end = [(trial, trial.frames)], trial
    while end.parent is not None:
        parent, frames = view.trials[end.parent[0]], end.parent[1]
        found.append((parent, frames))
        end = parent
    return found[::-1]
