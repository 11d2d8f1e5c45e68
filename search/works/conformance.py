"""What a command has to do to be tuned: tried out on short runs, case by case.

    for what, case in Rehearsal(settings, folder, steps).cases():
        case()      # raises BrokenContract, which says what was expected

The public suite of its kind, as `veldt check command` runs it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from veldt.platform.errors import BrokenContract, InputError, Interrupted, RunFailed
from veldt.platform.keys import Key
from veldt.search.settings import SearchSettings
from veldt.search.trial import PAUSE, Job, Outcome
from veldt.search.works import said
from veldt.search.works.command_run import GUEST, SAID, run
from veldt.search.works.kept import keep

Case = tuple[str, Callable[[], None]]


class Rehearsal:
    """Short runs of a search's command.

    Args:
        settings: Of the search.
        folder: An empty one, to run in.
        steps: To come to.

    Raises:
        InputError: if the search has no command, or it is not on this machine.
    """

    def __init__(self, settings: SearchSettings, folder: Path, steps: int) -> None:
        if settings.command is None:
            raise InputError("this search has no [command] to be checked; it trains our agents.")
        settings.work.demand()
        self._work, self._folder, self._end = settings.work, folder, max(2, steps)
        self._half = self._end // 2
        self._resume = settings.command.resume
        generator = Key(settings.seed).child("rehearsal").generator()
        self._points = [settings.searched.sample(generator) for _ in range(2)]
        self._score: float | None = None

    def cases(self) -> Iterator[Case]:
        """(what it should do, whether it does)."""
        yield f"begins, reports, and comes to a score at {self._half:,} steps", self._begins
        if self._resume:
            yield f"goes on from its folder to {self._end:,}", self._goes_on
            yield "begun where nothing is left to do, is where it was", self._nothing_left
            yield "goes on in a copy of another's folder, with other settings", self._forks
        yield "cut off and begun again, comes to a score", self._cut_off
        yield "ends early when it is asked to pause", self._pauses

    def _job(
        self, name: str, until: int, point: int = 0, parent: tuple[str, int] | None = None
    ) -> Job:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        settings = self._work.settings(self._points[point], 1, {})
        settings["frames"] = max(settings["frames"], until)
        return Job(
            name=name,
            study=str(self._folder),
            settings=settings,
            evaluation={},
            evaluation_seed=0,
            folder=str(folder),
            until=until,
            parent=parent,
            work=self._work.kind,
        )

    def _run(self, job: Job, stop: Callable[[], bool] = lambda: False) -> Outcome:
        try:
            outcome = run(job, stop, grace_s=0.0)
        except (InputError, RunFailed) as error:
            if isinstance(error, Interrupted):
                raise
            raise BrokenContract(str(error)) from None
        if outcome.score is None:
            raise BrokenContract(outcome.reason)
        return outcome

    def _begins(self) -> None:
        self._run(self._job("one", self._half))

    def _goes_on(self) -> None:
        before = len(said.lines(self._folder / "one" / SAID))
        self._score = self._run(self._job("one", self._end)).score
        self._demand_later("one", before)

    def _demand_later(self, name: str, before: int = 0) -> None:
        first = next(iter(said.lines(self._folder / name / SAID)[before:]), None)
        if first is not None and first.steps is not None and first.steps <= self._half:
            raise BrokenContract(
                f"its first report is at {first.steps:,} steps, though its folder was at "
                f"{self._half:,}: expected it to write a checkpoint to VELDT_FOLDER and to go on "
                "from there; if it cannot, say command.resume = false."
            )

    def _nothing_left(self) -> None:
        again = self._run(self._job("one", self._end))
        if again.score != self._score:
            raise BrokenContract(
                f"its score was {self._score}, and is {again.score} when it is begun once more "
                "with nothing left to do; expected the same."
            )

    def _forks(self) -> None:
        self._run(self._job("parent", self._half))
        parent = self._folder / "parent"
        keep(parent, parent / GUEST, self._half)
        self._run(self._job("fork", self._end, 1, parent=(str(parent), self._half)))
        self._demand_later("fork")

    def _cut_off(self) -> None:
        words = self._folder / "cut" / SAID
        try:
            self._run(self._job("cut", self._end), lambda: bool(said.lines(words)))
        except Interrupted:
            pass
        score = self._run(self._job("cut", self._end)).score
        if self._resume and score != self._score:
            raise BrokenContract(
                f"undisturbed its score is {self._score}, cut off and begun again {score}: "
                "expected the same. All that it goes on with has to be in its checkpoint, the "
                "state of its random numbers too; if it draws from elsewhere, the search works, "
                "and is not the same twice."
            )

    def _pauses(self) -> None:
        # From the first on: a quick program would be over before it could be asked.
        self._run(self._job("pause", self._half))
        (self._folder / "pause" / PAUSE).touch()
        if self._run(self._job("pause", self._end)).frames >= self._end:
            raise BrokenContract(
                "it went on to the end though the file VELDT_PAUSE was there; expected it to look "
                "for it after every report (or is --steps less than what it does between two?), "
                "to write its checkpoint and to end with exit code 0. A search waits for one that "
                "does not, and its schedulers save nothing by pausing."
            )
