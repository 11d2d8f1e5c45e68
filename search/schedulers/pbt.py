"""Population-based training: members that do badly go on as changed copies of those that do well.

Jaderberg et al. 2017, arXiv:1711.09846; as IMPALA's authors used it, arXiv:1802.01561, section
5.3 and appendix F. Members train in stretches. After each, one of the worst share takes over
the weights and settings of one of the best (exploit) and changes the settings (explore).

A member is a line of trials: whoever takes over is a new trial, whose parent is known, so that
the schedule of settings that a winner lived through can be played again from the beginning.
"""

import itertools
from typing import Literal

import pydantic

from veldt.platform.settings import Settings
from veldt.search.schedulers.scheduler import Begin, Continue, Fork, Plan, Wish
from veldt.search.space import variation, walk
from veldt.search.view import Trial, View

Line = dict[int, list[Trial]]
GIVE_UP_AFTER = 3  # trials of a member that failed one after another


class PbtSettings(Settings):
    """The population."""

    name: Literal["pbt"] = "pbt"
    population: int = pydantic.Field(8, ge=2, le=10_000)
    stretches: int = pydantic.Field(10, ge=1, le=100_000)
    """Of a whole trial, after each of which members are compared"""
    burn_in: int = pydantic.Field(0, ge=0, le=100_000)
    """Stretches before the first comparison"""
    share: float = pydantic.Field(0.25, gt=0.0, le=0.5)
    """The worst so many take over from the best so many"""
    factor: float = pydantic.Field(1.2, gt=1.0, le=100.0)
    """Numbers are multiplied or divided by it"""
    resample: float = pydantic.Field(0.25, ge=0.0, le=1.0)
    """With this probability a setting is drawn anew instead"""


class Pbt:
    """Nobody is waited for: a member is compared with those that have been as far as it is, and
    takes over the checkpoint that one of them had there."""

    Settings = PbtSettings
    listens, forks = False, True

    def __init__(self, settings: PbtSettings, plan: Plan) -> None:
        self._settings, self._plan = settings, plan

    def next(self, view: View, refused: bool) -> Wish | None:
        line = members(view)
        for member, trials in sorted(line.items(), key=lambda item: (item[1][-1].frames, item[0])):
            if trials[-1].state in ("paused", "condemned"):
                wish = self._after(line, member)
                if wish is not None:
                    return wish
        if len(line) < self._settings.population and not refused:
            return Begin(self._end(0), len(line))
        return None

    def _end(self, frames: int) -> int:
        """Of the stretch that begins there."""
        stretches, whole = self._settings.stretches, self._plan.frames
        done = frames * stretches // whole
        return -(-whole * (done + 1) // stretches)

    def _after(self, line: Line, member: int) -> Wish | None:
        """A member's next stretch."""
        settings, trial = self._settings, line[member][-1]
        frames = trial.frames
        there = [(other, there) for other in line if (there := at(line[other], frames))]
        ranked = sorted(there, key=lambda pair: (-pair[1].scores[frames], pair[1].number, pair[0]))
        few = max(1, int(settings.share * settings.population))
        best, worst = ranked[:few], [other for other, _ in ranked[few:][-few:]]
        early = frames * settings.stretches < settings.burn_in * self._plan.frames
        if trial.state == "condemned":
            failed = itertools.takewhile(lambda t: t.state == "condemned", line[member][::-1])
            if not best or len(list(failed)) > GIVE_UP_AFTER:
                return None
        elif member not in worst or early:
            return Continue(trial.number, self._end(frames))
        random = self._plan.key.child("exploit", trial.number, frames).generator()
        _, parent = best[int(random.integers(len(best)))]
        tree = self._plan.space.tree_of(parent.point)
        changed = variation.perturbed(tree, random, settings.factor, settings.resample)
        return Fork(parent.number, frames, walk.decisions(changed), self._end(frames), member)

    def judge(self, view: View, trial: Trial) -> bool:
        return True


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
