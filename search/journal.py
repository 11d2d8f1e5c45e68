"""The log of a study: every event, appended, in SQLite. The coordinator alone writes.

    event(n, time, kind, body, crc)

    session   workers, trials, best_score, inherited a process begins to work on the study, or one
                                                     does so in the place of a rank that died
    lost      ranks, workers, segments               so many ranks of the job have died by now;
                                                     what their workers were at waits again
    trial     number, point, question, parent, ...   a point that is to be tried
    segment   number, trial, purpose, begin, end     a stretch of training that is to be done
    start     segment, name, attempt, worker         a worker began it
    report    segment, frames, value                 how it goes
    extend    trials, frames                         somebody wants these to go on as far as that
    pausing   segment                                it is to end at its next checkpoint
    given_up  segment                                others wanted the worker; it waits again
    fail      segment, name, attempt, reason         the attempt came to nothing
    result    segment, name, score | null, ...       what it came to, told to the searcher
    drop      trial, frames                          a checkpoint goes, -1: the trial's own
    pause                                            the process stopped working on the study

The log is the study: everything else is rebuilt from it.
"""

import contextlib
import dataclasses
import json
import logging
import sqlite3
import time
import zlib
from pathlib import Path
from typing import Any

from veldt.platform.errors import InputError, RunFailed
from veldt.platform.runs import finite

log = logging.getLogger("veldt")


@dataclasses.dataclass(frozen=True)
class Event:
    """One line of the log."""

    time: float  # seconds since 1970, for reports only
    kind: str
    body: dict[str, Any]


class Journal:
    """The log, open for appending.

    Raises:
        InputError: if the file is there and not a log of ours.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS event (n INTEGER PRIMARY KEY, time REAL NOT NULL, "
                "kind TEXT NOT NULL, body TEXT NOT NULL, crc INTEGER NOT NULL)"
            )
            self.events = _whole(self._database)
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{path}: not a study's log ({error}); restore the file, or start again "
                "in another folder with --out."
            ) from error

    def append(self, kind: str, **body: Any) -> None:
        """Adds an event; when this returns it is on the disk."""
        self.add(kind, **body)
        self.commit()

    def add(self, kind: str, **body: Any) -> None:
        """Adds an event, which is on the disk after `commit`, with all before it or not at all."""
        event = Event(time.time(), kind, finite(body))
        text = json.dumps(event.body, allow_nan=False)
        row = (event.time, kind, text, zlib.crc32(text.encode()))
        try:
            if not self._database.in_transaction:
                self._database.execute("BEGIN")
            self._database.execute(
                "INSERT INTO event (time, kind, body, crc) VALUES (?, ?, ?, ?)", row
            )
        except sqlite3.DatabaseError as error:
            raise RunFailed(f"the study's log cannot be written to: {error}.") from error
        self.events.append(event)

    def commit(self) -> None:
        """Whatever was added is on the disk when this returns."""
        try:
            if self._database.in_transaction:
                self._database.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise RunFailed(f"the study's log cannot be written to: {error}.") from error

    def close(self) -> None:
        with contextlib.suppress(RunFailed):
            self.commit()
        self._database.close()


def read(path: Path) -> list[Event]:
    """The events of a study, also while another process writes."""
    if not path.exists():
        raise InputError(f"{path}: no such file; is {path.parent} the folder of a search?")
    try:
        with contextlib.closing(
            sqlite3.connect(path.resolve().as_uri() + "?mode=ro", uri=True)
        ) as database:
            return _whole(database, mend=False)
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: not a study's log ({error}).") from error


def _whole(database: sqlite3.Connection, mend: bool = True) -> list[Event]:
    """All events; a damaged last one is left out, and with `mend` deleted.

    Raises:
        InputError: if another one is damaged: what follows it may hang on it.
    """
    events = []
    rows = database.execute("SELECT n, time, kind, body, crc FROM event ORDER BY n").fetchall()
    for n, when, kind, body, crc in rows:
        if zlib.crc32(body.encode()) != crc:
            if n != rows[-1][0]:
                raise InputError(
                    f"the study's log is damaged at event {n} of {rows[-1][0]}; restore the "
                    "file, or start again in another folder with --out."
                )
            log.warning("the study's log is damaged at its last event, which is left out.")
            if mend:
                database.execute("DELETE FROM event WHERE n = ?", (n,))
            break
        events.append(Event(when, kind, json.loads(body)))
    return events
