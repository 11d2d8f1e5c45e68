"""Command lines from a process that has imported everything, forked for each of them.

Most of a short command's time is the import of torch. What is forked is a process like any
other: arguments, folder, environment, output and signals are its own.
"""

import array
import contextlib
import gc
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PRELOAD = (
    *("veldt.launch.cli", "veldt.agents.train", "veldt.agents.impala", "veldt.search.study"),
    *("scipy.stats", "optuna", "plotly.graph_objects", "tensorboardX"),  # what those import late
)
UNSEEN = ("PYTEST_CURRENT_TEST", "PYTHONPATH", "PGPASSWORD", "SLEEP")  # by what is imported
REQUEST_BYTES = 1 << 20
MOST_FILES = 1024


class WarmCommand:
    """A running command, with what tests use of `subprocess.Popen`."""

    def __init__(self, args, out, err, ending):
        self.args = args
        self.stdout, self.stderr = (os.fdopen(end, errors="strict") for end in (out, err))
        self._ending = ending
        self._lock = threading.Lock()
        self.pid = int.from_bytes(os.read(ending, 8), "little", signed=True)
        self.returncode = None

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)

    def wait(self, timeout=None):
        with self._lock:
            if self.returncode is None:
                readable, _, _ = select.select([self._ending], [], [], timeout)
                if not readable:
                    raise subprocess.TimeoutExpired(self.args, timeout)
                self.returncode = int.from_bytes(os.read(self._ending, 8), "little", signed=True)
                os.close(self._ending)
        return self.returncode

    def communicate(self, timeout=None):
        deadline = None if timeout is None else time.monotonic() + timeout
        texts = {}

        def read(stream):
            texts[stream] = stream.read()

        streams = [stream for stream in (self.stdout, self.stderr) if not stream.closed]
        readers = [threading.Thread(target=read, args=[s], daemon=True) for s in streams]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        for stream in streams:
            stream.close()
        return texts.get(self.stdout), texts.get(self.stderr)

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class WarmCommands:
    """The process that forks; `environment` is the one its imports see."""

    def __init__(self, environment):
        self._environment = environment
        self._folder = tempfile.TemporaryDirectory(prefix="veldt-warm-")
        self._door = f"{self._folder.name}/door"
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno()), self._door],
            env=environment,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def rank(self, arguments):
        """The command line with which `mpirun` starts `veldt ARGUMENTS` as a rank."""
        while not os.path.exists(self._door):
            assert self._process.poll() is None, "the process that forks ended"
            time.sleep(0.02)
        return [
            sys.executable,
            "-S",
            str(pathlib.Path(__file__).with_name("warm_rank.py")),
            self._door,
            *arguments,
        ]

    def suits(self, environment):
        """Whether imports would have seen the same in this environment, but for folders that
        were added to the end of Python's path."""
        paths = (environment.get("PYTHONPATH", ""), self._environment.get("PYTHONPATH", ""))
        return paths[0].startswith(paths[1]) and (
            _settled(environment) == _settled(self._environment)
        )

    def start(self, args, arguments, folder, environment):
        """Starts `veldt ARGUMENTS`; `args` is what the process object says of itself."""
        pipes = [os.pipe() for _ in range(3)]
        request = {"arguments": arguments, "folder": str(folder), "environment": environment}
        theirs = array.array("i", [write for _, write in pipes])
        self._ours.sendmsg(
            [json.dumps(request).encode()],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, theirs)],
        )
        for _, write in pipes:
            os.close(write)
        return WarmCommand(args, *(read for read, _ in pipes))

    def close(self):
        self._ours.close()
        self._process.wait(30)
        self._folder.cleanup()


def _settled(environment):
    return {name: said for name, said in environment.items() if name not in UNSEEN}


def _serve(number, door):
    """Forks; returns in the children only, with what each is to run."""
    for module in PRELOAD:
        __import__(module)
    gc.freeze()  # an end is quick then
    requests = socket.socket(fileno=number)
    ranks = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ranks.bind(door)
    ranks.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        readable, _, _ = select.select([requests, ranks], [], [])
        if readable[0] is ranks:
            link, _ = ranks.accept()
            text, ends, _, _ = socket.recv_fds(link, REQUEST_BYTES, 3)
            ending, streams = link.detach(), ends
        else:
            text, ends, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 3)
            if not text:
                os._exit(0)
            ending, streams = ends.pop(), [0, *ends]
        if os.fork() == 0:
            requests.close()
            ranks.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _watch(ending)
            for standard, end in enumerate(streams):
                os.dup2(end, standard)
            for end in {ending, *streams} - {0, 1, 2}:
                os.close(end)
            return json.loads(text)
        for end in {ending, *streams} - {0}:
            os.close(end)


def _watch(ending):
    """Stays behind as the command's parent and says how it ended; returns in the command, which
    is killed when nobody listens any more."""
    pid = os.fork()
    if pid == 0:
        return
    os.write(ending, pid.to_bytes(8, "little", signed=True))
    os.closerange(0, ending)
    os.closerange(ending + 1, MOST_FILES)
    command = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(command, select.POLLIN)
    poller.register(ending, 0)  # that its other end closed
    if command not in dict(poller.poll()):
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(ending, os.waitstatus_to_exitcode(status).to_bytes(8, "little", signed=True))
    os._exit(0)


if __name__ == "__main__":
    given = _serve(int(sys.argv[1]), sys.argv[2])
    os.chdir(given["folder"])
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(given["environment"])
    from veldt.launch.cli import main

    added = os.environ.get("PYTHONPATH", "").split(os.pathsep)[len(known) :]
    sys.path[: len(known) + 1] = [given["folder"], *known, *added]
    sys.argv = [main.__code__.co_filename, *given["arguments"]]
    main()
