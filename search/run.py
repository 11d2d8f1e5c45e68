"""Runs a search on the ranks there are: coordinates on rank 0, works on the others.

Where MPI survives its dead (`platform/ranks.py`), the lowest rank that lives coordinates."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from veldt.platform.ranks import Ranks
from veldt.platform.runs import RunFolder, write_json
from veldt.search import study_log
from veldt.search.asked import demand_room
from veldt.search.coordinator import conduct
from veldt.search.crew import Hands, lead
from veldt.search.journal import Journal
from veldt.search.past_studies import settled
from veldt.search.settings import SearchSettings
from veldt.search.study import Report, Study
from veldt.search.supervisor import Supervisor


def search(
    settings: SearchSettings,
    folder: Path,
    ranks: Ranks,
    supervisors: Sequence[Supervisor],
    *,
    resume: bool = False,
    extend: tuple[int, int] | None = None,
    store: str | None = None,
    report: Report = lambda kind, body: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Searches, and returns the summary on rank 0, None on the others.

    Args:
        settings: What to search.
        folder: The study's folder, the same path on all ranks.
        ranks: The processes at hand.
        supervisors: Of this rank's trials, as many as run at a time; stopped at the end. Rank 0
            of many ranks coordinates only.
        resume: Go on with the study in the folder, if there is one.
        extend: (top, frames): have the best so many of its trials go on as far as that.
        store: URL of the database that the log is in; None: where it is, else in the folder.
        report: Called on rank 0 with each event.
        stop: Asked often, on every rank.

    Raises:
        InputError: if what is asked for cannot be done.
        RunFailed: if it came to grief; Interrupted if `stop` ended it.
    """

    def coordinate(crew: Hands, inherited: bool) -> dict[str, Any]:
        # A rank may have died before it had written the settings.
        desk = Desk(settings, folder, resume or inherited, report, store)
        try:
            if desk.summary is not None and extend is None:
                return desk.summary
            study = desk.open()
            if extend is not None:
                study.extend(*extend)
                (folder / "summary.json").unlink(missing_ok=True)
            return desk.finish(conduct(study, crew, stop, inherited))
        finally:
            desk.close()

    return lead(ranks, supervisors, stop, coordinate)


class Desk:
    """A study's folder and log, held by this process.

    Args:
        settings: Of the search.
        folder: Its own.
        resume: Go on with what is there.
        report: Called with each event.
        store: URL of the database that the log is in; None: where it is, else in the folder.

    Raises:
        InputError: if that cannot be.
    """

    def __init__(
        self,
        settings: SearchSettings,
        folder: Path,
        resume: bool,
        report: Report,
        store: str | None = None,
    ) -> None:
        settings.work.demand()
        study_log.demand(folder, store)
        if not study_log.exists(folder):
            demand_room(settings)
        settings = settled(settings, folder)
        self._settings, self._folder, self._report = settings, folder, report
        self._store = store
        self._run = RunFolder(folder, settings.dump(), resume, may_differ=("keep",))
        self._journal: Journal | None = None

    @property
    def summary(self) -> dict[str, Any] | None:
        """Of a study that is over."""
        return self._run.summary

    def open(self) -> Study:
        """The study, as far as it is."""
        self._journal = study_log.open_log(self._folder, self._store)
        return Study(self._settings, self._folder, self._journal, self._report)

    def finish(self, summary: dict[str, Any]) -> dict[str, Any]:
        """Writes down what it came to."""
        write_json(self._folder / "summary.json", summary)
        return summary

    def close(self) -> None:
        """Lets others have it."""
        if self._journal is not None:
            self._journal.close()
        self._run.close()
