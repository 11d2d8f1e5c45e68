"""A zygote: one warm process that becomes another in milliseconds.

Importing torch takes seconds; an actor that was killed has to be back sooner,
and a search that trains for ten seconds cannot pay it again for every trial. A
zygote imports the modules once, stays single-threaded, and forks on request.
It is forked from its owner where that runs one thread (on Linux, which can tell),
and so has at once what the owner has imported; from an owner that runs threads, MPI
or CUDA it is started by exec.

    owner  --{"target", "argument", "log"}-->  zygote --fork--> target(argument)
    owner  <--{"pid"} | {"exit", "status"}---  zygote

If the owner ends in any way, the zygote reads the end of its socket, kills its
children and ends. If the zygote is killed, its children are (Linux: the kernel
sends them SIGKILL; elsewhere they notice that their parent changed). A child leads a
session of its own, and whatever it has started there ends with it.
"""

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from veldt.platform import offspring, plugins
from veldt.platform.errors import RunFailed
from veldt.platform.interrupts import Interrupts

# One core, one thread: processes, not threads, share the machine.
ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    )
}
LAUNCHER_PREFIXES = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "MPI_", "HYDRA_", "SLURM_PMI")
LOST = -int(signal.SIGKILL)
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_in_zygotes_child = False


class Child:
    """A process that a zygote forked."""

    def __init__(self, zygote: "Zygote", pid: int) -> None:
        self.pid = pid
        self._zygote = zygote

    def poll(self) -> int | None:
        """None while it runs; else its exit code, negative for the signal that killed it."""
        return self._zygote.status(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless it has ended already."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout_s: float) -> int | None:
        """Waits for its end, at most `timeout_s`."""
        return self._zygote.wait(self.pid, timeout_s)


class Zygote:
    """The owner's handle.

    Args:
        preload: Modules that the children will need, imported once.
    """

    def __init__(self, preload: Sequence[str] = ()) -> None:
        ours, theirs = socket.socketpair()
        owner = os.getpid()
        self._socket = ours
        self._buffer = b""
        self._status: dict[int, int] = {}
        self._living: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._lost = False
        if _can_fork():
            sys.stdout.flush()  # or the child would write it as well
            sys.stderr.flush()
            self.pid = os.fork()
            if self.pid == 0:
                _forget_owner(theirs)
                _serve(theirs, preload, owner)
        else:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "veldt.platform.zygote",
                    str(theirs.fileno()),
                    str(owner),
                    *preload,
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=child_environment(),
                start_new_session=True,  # Ctrl-C is the owner's to deal with
            )
            self.pid = self._process.pid
        theirs.close()

    def spawn(self, target: str, argument: dict[str, Any], log: Path | None = None) -> Child:
        """Forks a child that runs `target(argument)`.

        Args:
            target: "module:function".
            argument: Plain JSON.
            log: A file that gets its standard output and error, appended.

        Raises:
            RunFailed: if the zygote is gone.
        """
        request = {"target": target, "argument": argument, "log": str(log) if log else None}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise RunFailed(f"the process that starts others is gone ({error}).") from error
        while True:
            message = self._read(None)
            if message is None:
                raise RunFailed("the process that starts others is gone; see its log above.")
            if "pid" in message:
                self._status.pop(message["pid"], None)  # of an older process with this number
                self._living.add(message["pid"])
                return Child(self, message["pid"])

    def status(self, pid: int) -> int | None:
        while self._read(0.0):
            pass
        return self._status.get(pid, LOST if self._lost else None)

    def wait(self, pid: int, timeout_s: float) -> int | None:
        if self.status(pid) is None:
            poller = select.poll()
            poller.register(self._socket, select.POLLIN)
            with contextlib.suppress(ProcessLookupError):
                while self.status(pid) is None and poller.poll(timeout_s * 1000):
                    pass
        return self.status(pid)

    @property
    def lost(self) -> bool:
        """Whether it has ended, killed by somebody."""
        self.status(0)
        return self._lost

    def close(self) -> None:
        """Kills whatever is left and ends the zygote."""
        self._socket.close()
        if self._process is not None:
            self._process.wait()
            self._process = None
        elif self.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        self.pid, self._lost = 0, True

    def _read(self, timeout_s: float | None) -> dict[str, Any] | None:
        """The next message; None if there is none within `timeout_s`, or never will be."""
        while b"\n" not in self._buffer:
            if self._lost:
                return None
            self._socket.settimeout(timeout_s)
            try:
                data = self._socket.recv(65536)
            except (BlockingIOError, TimeoutError):
                return None
            except OSError:
                data = b""
            finally:
                with contextlib.suppress(OSError):
                    self._socket.settimeout(None)
            if not data:
                self._lost = True
                for pid in self._living:  # nobody else can do it any more
                    offspring.end(pid)
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "exit" in message:
            self._status[message["exit"]] = message["status"]
            self._living.discard(message["exit"])
        return message


