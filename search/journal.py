"""The log of a study: every event, appended. The coordinator alone writes.

    event(n, time, kind, body, crc)

    session   workers, trials, best_score, inherited a process begins to work on the study, or one
                                                     does so in the place of a rank that died
    lost      ranks, workers, segments               so many ranks of the job have died by now;
                                                     what their workers were at waits again
    trial     number, point, question, parent, ...   a point that is to be tried
    segment   number, trial, purpose, begin, end     a stretch of training that is to be done
    start     segment, name, attempt, worker, anew   a worker began it; anew: from before where
                                                     the trial was
    report    segment, frames, value                 how it goes
    extend    trials, frames                         somebody wants these to go on as far as that
    pausing   segment                                it is to end at its next checkpoint
    given_up  segment                                others wanted the worker; it waits again
    fail      segment, name, attempt, reason         the attempt came to nothing
    result    segment, name, score | null, ...       what it came to, told to the searcher
    drop      trial, frames                          a checkpoint goes, -1: the trial's own
    pause                                            the process stopped working on the study

The log is the study: everything else is rebuilt from it. It is kept in SQLite or PostgreSQL;
study_log.py knows where.
"""

import contextlib
import dataclasses
import json
import logging
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from veldt.platform.errors import InputError, RunFailed
from veldt.platform.runs import finite
from veldt.search.sqlite_store import SqliteStore, read_rows
from veldt.search.store import Row, Store

log = logging.getLogger("veldt")


@dataclasses.dataclass(frozen=True)
class Event:
    """One line of the log."""

    time: float  # seconds since 1970, for reports only
    kind: str
    body: dict[str, Any]


class Journal:
    """The log, open for appending.

    Args:
        store: What it is kept in; the path of a file is SQLite's.

    Raises:
        InputError: if what is there is not a log of ours, or damaged.
    """

    def __init__(self, store: Store | Path) -> None:
        self._store = SqliteStore(store) if isinstance(store, Path) else store
        self._added: list[Row] = []
        self._failure: RunFailed | None = None
        try:
            self.events, torn = whole(self._store.rows())
            if torn is not None:
                self._store.forget(torn)
        except InputError:
            self._store.close()
            raise

    def append(self, kind: str, **body: Any) -> None:
        """Adds an event; when this returns it is on the disk."""
        self.add(kind, **body)
        self.commit()

    def add(self, kind: str, **body: Any) -> None:
        """Adds an event, which is on the disk after `commit`, with all before it or not at all."""
        event = Event(time.time(), kind, finite(body))
        text = json.dumps(event.body, allow_nan=False)
        self.events.append(event)
        row = (len(self.events), event.time, kind, text, zlib.crc32(text.encode()))
        self._added.append(row)

    def commit(self) -> None:
        """Whatever was added is on the disk when this returns.

        Raises:
            RunFailed: if it is not. Then nothing more is written, or there would be a gap.
        """
        if self._failure is not None:
            raise self._failure
        if not self._added:
            return
        try:
            self._store.write(self._added)
        except RunFailed as failure:
            self._failure = failure
            raise
        self._added = []

    def close(self) -> None:
        with contextlib.suppress(RunFailed):
            self.commit()
        self._store.close()


def read(path: Path) -> list[Event]:
    """The events of a file of SQLite's, also while another process writes."""
    return whole(read_rows(path))[0]


def whole(rows: Iterable[Row]) -> tuple[list[Event], int | None]:
    """All events, and the number of the last row if it is damaged, which is left out.

    Raises:
        InputError: if another one is damaged or missing: what follows it may hang on it.
    """
    events: list[Event] = []
    rows = list(rows)
    for n, when, kind, body, crc in rows:
        missing = n != len(events) + 1
        if missing or zlib.crc32(body.encode()) != crc:
            if missing or n != len(rows):
                raise InputError(
                    f"the study's log is damaged at event {len(events) + 1} of {rows[-1][0]}; "
                    "restore it, or start again in another folder with --out."
                )
            log.warning("the study's log is damaged at its last event, which is left out.")
            return events, n
        events.append(Event(when, kind, json.loads(body)))
    return events, None
