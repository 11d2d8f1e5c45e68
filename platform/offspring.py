"""Offspring: whatever a process has started, and what that has started in turn.

The leader of a session gives it to all that descends from it, process groups of their own
included, so that its offspring can be found and ended also when it is gone itself. Who makes
himself a session of his own (`setsid`) has left the house.
"""

import contextlib
import os
import signal
import sys


def of(leader: int) -> set[int]:
    """The processes of a session, its leader among them."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getsid(int(name)) == leader:
                    found.add(int(name))
    return found


def end(leader: int) -> None:
    """Kills all processes of a session; where they cannot be listed, the leader's group."""
    if sys.platform != "linux":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
        return
    killed: set[int] = set()
    # Until nobody is new: one may have been started while the others were listed.
    while new := of(leader) - killed:
        for pid in new:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= new