def _can_fork() -> bool:
    """Whether a fork of this process is whole: threads are not forked, and may hold locks."""
    if sys.platform == "linux":
        return len(os.listdir("/proc/self/task")) == 1
    return _in_zygotes_child


def child_environment() -> dict[str, str]:
    """A zygote's and its children's: one thread, and no rank of its owner's job."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(LAUNCHER_PREFIXES)
    }
    return kept | ONE_THREAD


def _forget_owner(kept: socket.socket) -> None:
    """Makes a fork what an exec would be: no files, locks, signals and terminal of the owner's."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    # The objects that own these files stay referenced by the frames below this one.
    for file in map(int, os.listdir("/dev/fd")):
        if file > 2 and file != kept.fileno():
            with contextlib.suppress(OSError):  # the list's own
                os.close(file)
    signal.set_wakeup_fd(-1)
    for number in Interrupts.SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    environment = child_environment()
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)


def _serve(owner: socket.socket, preload: Sequence[str], parent: int) -> NoReturn:
    """Forks on request until the owner's end closes; runs in the zygote."""
    die_with_parent(parent)
    _call_itself("zygote")
    # Whether to stop is the owner's to decide, and the children's own.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Blocked and not ignored: one sent to a child that is just being forked waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    for module in preload:
        importlib.import_module(module)
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    living: set[int] = set()
    buffer = b""
    while True:
        readable, _, _ = select.select([owner.fileno(), wake_read], [], [])
        if wake_read in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            _reap(owner, living)
        if owner.fileno() in readable:
            try:
                data = owner.recv(65536)
            except OSError:
                data = b""
            if not data:
                for pid in living:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    offspring.end(pid)
                os._exit(0)
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                zygote = os.getpid()
                pid = os.fork()
                if pid == 0:
                    die_with_parent(zygote)
                    signal.set_wakeup_fd(-1)
                    for end in (wake_read, wake_write):
                        os.close(end)
                    owner.close()
                    _become(json.loads(line))
                living.add(pid)
                _tell(owner, {"pid": pid})


def _reap(owner: socket.socket, living: set[int]) -> None:
    for pid in list(living):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            living.discard(pid)
            offspring.end(pid)
            _tell(owner, {"exit": pid, "status": os.waitstatus_to_exitcode(status)})


def _tell(owner: socket.socket, message: dict[str, int]) -> None:
    with contextlib.suppress(OSError):  # the end of the socket is dealt with when it is read
        owner.sendall(json.dumps(message).encode() + b"\n")


def _become(request: dict[str, Any]) -> NoReturn:
    """Turns the forked process into what was asked for."""
    global _in_zygotes_child
    _in_zygotes_child = True
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    code = 1
    try:
        if request["log"]:
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
        _call_itself(request["target"].partition(":")[0].rpartition(".")[2])
        plugins.attribute(request["target"])(request["argument"])
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _call_itself(name: str) -> None:
    """Gives this process a name for `ps` and `top`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, f"veldt-{name}".encode()[:15])


def die_with_parent(parent: int) -> None:
    """On Linux, asks the kernel to kill this process when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it could be asked
        os._exit(1)


def exit_reason(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit code {status}"
    name = signal.Signals(-status).name
    hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


if __name__ == "__main__":
    # The importable module, not this `__main__`, is the one whose flag the children read.
    plugins.attribute("veldt.platform.zygote:_serve")(
        socket.socket(fileno=int(sys.argv[1])), sys.argv[3:], int(sys.argv[2])
    )
