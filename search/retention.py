"""Which checkpoints of a study may go, and their going.

    needed          of trials under way, and of the best few
    of no more use  of trials that failed for good; of members of a population that are somebody
                    else now; copies for forks that every member has passed
    the rest        stay, unless all together are more than `keep.gigabytes`: then those of trials
                    go first that cannot be promoted any more, and of these, and of the others
                    after them, the least promising. Who goes on without one begins anew, and in
                    a deterministic training comes to the same.

What goes is in the log before it goes, and whether it is of one that might have gone on.
"""

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from veldt.search.jobs import FOLDERS
from veldt.search.keep_settings import KeepSettings
from veldt.search.schedulers.scheduler import Scheduler, promotable
from veldt.search.view import Trial, View, trial_name
from veldt.search.works.kept import kept

OWN = -1  # frames of a trial's own, last checkpoint


@dataclasses.dataclass(frozen=True)
class Item:
    """A checkpoint on the disk."""

    trial: int
    frames: int
    """of a copy for forks; or OWN"""
    size: int
    """bytes"""


def expendable(
    view: View,
    items: Sequence[Item],
    floor: int | None,
    settings: KeepSettings,
    promotable: Callable[[Trial], bool] = lambda trial: trial.state == "paused",
) -> list[Item]:
    """What may go now, in the order of going.

    Args:
        view: Of the study.
        items: What there is.
        floor: Nobody will fork from a checkpoint before that; None: nobody forks at all.
        settings: How much may stay.
        promotable: Whether a trial may go on.
    """
    if floor is None and settings.gigabytes is None:
        items = [item for item in items if view.trials[item.trial].state == "condemned"]
    if not items:
        return []
    best = {trial.number for trial in view.scored[: settings.best]}
    newest = {trial.member: trial.number for trial in view.trials.values()}

    def useless(item: Item) -> bool:
        trial = view.trials[item.trial]
        if item.frames != OWN:
            return floor is not None and item.frames < floor and not _begins(view, item)
        if trial.state == "running" or trial.number in best:
            return False
        superseded = floor is not None and newest[trial.member] != trial.number
        return trial.state == "condemned" or superseded

    gone = [item for item in items if useless(item)]
    if settings.gigabytes is None or floor is not None:
        return gone
    left = [item for item in items if item not in gone]
    over = sum(item.size for item in left) - settings.gigabytes * 1e9
    if over <= 0:
        return gone
    order = {trial.number: place for place, trial in enumerate(view.scored)}

    def least_first(item: Item) -> tuple[bool, int]:
        return promotable(view.trials[item.trial]), -order.get(item.trial, -1)

    for item in sorted(left, key=least_first):
        if over <= 0:
            break
        if item.trial not in best and view.trials[item.trial].state in ("paused", "done"):
            gone.append(item)
            over -= item.size
    return gone


def _begins(view: View, item: Item) -> bool:
    """Whether a trial that has not come to a score yet begins with it."""
    return any(
        trial.parent == (item.trial, item.frames) and not trial.scores
        for trial in view.trials.values()
        if trial.state in ("new", "running")
    )


class Retention:
    """A study's checkpoints on the disk.

    Args:
        settings: How much may stay.
        folder: The study's.
        view: Of it.
        scheduler: Says whether trials fork.
        own: Whether trials' own checkpoints are known, as a command's are not.
    """

    def __init__(
        self, settings: KeepSettings, folder: Path, view: View, scheduler: Scheduler, own: bool
    ) -> None:
        self._settings, self._view, self._scheduler = settings, view, scheduler
        self._trials, self._own = folder / FOLDERS["tune"], own
        self._items: dict[tuple[int, int], Item] = {}

    def begin(self) -> None:
        """Finds what there is, and sees to what was to go when somebody was killed."""
        for trial in self._view.trials.values():
            self.found(trial)
        for number, frames in self._view.dropped:
            if self._view.trials[number].state != "running":  # else it has another by now
                self.delete(number, frames)

    def found(self, trial: Trial) -> None:
        """A trial has come to a score: what it has on the disk now."""
        places = [(OWN, self._place(trial.number, OWN))] if self._own else []
        if self._scheduler.forks:
            places += [(frames, self._place(trial.number, frames)) for frames in trial.updates]
        for frames, place in places:
            if (trial.number, frames) not in self._view.dropped and place.exists():
                size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
                self._items[trial.number, frames] = Item(trial.number, frames, size)

    def _place(self, number: int, frames: int) -> Path:
        home = self._trials / trial_name(number)
        if frames == OWN:
            return home / "checkpoints"
        return kept(home, self._view.trials[number].updates[frames])

    def expendable(self) -> list[Item]:
        """What may go now."""
        floor = self._scheduler.floor(self._view) if self._scheduler.forks else None
        items = list(self._items.values())
        return expendable(self._view, items, floor, self._settings, self._promotable)

    def promotable(self, item: Item) -> bool:
        """Whether a trial may go on whose checkpoint this is."""
        return item.frames == OWN and self._promotable(self._view.trials[item.trial])

    def _promotable(self, trial: Trial) -> bool:
        return promotable(self._scheduler, self._view, trial)

    def delete(self, number: int, frames: int) -> None:
        """It goes."""
        self._items.pop((number, frames), None)
        with contextlib.suppress(OSError):
            shutil.rmtree(self._place(number, frames))
