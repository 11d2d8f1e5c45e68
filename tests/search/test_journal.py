"""The study's log: order, durability and damage."""

import sqlite3
import subprocess
import sys

import pytest

from veldt.platform.errors import InputError
from veldt.search.journal import Journal, read


def fill(path, count=5):
    journal = Journal(path)
    for number in range(count):
        journal.append("ask", number=number, point={"a": number / 7, "b": float("nan")})
    journal.close()


def test_what_was_appended_is_read(tmp_path):
    fill(tmp_path / "log")
    for events in (read(tmp_path / "log"), Journal(tmp_path / "log").events):
        assert [event.body["number"] for event in events] == list(range(5))
        assert events[3].body["point"] == {"a": 3 / 7, "b": None}
        assert events[0].time <= events[4].time


def test_it_is_written_ahead_and_outlives_sigkill(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; "
        "from veldt.search.journal import Journal; journal = Journal(Path(sys.argv[1])); "
        "[journal.append('ask', number=n) for n in range(50)]; "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")])
    assert len(read(tmp_path / "log")) == 50
    database = sqlite3.connect(tmp_path / "log")
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_a_damaged_tail_is_left_out_with_a_warning(tmp_path, caplog):
    fill(tmp_path / "log")
    database = sqlite3.connect(tmp_path / "log")
    damage = "UPDATE event SET body = '{\"number\": 9}' WHERE n = "
    database.execute(damage + "5")
    database.commit()
    assert len(read(tmp_path / "log")) == 4
    assert "damaged at its last event" in caplog.text
    journal = Journal(tmp_path / "log")
    journal.append("ask", number=4)
    journal.close()
    assert [event.body["number"] for event in read(tmp_path / "log")] == [0, 1, 2, 3, 4]
    database.execute(damage + "3")
    database.commit()
    database.close()
    with pytest.raises(InputError, match="damaged at event 3 of 5"):
        Journal(tmp_path / "log")


def test_a_folder_of_any_name(tmp_path):
    path = tmp_path / "a#1?b%25" / "log"
    path.parent.mkdir()
    fill(path)
    assert len(read(path)) == 5


def test_another_kind_of_file(tmp_path):
    (tmp_path / "log").write_text("this is not a database, it is a long enough text" * 50)
    with pytest.raises(InputError, match="not a study's log"):
        Journal(tmp_path / "log")
    with pytest.raises(InputError, match="not a study's log"):
        read(tmp_path / "log")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "nothing")
