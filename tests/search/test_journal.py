"""The study's log, in SQLite and in PostgreSQL: order, durability, damage, one writer."""

import json
import signal
import sqlite3
import subprocess
import sys

import pytest

from veldt.platform.errors import FolderInUse, InputError, MissingProgram, RunFailed
from veldt.search import study_log
from veldt.search.journal import Journal, read


class SqliteLog:
    """A folder with its log in a file; and how it is damaged."""

    url = None

    def __init__(self, folder):
        self.folder = folder

    def change(self, statement, *given):
        database = sqlite3.connect(self.folder / "study.sqlite")
        rows = database.execute(statement.replace("%s", "?"), given).fetchall()
        database.commit()
        database.close()
        return rows


class PostgresLog:
    """The same, in a database that another study shares."""

    def __init__(self, folder, postgres):
        self.folder, self._postgres, self.url = folder, postgres, postgres.database()
        other = folder.with_name("other")
        other.mkdir()
        journal = study_log.open_log(other, self.url)
        journal.append("ask", number=77)
        journal.close()

    def change(self, statement, *given):
        study = json.loads((self.folder / "store.json").read_text())["study"]
        statement = statement.replace("event", "veldt_event") + " AND study = %s"
        return self._postgres.ask(self.url, statement, *given, study)


@pytest.fixture(params=["sqlite", "postgresql"])
def log(request, tmp_path):
    folder = tmp_path / "a#1?b%25"  # of any name
    folder.mkdir()
    if request.param == "sqlite":
        return SqliteLog(folder)
    return PostgresLog(folder, request.getfixturevalue("postgres"))


def fill(log, count=5):
    journal = study_log.open_log(log.folder, log.url)
    for number in range(count):
        journal.append("ask", number=number, point={"a": number / 7, "b": float("nan")})
    journal.close()


def numbers(log):
    return [event.body["number"] for event in study_log.read(log.folder)]


def test_what_was_appended_is_read(log):
    assert study_log.read(log.folder) == [] and not study_log.exists(log.folder)
    fill(log)
    assert study_log.exists(log.folder)
    journal = study_log.open_log(log.folder)  # which remembers where it is
    for events in (study_log.read(log.folder), journal.events):
        assert [event.body["number"] for event in events] == list(range(5))
        assert events[3].body["point"] == {"a": 3 / 7, "b": None}
        assert events[0].time <= events[4].time
    assert journal.events == study_log.read(log.folder)  # times to the last bit
    journal.append("ask", number=5, words="\0 ü \ud800 %s 'x'")
    assert study_log.read(log.folder)[-1].body["words"] == "\0 ü \ud800 %s 'x'"
    journal.close()


def test_all_that_is_added_comes_with_the_commit(log):
    journal = study_log.open_log(log.folder, log.url)
    journal.append("ask", number=0)
    for number in range(1, 4):
        journal.add("ask", number=number)
    assert numbers(log) == [0]  # while it is open for writing
    journal.commit()
    assert numbers(log) == [0, 1, 2, 3]
    journal.add("ask", number=4)
    journal.close()
    assert numbers(log) == [0, 1, 2, 3, 4]


