"""Where a study's log is: a file in its folder, or a database that a file in its folder names.

    DIR/study.sqlite     the log
    DIR/store.json       {"url", "study"}: it is in PostgreSQL, under this name; the URL is
                         without a password. Its time is that of the last commit.

Everybody who needs a folder's log asks here.
"""

import os
import re
import uuid
from pathlib import Path
from types import ModuleType

from veldt.platform.errors import InputError, MissingProgram
from veldt.platform.runs import read_json, write_json
from veldt.search import sqlite_store
from veldt.search.journal import Event, Journal, whole

FILE, PLACE = "study.sqlite", "store.json"


def exists(folder: Path) -> bool:
    """Whether a folder has a study's log."""
    return (folder / FILE).exists() or (folder / PLACE).exists()


def read(folder: Path) -> list[Event]:
    """The events of a folder's log, also while another process writes; none if it has no log.

    Raises:
        InputError: if it cannot be read.
    """
    if (place := _place(folder)) is not None:
        return whole(_postgres().read_rows(*place))[0]
    file = folder / FILE
    return whole(sqlite_store.read_rows(file))[0] if file.exists() else []


def demand(folder: Path, url: str | None) -> None:
    """Sees whether a log can be opened, before anything is written.

    Raises:
        InputError: if not.
    """
    if url is None:
        return
    if (folder / FILE).exists():
        raise InputError(
            f"{folder}: this study's log is the file {FILE}; leave --store out, or choose "
            "another folder with --out."
        )
    _postgres().demand(url)


def open_log(folder: Path, url: str | None = None) -> Journal:
    """A folder's log, for the one process that writes it; a new one if there is none.

    Args:
        folder: Of the study, held by this process.
        url: Of the database; None: where the log is, and a file if there is none. Another one
            than the folder's is where the log has been moved.

    Raises:
        InputError: if it cannot be opened; FolderInUse if another process writes.
    """
    demand(folder, url)
    place = _place(folder)
    if place is None and url is None:
        return Journal(folder / FILE)
    postgres = _postgres()
    if place is None:
        assert url is not None
        study = f"{re.sub(r'[^A-Za-z0-9.-]', '_', folder.resolve().name)}-{uuid.uuid4().hex}"
        postgres.enter(url, study)
    else:
        known, study = place
        url = url or known
    file = folder / PLACE
    store = postgres.PostgresStore(url, study, wrote=lambda: os.utime(file))
    if place != (postgres.public(url), study):
        write_json(file, {"url": postgres.public(url), "study": study})
    return Journal(store)


def hide_password(url: str) -> str:
    """Moves a URL's password to this process's environment, where libpq finds it."""
    postgres = _postgres()
    if (password := postgres.password(url)) is not None:
        os.environ["PGPASSWORD"] = password
    return str(postgres.public(url))


def _place(folder: Path) -> tuple[str, str] | None:
    """(url, study) of a log in a database."""
    file = folder / PLACE
    if not file.exists():
        return None
    found = read_json(file)
    try:
        return str(found["url"]), str(found["study"])
    except (KeyError, TypeError):
        raise InputError(f"{file}: does not say where the study's log is.") from None


def _postgres() -> ModuleType:
    try:
        from veldt.search import postgres_store
    except ImportError as error:
        raise MissingProgram(
            f"a log on PostgreSQL needs psycopg: pip install 'veldt[postgresql]' ({error})."
        ) from error
    return postgres_store
