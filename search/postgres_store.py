"""A study's log in a PostgreSQL database, which many studies share.

    veldt_study(study, made)                        one row a study; deleting it deletes its log
    veldt_event(study, n, time, kind, body, crc)    as in SQLite

A commit is one statement, hence one transaction and one way to the server and back. Who writes
holds an advisory lock as long as the connection lasts; were two to write all the same, both
would number their events alike, which the primary key refuses.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from veldt.platform.errors import FolderInUse, InputError, RunFailed
from veldt.search.store import Row

SCHEMES = ("postgresql", "postgres")
TABLES = (
    "CREATE TABLE IF NOT EXISTS veldt_study (study text PRIMARY KEY, "
    "made timestamptz NOT NULL DEFAULT now())",
    "CREATE TABLE IF NOT EXISTS veldt_event ("
    "study text NOT NULL REFERENCES veldt_study ON DELETE CASCADE, n integer NOT NULL, "
    "time double precision NOT NULL, kind text NOT NULL, body text NOT NULL, "
    "crc bigint NOT NULL, PRIMARY KEY (study, n))",
)
INSERT = (
    "INSERT INTO veldt_event SELECT %s, * FROM unnest("
    "%s::integer[], %s::double precision[], %s::text[], %s::text[], %s::bigint[])"
)
ROWS = "SELECT n, time, kind, body, crc FROM veldt_event WHERE study = %s ORDER BY n"
LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
LOCK_GRACE_S = 5.0  # the server may take a moment to see that a killed coordinator is gone
# A coordinator waits for hours between two events, its host may vanish, and what is committed is
# to be on the disk whatever the server is set to.
SESSION = (
    "SELECT set_config(name, wanted, false) FROM pg_settings JOIN (VALUES "
    "('idle_session_timeout', '0'), ('tcp_keepalives_idle', '30'), "
    "('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3'), "
    "('synchronous_commit', 'on')) AS ours (name, wanted) USING (name) "
    "WHERE name <> 'synchronous_commit' OR setting = 'off'"
)
PATIENCE: dict[str, Any] = {  # where the URL does not say otherwise
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "veldt",
}
SECRET = ("password", "secret")  # how the names of parameters end that are nobody's business

Connection = psycopg.Connection[Any]


class PostgresStore:
    """A study's rows, open for appending.

    Args:
        url: postgresql://USER@HOST/DATABASE, as libpq reads it.
        study: Its name there, which `enter` made known.
        wrote: Called after each commit.

    Raises:
        InputError: if the database cannot be reached, or does not have this study.
        FolderInUse: if another process is at work on it.
    """

    def __init__(self, url: str, study: str, wrote: Callable[[], None] = lambda: None) -> None:
        self._url, self._study, self._wrote = url, study, wrote
        self._connection = _connect(url)
        try:
            with _asking(url):
                self._connection.execute(SESSION)
                _demand(self._connection, url, study)
                self._lock()
        except BaseException:
            self._connection.close()
            raise

    def _lock(self) -> None:
        deadline = time.monotonic() + LOCK_GRACE_S
        while not _true(self._connection, LOCK, self._study):
            if time.monotonic() > deadline:
                raise FolderInUse(
                    f"{public(self._url)}: another process is at work on study {self._study}; "
                    "wait for it to end, or stop it."
                )
            time.sleep(0.05)

    def rows(self) -> list[Row]:
        with _asking(self._url):
            return self._connection.execute(ROWS, [self._study]).fetchall()

    def write(self, rows: Sequence[Row]) -> None:
        try:
            self._connection.execute(INSERT, [self._study, *map(list, zip(*rows, strict=True))])
        except psycopg.Error as error:
            raise RunFailed(
                f"the study's log cannot be written to: {_said(error)}. What is in it stands; "
                "once the database is well, the same command with --resume goes on."
            ) from error
        self._wrote()

    def forget(self, n: int) -> None:
        statement = "DELETE FROM veldt_event WHERE study = %s AND n = %s"
        with _asking(self._url):
            self._connection.execute(statement, [self._study, n])

    def close(self) -> None:
        self._connection.close()


def demand(url: str) -> None:
    """Sees that a database can be reached and has the tables, which are made if need be.

    Raises:
        InputError: if not.
    """
    with _asking(url), contextlib.closing(_connect(url)) as connection:
        # Who may not make tables may still use those that somebody made.
        if _true(connection, "SELECT to_regclass(%s) IS NOT NULL", "veldt_event"):
            return
        with connection.transaction():  # CREATE ... IF NOT EXISTS fails where two do it at once
            lock = "SELECT pg_advisory_xact_lock(hashtextextended('veldt_event', 0))"
            for statement in (lock, *TABLES):
                connection.execute(statement)


def enter(url: str, study: str) -> None:
    """Makes a new study known.

    Raises:
        InputError: if that cannot be done.
    """
    demand(url)
    with _asking(url), contextlib.closing(_connect(url)) as connection:
        connection.execute("INSERT INTO veldt_study (study) VALUES (%s)", [study])


def read_rows(url: str, study: str) -> list[Row]:
    """The rows of a study, also while another process writes.

    Raises:
        InputError: if it is not there.
    """
    with _asking(url), contextlib.closing(_connect(url)) as connection:
        _demand(connection, url, study)
        return connection.execute(ROWS, [study]).fetchall()


def password(url: str) -> str | None:
    """The password in a URL."""
    return _parameters(url).get("password")


def public(url: str) -> str:
    """A URL without what is secret in it."""
    scheme, there, rest = url.partition("://")
    if not there:
        return url
    place, _, query = rest.partition("?")
    where, slash, path = place.partition("/")
    who, at, hosts = where.rpartition("@")
    pairs = [
        pair
        for pair in query.split("&")
        if pair and not pair.partition("=")[0].lower().endswith(SECRET)
    ]
    mark = "?" if pairs else ""
    return f"{scheme}://{who.partition(':')[0]}{at}{hosts}{slash}{path}{mark}{'&'.join(pairs)}"


def _true(connection: Connection, question: str, *given: str) -> bool:
    return connection.execute(question, given).fetchone() == (True,)


def _demand(connection: Connection, url: str, study: str) -> None:
    known = "SELECT EXISTS (SELECT FROM veldt_study WHERE study = %s)"
    with contextlib.suppress(psycopg.errors.UndefinedTable):
        if _true(connection, known, study):
            return
    raise InputError(
        f"{public(url)}: has no study {study}; name the database where its log is with --store, "
        "or start again in another folder with --out."
    )


def _connect(url: str) -> Connection:
    given = PATIENCE | _parameters(url) | {"client_encoding": "utf8"}
    with _asking(url):
        return psycopg.connect(make_conninfo("", **given), autocommit=True)


def _parameters(url: str) -> dict[str, Any]:
    """A URL as libpq reads it."""
    if url.partition("://")[0] not in SCHEMES:
        raise InputError(f"{public(url)}: expected postgresql://USER@HOST/DATABASE.")
    with _asking(url):
        return conninfo_to_dict(url)


@contextlib.contextmanager
def _asking(url: str) -> Iterator[None]:
    """What a database refuses is said in its words."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise InputError(
            f"{public(url)}: {_said(error)}. A study's log takes SELECT, INSERT and DELETE on "
            "veldt_study and veldt_event, and CREATE on their schema where they are not there."
        ) from error
    except psycopg.Error as error:
        raise InputError(f"{public(url)}: {_said(error, url)}.") from error


def _said(error: Exception, url: str = "") -> str:
    """An error in one line, and without the URL's password."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text.replace(url, public(url)) if url else text
