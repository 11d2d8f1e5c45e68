"""Segments as jobs: what a worker is told to do, which seeds it draws from, and where.

Seeds of tuning, validation and testing come from keys of their own: none is another's.
"""

from pathlib import Path

from veldt.platform.keys import Key
from veldt.search.schedulers.scheduler import Scheduler
from veldt.search.settings import SearchSettings
from veldt.search.trial import Job
from veldt.search.view import Segment, View, trial_name

FOLDERS = {"tune": "trials", "validate": "validations", "test": "."}


class Jobs:
    """Of one study.

    Args:
        settings: Of the search.
        folder: The study's; trials train in its sub-folders.
        view: Of the study.
        scheduler: Says whether it listens, and whether checkpoints are kept for forks.
    """

    def __init__(
        self, settings: SearchSettings, folder: Path, view: View, scheduler: Scheduler
    ) -> None:
        self._settings, self._folder, self._view = settings, folder, view
        self._scheduler, self._work, self._key = scheduler, settings.work, Key(settings.seed)

    def job(self, segment: Segment) -> Job:
        """What a worker is to do; its key is all it draws from."""
        settings, trial = self._settings, self._view.trials[segment.trial]
        folder = self._folder / FOLDERS[segment.purpose] / segment.name
        tuning = segment.purpose == "tune"
        if tuning:
            key, over = self._key.child("trial", trial.number), {}
        elif segment.purpose == "validate":
            key = self._key.child("validate", trial.number, segment.replicate)
            over = settings.heldout.settings
        else:
            key, over = self._key.child("heldout"), settings.heldout.settings
            key = key.child("again", segment.replicate) if segment.replicate else key
        evaluation = settings.evaluation if tuning else settings.heldout.evaluation
        seed = key.child("train").integer()
        train = self._work.settings(trial.point, seed, over)
        # What was meant to be shorter once is made longer, and costs the difference.
        train["frames"] = max(train["frames"], segment.end)
        parent = None
        if trial.parent is not None and tuning:
            origin = self._view.trials[trial.parent[0]]
            home = self._folder / FOLDERS["tune"] / trial_name(origin.number)
            parent = str(home), origin.updates[trial.parent[1]]
        return Job(
            name=segment.name,
            study=str(self._folder),
            settings=train,
            evaluation=evaluation.dump(),
            evaluation_seed=key.child("evaluate").integer(),
            folder=str(folder),
            segment=segment.number,
            attempt=self._view.attempts[segment.number],
            until=segment.end if segment.end < train["frames"] else None,
            parent=parent,
            keep=tuning and self._scheduler.forks,
            listen=tuning and self._scheduler.listens,
            timeout_s=settings.trial.timeout_s,
            silence_s=settings.trial.silence_s,
            work=self._work.kind,
        )
