"""What a scheduler is: it says which trial gets the next stretch of training, and how long.

    wish = scheduler.next(view, refused=False)      a worker is free
    scheduler.judge(view, trial)                    a trial under way has said how it goes

Pure: it has settings, and reads the view; what it wishes depends on nothing else, so that a
study can be rebuilt from its log, run on any number of workers and replayed on a recording.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.space.space import Point, Space
from veldt.search.view import Trial, View


@dataclasses.dataclass(frozen=True)
class Begin:
    """A new trial, of a point that the searcher gives."""

    end: int
    member: int = 0


@dataclasses.dataclass(frozen=True)
class Continue:
    """A trial goes on."""

    trial: int
    end: int


@dataclasses.dataclass(frozen=True)
class Fork:
    """A new trial from another's checkpoint."""

    parent: int
    frames: int
    """where the checkpoint is"""
    point: Point
    end: int
    member: int = 0


Wish = Begin | Continue | Fork


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all schedulers know of a study."""

    frames: int
    """of a whole trial, R"""
    space: Space
    key: Key
    """of what the scheduler draws"""
    asked: Callable[[], int | None] = lambda: None
    """how many questions the searchers ask at most, if they say"""
    budgeted: bool = False
    """a budget says where the search ends"""


class Scheduler(Protocol):
    """The contract."""

    listens: ClassVar[bool]
    """whether it wants to hear how trials under way go"""
    forks: ClassVar[bool]
    """whether it begins trials with others' checkpoints, which are kept for that"""

    # May have `room`: trials after which it begins none; `population`: trials that it begins of
    # the searcher's, all others being forks (see `asked.py` for both); and
    # `promotable(view, trial)`: whether one that is paused may go on, if not every one may.

    def next(self, view: View, refused: bool) -> Wish | None:
        """What a free worker is to do; None: nothing now.

        Args:
            view: The study so far.
            refused: The searcher has no new point now; wish for something else.
        """

    def floor(self, view: View) -> int:
        """Of one that forks: no trial will begin with a checkpoint before these frames."""

    def judge(self, view: View, trial: Trial) -> bool:
        """Whether a trial under way is to go on, after its newest report; else it is paused."""


def promotable(scheduler: Scheduler, view: View, trial: Trial) -> bool:
    """Whether a trial may go on, as far as its scheduler knows by now."""
    if trial.state != "paused":
        return trial.state in ("new", "running")
    known = getattr(scheduler, "promotable", None)
    return known is None or bool(known(view, trial))


class Builder(Protocol):
    """What the catalogue holds: a class with its settings."""

    Settings: type[Settings]

    def __call__(self, settings: Any, plan: Plan) -> Scheduler: ...
