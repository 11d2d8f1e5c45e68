"""Runs a search on the ranks there are: coordinates on rank 0, works on the others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from veldt.platform.ranks import Ranks
from veldt.platform.runs import RunFolder, write_json
from veldt.search import study_log
from veldt.search.crew import FEW, Hands, work
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
    if ranks.rank > 0:
        work(ranks, supervisors[0], stop)
        return None
    own = supervisors if ranks.size <= FEW else ()
    for spare in supervisors[len(own) :]:
        spare.stop()
    crew = Hands(own, ranks)
    try:
        study_log.demand(folder, store)
        run = RunFolder(folder, settings.dump(), resume)
        try:
            if run.summary is not None and extend is None:
                return run.summary
            journal = study_log.open_log(folder, store)
            try:
                study = Study(settings, folder, journal, report)
                if extend is not None:
                    study.extend(*extend)
                    (folder / "summary.json").unlink(missing_ok=True)
                summary = study.run(crew, stop)
            finally:
                journal.close()
            write_json(folder / "summary.json", summary)
            return summary
        finally:
            run.close()
    finally:
        crew.stop()
