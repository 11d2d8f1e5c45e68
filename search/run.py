"""Runs a search on the ranks there are: coordinates on rank 0, works on the others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.platform.ranks import Ranks
from veldt.platform.runs import RunFolder, write_json
from veldt.search.crew import Crew, LocalCrew, RankCrew, work
from veldt.search.journal import Journal
from veldt.search.settings import SearchSettings
from veldt.search.study import Report, Study
from veldt.search.supervisor import Supervisor


def search(
    settings: SearchSettings,
    folder: Path,
    ranks: Ranks,
    supervisor: Supervisor,
    *,
    resume: bool = False,
    report: Report = lambda kind, body: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Searches, and returns the summary on rank 0, None on the others.

    Args:
        settings: What to search.
        folder: The study's folder, the same path on all ranks.
        ranks: The processes at hand; with one, trials run one at a time.
        supervisor: Of this rank's trials; stopped at the end.
        resume: Go on with the study in the folder, if there is one.
        report: Called on rank 0 with each event.
        stop: Asked often, on every rank.

    Raises:
        InputError: if what is asked for cannot be done.
        RunFailed: if it came to grief; Interrupted if `stop` ended it.
    """
    if ranks.rank > 0:
        work(ranks, supervisor, stop)
        return None
    crew: Crew = LocalCrew(supervisor) if ranks.size == 1 else RankCrew(ranks)
    try:
        run = RunFolder(folder, settings.dump(), resume)
        try:
            if run.summary is not None:
                return run.summary
            journal = Journal(folder / "study.sqlite")
            try:
                summary = Study(settings, folder, journal, report).run(crew, stop)
            finally:
                journal.close()
            write_json(folder / "summary.json", summary)
            return summary
        finally:
            run.close()
    finally:
        crew.stop()