CODE = """
import os, signal, sys
from pathlib import Path
from veldt.search import study_log
journal = study_log.open_log(Path(sys.argv[1]))
[journal.append("ask", number=n) for n in range(50)]
journal.add("ask", number=50)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_is_written_ahead_and_outlives_sigkill(log):
    study_log.open_log(log.folder, log.url).close()
    killed = subprocess.run([sys.executable, "-c", CODE, str(log.folder)])
    assert killed.returncode == -signal.SIGKILL
    assert numbers(log) == list(range(50))
    journal = study_log.open_log(log.folder)  # which nobody has locked any more
    assert len(journal.events) == 50
    journal.close()


DAMAGE = "UPDATE event SET body = '{\"number\": 9}' WHERE n = %s"


def test_a_damaged_tail_is_left_out_with_a_warning(log, caplog):
    fill(log)
    log.change(DAMAGE, 5)
    assert len(study_log.read(log.folder)) == 4
    assert "damaged at its last event" in caplog.text
    journal = study_log.open_log(log.folder)
    journal.append("ask", number=4)
    journal.close()
    assert numbers(log) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("change", [DAMAGE, "DELETE FROM event WHERE n = %s"])
def test_what_follows_on_damage_is_not_believed(log, change):
    fill(log)
    log.change(change, 3)
    for attempt in (study_log.read, study_log.open_log, study_log.open_log):
        with pytest.raises(InputError, match="damaged at event 3 of 5"):
            attempt(log.folder)


def test_another_kind_of_file(tmp_path):
    (tmp_path / "study.sqlite").write_text("this is not a database, it is a long text" * 50)
    with pytest.raises(InputError, match="not a study's log"):
        study_log.open_log(tmp_path)
    with pytest.raises(InputError, match="not a study's log"):
        study_log.read(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "nothing")
    (tmp_path / "empty").touch()  # somebody is making it
    assert read(tmp_path / "empty") == []
    journal = Journal(tmp_path / "a file's path is enough")
    journal.append("ask", number=1)
    journal.close()
    assert len(read(tmp_path / "a file's path is enough")) == 1
    (tmp_path / "store.json").write_text('{"url": "postgresql://x"}')
    with pytest.raises(InputError, match="does not say where"):
        study_log.read(tmp_path)


def test_sqlite_writes_ahead(tmp_path):
    log = SqliteLog(tmp_path)
    fill(log)
    assert log.change("PRAGMA journal_mode") == [("wal",)]


@pytest.fixture
def shared(tmp_path, postgres):
    folder = tmp_path / "study"
    folder.mkdir()
    return PostgresLog(folder, postgres)


def test_a_second_writer_is_refused(shared, tmp_path, monkeypatch):
    monkeypatch.setattr("veldt.search.postgres_store.LOCK_GRACE_S", 0.2)
    fill(shared)
    first = study_log.open_log(shared.folder)
    copy = tmp_path / "copy"  # of a folder, on another host: the folder's lock is not in the way
    copy.mkdir()
    (copy / "store.json").write_bytes((shared.folder / "store.json").read_bytes())
    with pytest.raises(FolderInUse, match="another process is at work on study study-"):
        study_log.open_log(copy)
    assert len(study_log.read(copy)) == 5
    first.append("ask", number=5)
    first.close()
    second = study_log.open_log(copy)
    assert len(second.events) == 6
    second.close()


def test_two_that_write_all_the_same_cannot_both(shared, postgres):
    """As behind a pooler that gives each statement another session, and the lock with it."""
    fill(shared)
    first = study_log.open_log(shared.folder)
    postgres.ask(
        shared.url,
        "INSERT INTO veldt_event SELECT study, 6, 0, 'x', '{}', 0 FROM veldt_event WHERE n = 5",
    )
    with pytest.raises(RunFailed, match="duplicate key"):
        first.append("ask", number=5)
    first.close()


def test_a_connection_that_is_lost(shared, postgres):
    journal = study_log.open_log(shared.folder, shared.url)
    journal.append("ask", number=0)
    assert postgres.kill_backends(shared.url)
    with pytest.raises(RunFailed, match="cannot be written to: .* --resume goes on") as lost:
        journal.append("ask", number=1)
    with pytest.raises(RunFailed) as again:  # or there would be a gap
        journal.append("ask", number=2)
    assert again.value is lost.value
    journal.close()
    postgres.stop()
    postgres.start()
    journal = study_log.open_log(shared.folder)
    assert [event.body["number"] for event in journal.events] == [0]
    journal.close()


def test_what_is_durable_and_how_long_it_waits(shared, postgres):
    settings = {"synchronous_commit": "off", "idle_session_timeout": "1s"}
    name = shared.url.rpartition("/")[2]
    for setting, value in settings.items():
        postgres.ask(shared.url, f"ALTER DATABASE {name} SET {setting} = '{value}'")
    journal = study_log.open_log(shared.folder, shared.url)
    connection = journal._store._connection
    assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    assert connection.execute("SHOW idle_session_timeout").fetchone() == ("0",)
    journal.close()


def test_passwords_are_not_written_down(shared, postgres, monkeypatch, tmp_path):
    postgres.guarded(shared.url, "s3same")
    for table in ("veldt_study", "veldt_event"):
        postgres.ask(shared.url, f"GRANT SELECT, INSERT, DELETE ON {table} TO guarded")
    name = shared.url.rpartition("/")[2]
    url = postgres.url(name, "guarded", "s3same") + "?connect_timeout=5"
    study_log.open_log(shared.folder, url).close()
    told = (shared.folder / "store.json").read_text()
    assert "s3same" not in told and "guarded@" in told and "connect_timeout=5" in told
    with pytest.raises(InputError, match="password") as refused:
        study_log.read(shared.folder)
    assert "s3same" not in str(refused.value)
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(InputError, match="password authentication failed"):
        study_log.read(shared.folder)
    assert study_log.hide_password(url) == json.loads(told)["url"]
    assert study_log.read(shared.folder) == []
    monkeypatch.delenv("PGPASSWORD")
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:*:guarded:s3same\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    study_log.open_log(shared.folder).close()


def test_rights_that_are_missing(shared, postgres, tmp_path):
    postgres.ask(shared.url, "DROP ROLE IF EXISTS guest")
    postgres.ask(shared.url, "CREATE ROLE guest LOGIN")
    fill(shared)
    name = shared.url.rpartition("/")[2]
    with pytest.raises(InputError, match="permission denied for table veldt_study. .* takes SEL"):
        study_log.open_log(tmp_path, postgres.url(name, "guest"))
    postgres.ask(shared.url, "GRANT SELECT ON veldt_study, veldt_event TO guest")
    place = json.loads((shared.folder / "store.json").read_text())
    guest = place | {"url": postgres.url(name, "guest")}
    (shared.folder / "store.json").write_text(json.dumps(guest))
    assert len(study_log.read(shared.folder)) == 5  # who may only look
    journal = study_log.open_log(shared.folder)
    with pytest.raises(RunFailed, match="permission denied for table veldt_event"):
        journal.append("ask", number=5)
    journal.close()
    other = postgres.database().rpartition("/")[2]
    with pytest.raises(InputError, match="permission denied for schema public"):
        study_log.open_log(tmp_path, postgres.url(other, "guest"))


def test_a_log_that_has_moved(shared, postgres):
    fill(shared)
    place = json.loads((shared.folder / "store.json").read_text())
    elsewhere = postgres.database()
    with pytest.raises(InputError, match=f"has no study {place['study']}"):
        study_log.open_log(shared.folder, elsewhere)
    assert json.loads((shared.folder / "store.json").read_text()) == place
    postgres.ask(elsewhere, "INSERT INTO veldt_study (study) VALUES (%s)", place["study"])
    study_log.open_log(shared.folder, elsewhere).close()
    assert study_log.read(shared.folder) == []
    postgres.ask(elsewhere, "DROP TABLE veldt_event, veldt_study")
    with pytest.raises(InputError, match="has no study"):
        study_log.read(shared.folder)


def test_a_file_stays_a_file(tmp_path, shared):
    fill(SqliteLog(tmp_path))
    with pytest.raises(InputError, match="the file study.sqlite; leave --store out"):
        study_log.open_log(tmp_path, shared.url)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mysql://u:secret@h/d", "mysql://u@h/d: expected postgresql://"),
        ("runs/log.sqlite", "^runs/log.sqlite: expected postgresql://"),
        ("postgresql://u:secret@h:x/d", "u@h:x/d: "),
        ("postgresql://u:secret@h/d?nonsense=1", "invalid URI query parameter"),
        ("postgresql://u:secret@[::1/d", "matching"),
        ("postgresql://u:secret@127.0.0.1:9/d", "refused"),
        ("postgresql://u@nowhere.invalid/d?password=secret", "nowhere.invalid"),
    ],
)
def test_wrong_urls(tmp_path, url, word):
    pytest.importorskip("psycopg")
    with pytest.raises(InputError, match=word) as refused:
        study_log.open_log(tmp_path, url)
    assert "secret" not in str(refused.value) and list(tmp_path.iterdir()) == []


def test_a_machine_without_psycopg(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "veldt.search.postgres_store", raising=False)
    monkeypatch.delattr("veldt.search.postgres_store", raising=False)
    with pytest.raises(MissingProgram, match="pip install 'veldt\\[postgresql\\]'"):
        study_log.open_log(tmp_path, "postgresql://u@h/d")
