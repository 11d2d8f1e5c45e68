"""The machine that this process is on: what of it there is to use, and which core is whose."""

import math
import os
import socket
import sys
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> float:
    """The processors this process may keep busy: its affinity, or a container's quota."""
    affinity = hasattr(os, "sched_getaffinity")
    cores = float(len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1)
    for quota, period in (limit.split() for limit in _limits("cpu.max")):
        if quota != "max":
            cores = min(cores, int(quota) / int(period))
    return cores


def usable_memory() -> int:
    """The bytes that are free on this machine, or a container's limit if that is less."""
    available: int = psutil.virtual_memory().available
    return min([available, *(int(limit) for limit in _limits("memory.max") if limit != "max")])


def _limits(file: str) -> list[str]:
    """What a file of the control groups (version 2) says, of our group and those around it."""
    membership = Path("/proc/self/cgroup")
    lines = membership.read_text().splitlines() if membership.exists() else []
    own = next((line[len("0::/") :] for line in lines if line.startswith("0::/")), "")
    groups = [CGROUPS / own, *(CGROUPS / own).parents]
    found = [group / file for group in groups if group.is_relative_to(CGROUPS)]
    return [path.read_text().strip() for path in found if path.exists()]


def quota() -> bool:
    """Whether less time than that of all its cores is this process's: a container's limit."""
    return hasattr(os, "sched_getaffinity") and usable_cores() < len(os.sched_getaffinity(0))


def whole_cores() -> int:
    """`usable_cores`, those that can be had whole; at least 1."""
    return max(1, math.floor(usable_cores()))


def asked_threads() -> int | None:
    """What OMP_NUM_THREADS asks for; None if it is not set, or is no number of threads. Of a list,
    one for each level of nesting, it is the first."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdigit() and int(first) > 0 else None


def has_gpu() -> bool:
    """Whether there seems to be an NVIDIA GPU; no driver is asked, and so none is begun."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


class Core:
    """A core that is one process's alone, as far as others ask in the same way.

    It is held by a socket with the core's name, which the kernel frees with its process; nothing
    is left in any file system.
    """

    def __init__(self, number: int, holder: socket.socket) -> None:
        self.number, self._holder = number, holder

    def close(self) -> None:
        """Another may have it."""
        self._holder.close()


def claim_core() -> Core | None:
    """A core of those that this process may run on, the last ones first; None if others hold
    them all, or this is not Linux."""
    if sys.platform != "linux":
        return None
    for number in sorted(os.sched_getaffinity(0), reverse=True):
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holder.bind(f"\0veldt-core-{number}")
        except OSError:
            holder.close()
        else:
            return Core(number, holder)
    return None


def bind(core: int) -> None:
    """Keeps this process, with the threads it has and those it will have, on one core; Linux.

    Raises:
        OSError: if there is no such core to have.
    """
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def identity() -> str:
    """Where this process is: the same for two that can share memory without a name.

    They have one kernel that was started once, one view of its processes and of its network,
    and one user. A host's name says none of these: containers may have the same.
    """
    user = str(os.getuid())
    if sys.platform != "linux":
        return f"{socket.gethostname()} {user}"
    booted = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    spaces = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "net")]
    return " ".join([booted, *spaces, user])
