"""Messages between real ranks."""

import os
import subprocess
import sys

import pytest

from veldt.launch.mpi import command, environment
from veldt.platform.ranks import OneRank, join

RING = """
from veldt.platform.ranks import join
ranks = join()
if ranks.size > 1:
    if ranks.rank == 0:
        ranks.send(1, {"seen": [0], "long": "x" * 100_000})
    while (received := ranks.receive(5.0)) is None:
        pass
    source, message = received
    message["seen"].append(ranks.rank)
    if ranks.rank == 0:
        print(source, message["seen"], len(message["long"]))
    else:
        ranks.send((ranks.rank + 1) % ranks.size, message)
else:
    print(ranks.rank, ranks.receive(0.01))
ranks.close()
"""


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_message_goes_round(size, tmp_path):
    done = subprocess.run(
        [*command(size), sys.executable, "-c", RING],
        env=environment(str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    if size == 1:
        assert done.stdout == "0 None\n"
    else:
        assert done.stdout == f"{size - 1} {[*range(size), 0]} 100000\n"


def test_without_a_launcher_there_is_one_rank_and_no_mpi():
    code = (
        "import sys; from veldt.platform.ranks import join; ranks = join(); "
        "print(ranks.rank, ranks.size, 'mpi4py' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 1 False\n"
    assert isinstance(join(), OneRank)


def test_what_a_killed_job_left_does_not_stop_the_next(tmp_path):
    """Open MPI 5 does not start where a killed job had the number of its process."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "scratch").mkdir()
    code = (
        "import os, pathlib, sys, tempfile\n"
        "from veldt.launch import mpi\n"
        "number = os.getpid()\n"  # which is the one of `mpirun` then
        "left = pathlib.Path(tempfile.gettempdir(), f'ompi.{number}')\n"
        "left.mkdir()\n"
        "(left / f'pmix.vm.tool.{number}').write_text('left')\n"
        "line = [*mpi.command(1), 'true']\n"
        f"os.execve(line[0], line, mpi.environment({str(tmp_path / 'scratch')!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
