"""A measurement that ranks take together: the same program on one rank and on several."""

import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any

from veldt.launch import mpi
from veldt.platform.errors import RunFailed
from veldt.platform.ranks import Ranks, join


def measured(module: str, ranks: int, job: dict[str, Any]) -> dict[str, Any]:
    """What rank 0 of `ranks` prints.

    Args:
        module: Run on every rank; it calls `take_part`.
        ranks: As many as there are cores to use.
        job: Plain JSON, for every rank.

    Raises:
        RunFailed: if a rank came to grief.
    """
    line = [sys.executable, "-P", "-m", module, json.dumps(job)]
    with mpi.scratch_folder() as scratch:
        done = subprocess.run(
            [*mpi.command(ranks), *line],
            env=mpi.environment(scratch) | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RunFailed(f"the benchmark on {ranks} rank(s) ended with {done.returncode}.")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def take_part(measure: Callable[[dict[str, Any], Ranks], dict[str, Any]]) -> None:
    """A rank of the benchmark: the job's figures, printed by rank 0."""
    job = json.loads(sys.argv[1])
    ranks = join()
    try:
        found = measure(job, ranks)
    except BaseException:
        traceback.print_exc()
        ranks.abort()
        raise
    if ranks.rank == 0:
        print(json.dumps(found), flush=True)
    ranks.leave()
