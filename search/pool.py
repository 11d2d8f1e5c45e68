"""A pool: workers that several studies share, the most urgent first.

POOL/queue/0007-NAME.json   a study that waits or is under way: its folder, settings, priority
POOL/done/0007-NAME.json    one that is over: its folder and summary, or the reason

Whoever serves the pool looks into the queue now and then. It may be killed: the same studies
go on when it is served again.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from veldt.platform.errors import InputError, VeldtError
from veldt.platform.ranks import Ranks
from veldt.platform.runs import RunFolder, read_json, write_json
from veldt.search import study_log
from veldt.search.coordinator import Coordinator
from veldt.search.crew import Hands, lead
from veldt.search.past_studies import settled
from veldt.search.run import Desk
from veldt.search.settings import SearchSettings
from veldt.search.study import Report, Study
from veldt.search.supervisor import Supervisor

MARK = {"pool": True}  # the settings of its folder
Told = Callable[[Path, dict[str, Any] | None, str], None]
"""(folder, summary or None, why not) of a study that is over"""


def submit(
    pool: Path, settings: SearchSettings, folder: Path, priority: int, store: str | None = None
) -> None:
    """Puts a study into the queue; one that is there already gets another priority.

    Args:
        pool: Its folder.
        settings: Of the study.
        folder: Of the study.
        priority: Higher is more urgent.
        store: URL of the database that the log is to be in; None: in the folder.

    Raises:
        InputError: if the pool's folder is something else's, or the study's has other settings.
    """
    if not (pool / "settings.json").exists():
        RunFolder(pool, MARK, resume=True).close()
    _demand_pool(pool)
    home = str(folder.resolve())
    numbers = [0]
    for place in ("queue", "done"):
        (pool / place).mkdir(exist_ok=True)
        for file in (pool / place).glob("*.json"):
            numbers.append(int(file.name.split("-")[0]))
            if place == "queue" and read_json(file)["folder"] == home:
                write_json(file, read_json(file) | {"priority": priority})
                return
    settings = settled(settings, folder)
    run = RunFolder(folder, settings.dump(), resume=True)
    try:
        study_log.open_log(folder, store).close()
    finally:
        run.close()
    name = f"{max(numbers) + 1:04d}-{folder.name}.json"
    content = {"folder": home, "priority": priority, "settings": settings.dump()}
    write_json(pool / "queue" / name, content)


def waiting(pool: Path) -> list[Path]:
    """What is in the queue, in the order of coming."""
    return sorted((pool / "queue").glob("*.json"))


def _demand_pool(pool: Path) -> None:
    file = pool / "settings.json"
    if not file.exists() or read_json(file).get("settings") != MARK:
        raise InputError(f"{pool}: not the folder of a pool; submit a study to it first.")


def serve(
    pool: Path,
    ranks: Ranks,
    supervisors: Sequence[Supervisor],
    *,
    stay: bool,
    report: Callable[[Path], Report],
    told: Told,
    stop: Callable[[], bool],
) -> None:
    """Has the studies in the queue done.

    Args:
        pool: Its folder.
        ranks: The processes at hand.
        supervisors: Of this rank.
        stay: Wait for others when all are over.
        report: Folder of a study -> what is called with its events.
        told: Called when a study is over.
        stop: Asked often, on every rank.

    Raises:
        InputError: if there is no pool; Interrupted if `stop` ended it.
    """

    def coordinate(crew: Hands, inherited: bool) -> None:
        _demand_pool(pool)
        held = RunFolder(pool, MARK, resume=True)
        queue = _Queue(pool, stay, report, told, lambda: crew.ranks)
        try:
            Coordinator(crew, stop, queue.arrivals, queue.ended, inherited).run()
        finally:
            queue.close()
            held.close()

    lead(ranks, supervisors, stop, coordinate)


class _Queue:
    """The studies of a pool that is being served."""

    def __init__(
        self,
        pool: Path,
        stay: bool,
        report: Callable[[Path], Report],
        told: Told,
        ranks: Callable[[], int],
    ) -> None:
        self._pool, self._stay, self._ranks = pool, stay, ranks
        self._report, self._told = report, told
        self._open: dict[Path, tuple[Study, Desk]] = {}  # file -> what is under way

    def arrivals(self) -> tuple[Iterable[Study], bool]:
        """Those that have come since, and whether more may come."""
        come = []
        for file in waiting(self._pool):
            content = read_json(file)
            if file in self._open:
                self._open[file][0].priority = content["priority"]
                continue
            folder = Path(content["folder"])
            try:
                study = self._opened(file, folder, content)
            except VeldtError as error:
                self._over(file, folder, None, str(error))
                continue
            if study is not None:
                come.append(study)
        return come, self._stay or bool(self._open)

    def _opened(self, file: Path, folder: Path, content: dict[str, Any]) -> Study | None:
        settings = SearchSettings.parse(content["settings"])
        desk = Desk(settings, folder, True, self._report(folder))
        try:
            if desk.summary is not None:
                self._over(file, folder, desk.summary, "")
                desk.close()
                return None
            study = desk.open()
        except BaseException:
            desk.close()
            raise
        study.priority = content["priority"]
        self._open[file] = study, desk
        return study

    def ended(self, study: Study, error: VeldtError | None) -> None:
        """Writes down what a study came to, and lets it go."""
        file = next(file for file, (other, _) in self._open.items() if other is study)
        desk = self._open.pop(file)[1]
        summary = None if error else desk.finish(study.summary(self._ranks()))
        desk.close()
        self._over(file, study.folder, summary, str(error or ""))

    def _over(self, file: Path, folder: Path, summary: dict[str, Any] | None, why: str) -> None:
        (self._pool / "done").mkdir(exist_ok=True)
        content = {"folder": str(folder), "summary": summary, "reason": why}
        write_json(self._pool / "done" / file.name, content)
        file.unlink()
        self._told(folder, summary, why)

    def close(self) -> None:
        """Lets go of those under way."""
        for _, desk in self._open.values():
            desk.close()
