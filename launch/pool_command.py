"""`veldt pool`: workers that several studies share."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from veldt.launch.console import Console
from veldt.launch.options import Json
from veldt.platform.errors import InputError

POOL = "Example: veldt search quickstart --pool runs/pool --out runs/q; veldt pool runs/pool"


def pool(
    folder: Annotated[Path, typer.Argument(help="The pool's folder.")],
    ranks: Annotated[
        int | None,
        typer.Option(min=1, help="Start under `mpirun` with so many ranks on this host."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time in this process, without MPI.")
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Wait for more when all is done.")] = False,
    restarts: Annotated[
        int, typer.Option(min=0, help="If all of it dies, start it again, so often.")
    ] = 0,
    json: Json = False,
) -> None:
    """Do the searches that `veldt search RECIPE --pool` put into a queue, the most urgent first.

    A search with a higher --priority gets the next free worker, and where there is none a less
    urgent trial ends with a checkpoint, to go on later. More may be put in at any time. Stopped
    or killed, the same command goes on.
    """
    from veldt.launch import mpi
    from veldt.platform.ranks import launched_by_mpi
    from veldt.search.pool import waiting

    if workers is not None and (ranks is not None or launched_by_mpi()):
        raise InputError("--workers is for a pool in one process; ranks have one worker each.")
    if not launched_by_mpi() and (ranks is not None or restarts):
        launcher = [] if ranks is None else mpi.command(ranks, survive=True)
        arguments = mpi.without(sys.argv[1:], "--ranks", "--restarts")
        line = [*launcher, *mpi.itself(arguments)]
        raise typer.Exit(mpi.supervise(line, restarts, lambda: not waiting(folder), again=()))
    _serve(folder, Console(json), workers or 1, stay)


def _serve(folder: Path, console: Console, workers: int, stay: bool) -> None:
    from veldt.launch.ranks import on_ranks
    from veldt.launch.report import write
    from veldt.launch.studies import Progress
    from veldt.platform.ranks import Ranks
    from veldt.search.pool import serve
    from veldt.search.supervisor import Supervisor

    supervisors = [Supervisor() for _ in range(workers)]
    over: list[dict[str, Any]] = []

    def told(study: Path, summary: dict[str, Any] | None, why: str) -> None:
        if summary is None:
            console.say(f"{study.name}: failed: {why}")
        else:
            page = write(study, study / "report.html")
            best = summary["heldout_mean_return"]
            console.say(f"{study.name}: done, held-out mean return {best:.6g}; {page}")
        over.append({"folder": str(study), "failed": why or None} | (summary or {}))

    def work(ranks: Ranks, stop: Callable[[], bool]) -> None:
        serve(
            folder,
            ranks,
            supervisors,
            stay=stay,
            report=lambda study: Progress(console, f"{study.name}: "),
            told=told,
            stop=stop,
        )
        if ranks.rank == 0:
            console.summary({"searches": over}, f"pool: {folder}")

    on_ranks(work)
