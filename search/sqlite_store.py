"""A study's log as a file of SQLite's, in the study's folder."""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from veldt.platform.errors import InputError, RunFailed
from veldt.search.store import Row

TABLE = (
    "CREATE TABLE IF NOT EXISTS event (n INTEGER PRIMARY KEY, time REAL NOT NULL, "
    "kind TEXT NOT NULL, body TEXT NOT NULL, crc INTEGER NOT NULL)"
)
ROWS = "SELECT n, time, kind, body, crc FROM event ORDER BY n"


class SqliteStore:
    """The file, open for appending; the lock of the folder keeps others away.

    Raises:
        InputError: if the file is there and not a log of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(TABLE)
        except sqlite3.DatabaseError as error:
            raise _no_log(path, error) from error

    def rows(self) -> list[Row]:
        try:
            return self._database.execute(ROWS).fetchall()
        except sqlite3.DatabaseError as error:
            raise _no_log(self._path, error) from error

    def write(self, rows: Sequence[Row]) -> None:
        try:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise RunFailed(f"the study's log cannot be written to: {error}.") from error

    def forget(self, n: int) -> None:
        self._database.execute("DELETE FROM event WHERE n = ?", (n,))

    def close(self) -> None:
        self._database.close()


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, also while another process writes, or only makes it.

    Raises:
        InputError: if it is not a log of ours.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; is {path.parent} the folder of a search?")
    place = path.resolve().as_uri() + "?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(place, uri=True)) as database:
            made = "SELECT 1 FROM sqlite_master WHERE name = 'event'"
            return database.execute(ROWS).fetchall() if database.execute(made).fetchone() else []
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: not a study's log ({error}).") from error


def _no_log(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: not a study's log ({error}); restore the file, or start again in another "
        "folder with --out."
    )
