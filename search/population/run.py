"""Runs a population search on the ranks there are: the same bits on any number of them."""

import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.platform import checkpoints
from veldt.platform.errors import InputError, Interrupted, RankLost, VeldtError
from veldt.platform.ranks import Ranks
from veldt.search.population.book import Book, Report, last_turn
from veldt.search.population.evolution import Event, Evolution
from veldt.search.population.rank_team import RankTeam
from veldt.search.population.settings import PopulationSettings
from veldt.search.population.team import Alone, Team

START = struct.Struct("<?q")  # whether the search is over, ranks lost in earlier sessions


def search(
    settings: PopulationSettings,
    folder: Path,
    ranks: Ranks,
    *,
    resume: bool = False,
    report: Report = lambda record: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Searches, and returns the summary on rank 0, None on the others.

    Args:
        settings: What to search.
        folder: The run's folder, the same path on all ranks.
        ranks: The processes at hand.
        resume: Go on with the search in the folder, if there is one.
        report: Called on rank 0 with each record.
        stop: Asked often, on every rank.

    Raises:
        InputError: if what is asked for cannot be done.
        RunFailed: if it came to grief; Interrupted if `stop` ended it.
    """
    evolution, book, trouble, start = None, None, None, b""
    try:
        evolution = Evolution(settings)
        _demand_work(evolution, ranks.size)
        if ranks.rank == 0:
            book = Book(settings, folder, resume, report)
            start = book.load()
    except VeldtError as error:
        trouble = error
    try:
        if not _agree(ranks, trouble):
            return None
        assert evolution is not None
        return _Search(settings, folder, ranks, evolution, book, report, stop).run(start)
    finally:
        if evolution is not None:
            evolution.close()
        if book is not None:
            book.close()


def _demand_work(evolution: Evolution, ranks: int) -> None:
    turn = evolution.turn()
    if turn.tasks < ranks:
        raise InputError(
            f"{ranks} ranks for {turn.size} members in blocks of {turn.block}: at most "
            f"{turn.tasks} of them would ever have work. Start fewer, or raise the population."
        )


def _agree(ranks: Ranks, trouble: VeldtError | None) -> bool:
    """Whether all is well on every rank; if not, rank 0 raises what is wrong."""
    words = [data.decode() for data in ranks.gather(str(trouble or "").encode())]
    if ranks.rank == 0 and any(words):
        if trouble is not None:
            raise trouble
        rank = next(i for i, word in enumerate(words) if word)
        raise InputError(f"rank {rank}: {words[rank]}")
    return not any(words)


class _Search:
    """One rank's part in a search."""

    def __init__(
        self,
        settings: PopulationSettings,
        folder: Path,
        ranks: Ranks,
        evolution: Evolution,
        book: Book | None,
        report: Report,
        stop: Callable[[], bool],
    ) -> None:
        self._settings, self._folder, self._ranks = settings, folder, ranks
        self._evolution, self._report, self._stop = evolution, report, stop
        self._team: Team = Alone(stop) if ranks.size == 1 else RankTeam(ranks, stop)
        self._book = book
        self._lost_before = 0  # ranks, in earlier sessions
        self._news: list[Event] = []  # not yet in the book
        self._last: Event | None = None

    def run(self, start: bytes) -> dict[str, Any] | None:
        """The summary on rank 0; `start` is the checkpoint there, packed."""
        try:
            if self._go_on(start):
                return self._book.summary if self._book is not None else None
            return self._loop()
        except Interrupted:
            raise self._interrupted() from None
        finally:
            if self._book is not None:
                self._book.close()

    def _go_on(self, start: bytes) -> bool:
        """Everybody begins where rank 0's checkpoint says; whether it is all over."""
        book = self._book
        over = book is not None and book.summary is not None
        lost = 0 if book is None else book.lost_ranks
        start = self._ranks.gather(START.pack(over, lost) + start)[0]
        over, self._lost_before = START.unpack_from(start)
        if len(start) > START.size:
            self._evolution.restore(*checkpoints.unpack(start[START.size :]))
        if book is not None and not over:
            book.begin(self._evolution)
        return bool(over)

    def _loop(self) -> dict[str, Any] | None:
        """Turns to the end, whoever dies on the way."""
        summary = None
        while True:
            try:
                if not self._evolution.done:
                    self._turn()
                    continue
                if self._book is not None:
                    self._write_up()
                    summary = self._book.finish(self._evolution, self._ranks.size)
                # Nobody leaves before everybody is done: a rank that left looks dead.
                self._ranks.gather(b"")
                return summary
            except RankLost:
                if self._stop():  # all are being stopped: this is no death to survive
                    raise Interrupted("stopped") from None
                self._survive()

    def _turn(self) -> None:
        evolution, team = self._evolution, self._team
        begun, inside = time.monotonic(), evolution.problem.environment_seconds
        turn = evolution.turn()
        scores = team.score(turn, self._write_up)
        event = evolution.apply(scores, team.share(evolution.dimensions, turn.size))
        wall = time.monotonic() - begun
        inside = evolution.problem.environment_seconds - inside
        event["ranks"] = team.size
        event["steps_per_second"] = scores.steps / wall
        if inside:
            event["outside_share"] = max(0.0, 1.0 - inside / wall)
        self._last = event
        if self._book is not None:
            self._news.append(event)

    def _write_up(self) -> None:
        """What happened since the last time goes into the book."""
        while self._news and self._book is not None:
            self._book.enter(self._news.pop(0), self._evolution)

    def _survive(self) -> None:
        self._team.regroup(self._evolution)
        if self._ranks.rank > 0:
            return
        if self._book is None:
            # Rank 0 is dead, and this one in its place; the lock went with it.
            self._book = Book(self._settings, self._folder, True, self._report)
            self._book.load()
            self._book.begin(self._evolution)
            if self._last is not None and self._last["turn"] > last_turn(self._folder):
                self._news.append(self._last)
        self._book.lost(self._lost_before + self._ranks.lost, self._ranks.size)

    def _interrupted(self) -> Interrupted:
        generation = self._evolution.counters.generation
        if self._book is not None:
            self._write_up()
            self._book.save(self._evolution)
        return Interrupted(
            f"stopped after generation {generation}, which is saved; "
            "the same command with --resume goes on."
        )
