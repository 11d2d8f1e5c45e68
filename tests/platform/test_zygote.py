"""Zygotes: children that start, end, are killed, and never outlive their owner."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from veldt.platform.errors import RunFailed
from veldt.platform.zygote import LOST, Zygote

WATCHDOG_S = 20.0

CHILDREN = """
import json, os, pathlib, signal, sys, threading, time
from veldt.platform.zygote import Zygote

def note(argument):
    pathlib.Path(argument["file"]).write_text(os.environ.get("OMP_NUM_THREADS", ""))
    print("said", argument["word"])

def fail(argument):
    raise ValueError("on purpose")

def leave(argument):
    sys.exit(argument["code"])

def sleep(argument):
    pathlib.Path(argument["file"]).write_text(str(os.getpid()))
    time.sleep(600)

def nest(argument):
    inner = Zygote()
    child = inner.spawn("children:sleep", argument)
    child.wait(600)

def surroundings(argument):
    found = {
        "session": os.getsid(0) == os.getpid(),
        "files": [str(fd.resolve()) for fd in pathlib.Path("/proc/self/fd").iterdir()],
        "stdin": os.readlink("/proc/self/fd/0"),
        "rank": [name for name in os.environ if name.startswith("OMPI_")],
        "threads": os.environ["OMP_NUM_THREADS"],
        "signals": [signal.getsignal(n) is h for n, h in (
            (signal.SIGINT, signal.SIG_IGN),
            (signal.SIGTERM, signal.SIG_DFL),
            (signal.SIGUSR1, signal.SIG_DFL),
        )],
        "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "imported": "quite_unusual" in sys.modules,
    }
    pathlib.Path(argument["file"]).write_text(json.dumps(found))

def show(argument, threads):
    # An owner with a file open, handlers of its own, and so many threads more than one.
    sys.modules["quite_unusual"] = sys
    locked = open(argument + ".locked", "w")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: None)
    for _ in range(threads):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    print("once", end="")
    zygote = Zygote(["children"])
    assert zygote.spawn("children:surroundings", {"file": argument}).wait(20) == 0
    zygote.close()
    print(".")

def own(argument):
    zygote = Zygote(["children"])
    zygote.spawn("children:nest", {"file": argument})
    time.sleep(600)
"""


@pytest.fixture
def zygote(tmp_path, monkeypatch):
    (tmp_path / "children.py").write_text(CHILDREN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "children", raising=False)
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    zygote = Zygote(["children"])
    yield zygote
    zygote.close()


def appears(path: Path) -> str:
    """Waits for a file with something in it."""
    return next(text for _ in iter(int, 1) if (text := path.exists() and path.read_text()))


def test_a_child_runs_with_one_thread_and_a_log(zygote, tmp_path):
    log = tmp_path / "log"
    child = zygote.spawn("children:note", {"file": str(tmp_path / "f"), "word": "hi"}, log)
    assert child.wait(WATCHDOG_S) == 0
    assert (tmp_path / "f").read_text() == "1"
    assert log.read_text() == "said hi\n"


def test_a_failing_child_leaves_its_traceback(zygote, tmp_path):
    child = zygote.spawn("children:fail", {}, tmp_path / "log")
    assert child.wait(WATCHDOG_S) == 1
    assert "ValueError: on purpose" in (tmp_path / "log").read_text()
    assert zygote.spawn("children:leave", {"code": 3}).wait(WATCHDOG_S) == 3


def test_a_killed_child_says_so(zygote, tmp_path):
    child = zygote.spawn("children:sleep", {"file": str(tmp_path / "f")})
    appears(tmp_path / "f")
    assert child.poll() is None
    child.signal(signal.SIGKILL)
    assert child.wait(WATCHDOG_S) == -signal.SIGKILL
    child.signal(signal.SIGKILL)  # the dead are not an error


def test_children_of_a_killed_zygote_are_gone(zygote, tmp_path):
    child = zygote.spawn("children:sleep", {"file": str(tmp_path / "f")})
    appears(tmp_path / "f")
    os.kill(zygote.pid, signal.SIGKILL)
    assert child.wait(WATCHDOG_S) == LOST
    psutil.wait_procs([p for p in [_process(child.pid)] if p], WATCHDOG_S)
    assert not _alive(child.pid)
    with pytest.raises(RunFailed, match="gone"):
        for _ in range(100):
            zygote.spawn("children:fail", {})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a zygote is always executed")
@pytest.mark.parametrize("threads", [0, 1])
def test_a_fork_and_an_exec_leave_the_same_behind(tmp_path, threads):
    (tmp_path / "children.py").write_text(CHILDREN)
    file = tmp_path / "f"
    done = subprocess.run(
        [sys.executable, "-c", f"import children; children.show({str(file)!r}, {threads})"],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "OMPI_COMM_WORLD_RANK": "0"},
        capture_output=True,
        text=True,
        timeout=WATCHDOG_S,
        check=True,
    )
    assert done.stdout == "once.\n"
    found = json.loads(file.read_text())
    assert found["session"] and found["stdin"] == os.devnull and not found["rank"]
    assert found["threads"] == "1" and all(found["signals"]) and not found["blocked"]
    assert not any("locked" in file for file in found["files"])
    assert found["imported"] == (threads == 0)  # the fork has what its owner had


def test_nothing_outlives_an_owner_killed_with_sigkill(tmp_path, monkeypatch):
    (tmp_path / "children.py").write_text(CHILDREN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    file = tmp_path / "f"
    owner = subprocess.Popen(
        [sys.executable, "-c", f"import children; children.own({str(file)!r})"]
    )
    grandchild = int(appears(file))
    family = psutil.Process(owner.pid).children(recursive=True)
    assert len(family) >= 4  # zygote, child, its zygote, grandchild
    owner.kill()
    owner.wait()
    psutil.wait_procs(family, WATCHDOG_S)
    assert not _alive(grandchild)


def _process(pid):
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _alive(pid):
    process = _process(pid)
    return process is not None and process.status() != psutil.STATUS_ZOMBIE
