"""The processes that a process has started, which come and go while they are looked at."""

import contextlib

import psutil

GONE_S = 30.0


def family(process, name=None):
    """Its children and theirs; those of a name."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if name is None or child.name() == name:
                found.append(child)
    return found


def all_gone(processes):
    """Whether they have ended, or do within a moment."""
    return not psutil.wait_procs(processes, timeout=GONE_S)[1]
