"""The command line; `veldt --help` lists its commands.

Exit codes: 0 done, 1 the run failed, 2 wrong input. What is heavy is imported by the
command that needs it, so that `veldt --help` answers at once.
"""

import errno
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from veldt.launch import cookbook
from veldt.launch.bench_command import BENCH, bench
from veldt.launch.cluster_commands import (
    ACTORS,
    LEARNER,
    actors,
    keys_app,
    learner,
    train_anywhere,
)
from veldt.launch.console import Console, set_up_warnings
from veldt.launch.kinds import Checked, Kind, listed
from veldt.launch.options import (
    Assignments,
    Dashboard,
    Folder,
    Json,
    Out,
    Recipe,
    Resume,
    Seed,
    folder_of,
)
from veldt.launch.pool_command import POOL
from veldt.launch.pool_command import pool as pool_command
from veldt.launch.study_commands import study_app
from veldt.platform.errors import InputError, VeldtError
from veldt.platform.ranks import launched_rank
from veldt.platform.settings import override

GRACE_S = 5.0

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="IMPALA agents that learn, and evolution that searches over them.",
)


@app.command(epilog="Example: veldt train cartpole --set optimizer.learning_rate=0.003 --seed 1")
def train(
    recipe: Recipe,
    assignments: Assignments = None,
    out: Out = None,
    seed: Seed = None,
    resume: Resume = False,
    dashboard: Dashboard = None,
    json: Json = False,
) -> None:
    """Train an agent: one learner, and actors joined to it by ZeroMQ.

    Under `mpirun` the first learner.count ranks learn, and the others share actors.count actors.
    """
    train_anywhere(
        recipe, assignments, folder_of(out, recipe, resume), seed, resume, dashboard, json
    )


app.add_typer(keys_app, name="keys", help="Keys for actors of other hosts.")
app.command("pool", epilog=POOL)(pool_command)
app.add_typer(study_app, name="study", help="Look at a search over settings, or go on with it.")
app.command(epilog=LEARNER)(learner)
app.command(epilog=ACTORS)(actors)


@app.command(epilog="Example: veldt evaluate runs/pong --episodes 200 --policy sample")
def evaluate(
    folder: Folder,
    episodes: Annotated[
        int | None,
        typer.Option(min=1, help="Whole episodes; default 100, on Atari as its protocol says."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="An agent's: sample, as in training (the default), or greedy."),
    ] = None,
    video: Annotated[Path | None, typer.Option(help="Film one more episode: a file.mp4.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Of several: which the film shows; default: the first.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the episodes.")] = 0,
    json: Json = False,
) -> None:
    """Play whole episodes with a trained agent or policy, on seeds that training never saw."""
    from veldt.launch import evaluations

    evaluations.evaluate(folder, episodes, policy, video, task, seed, Console(json))


@app.command(epilog="Example: veldt scores runs/pong-* runs/breakout-*")
def scores(
    folders: Annotated[list[Path], typer.Argument(help="Evaluated trainings on Atari games.")],
    json: Json = False,
) -> None:
    """Human-normalised scores of Atari runs: each game's, median, mean and IQM."""
    from veldt.launch import atari_scores

    console = Console(json)
    found = atari_scores.collect(folders)
    if json:
        console.summary(found, "scores")
    else:
        console.say(atari_scores.draw(found))


@app.command(epilog="Example: mpirun --oversubscribe --bind-to none -n 3 veldt search quickstart")
def search(
    recipe: Recipe,
    assignments: Assignments = None,
    out: Out = None,
    seed: Seed = None,
    resume: Resume = False,
    dashboard: Dashboard = None,
    json: Json = False,
    ranks: Annotated[
        int | None,
        typer.Option(min=1, help="Start under `mpirun` with so many ranks on this host."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Trials at a time in this process, without MPI; of a study."),
    ] = None,
    restarts: Annotated[
        int,
        typer.Option(min=0, help="If all of it dies, start it again with --resume, so often."),
    ] = 0,
    pool: Annotated[
        Path | None,
        typer.Option(help="Put it into this pool's queue instead: see `veldt pool`."),
    ] = None,
    priority: Annotated[
        int, typer.Option(help="In the pool; a higher one gets workers first.")
    ] = 0,
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A study's log: postgresql://USER@HOST/DATABASE."),
    ] = None,
) -> None:
    """Search over an agent's settings or a policy's parameters; `mpirun` spreads it over ranks."""
    from veldt.launch import mpi
    from veldt.platform.ranks import launched_by_mpi

    data = cookbook.load(recipe, "search", assignments or (), seed)
    population = "strategy" in data
    if population:
        # A rank is one core. What reads this is loaded below.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    settings = _search_settings(data)
    # Every rank has to name the same folder, so the default one is not named by the clock.
    folder = out or Path("runs") / Path(recipe).stem
    if workers is not None and (population or ranks is not None or launched_by_mpi()):
        raise InputError("--workers is for a study in one process; ranks have one worker each.")
    if store is not None:
        if population:
            raise InputError("--store is for a study; a population search has no log.")
        from veldt.search.study_log import hide_password

        store = hide_password(store)
    if pool is not None:
        if population or workers or ranks or restarts or launched_by_mpi():
            raise InputError(
                "--pool puts a search over settings into a queue; `veldt pool` has the options "
                "for how it is worked at."
            )
        from veldt.search.pool import submit

        submit(pool, settings, folder, priority, store)
        Console(json).summary(
            {"pool": str(pool), "folder": str(folder), "priority": priority},
            f"in the queue; `veldt pool {pool}` works at it",
        )
        return
    if launched_by_mpi():
        if restarts:
            raise InputError("--restarts starts `mpirun` itself: use it with --ranks.")
    elif ranks is not None or restarts:
        launcher = [] if ranks is None else mpi.command(ranks, survive=True)
        arguments = mpi.without(sys.argv[1:], "--ranks", "--restarts")
        line = [*launcher, *mpi.itself(arguments)]
        raise typer.Exit(mpi.supervise(line, restarts, (folder / "summary.json").exists))
    console = Console(json)
    from veldt.launch.dashboard import beside

    with beside(folder, dashboard if launched_rank() == 0 else None) as page:
        if page:
            console.say(f"dashboard: {page}")
        if population:
            from veldt.launch import populations

            populations.run(settings, folder, resume=resume, console=console, title=recipe)
        else:
            from veldt.launch import studies

            studies.run(
                settings,
                folder,
                resume=resume,
                console=console,
                title=recipe,
                workers=workers or 1,
                store=store,
            )


def _search_settings(data: dict[str, Any]) -> Any:
    """Of a population search or of a study, whose settings bring torch with them."""
    if "strategy" in data:
        from veldt.search.population.settings import PopulationSettings

        return PopulationSettings.parse(data)
    from veldt.search.settings import SearchSettings

    return SearchSettings.parse(data)


@app.command(epilog="Example: veldt report runs/quickstart")
def report(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="The file; default: DIR/report.html.")] = None,
    json: Json = False,
) -> None:
    """Write one HTML file with the curves and tables of a training or a search."""
    from veldt.launch.report import write

    path = write(folder, out or folder / "report.html")
    console = Console(json)
    if json:
        console.summary({"report": str(path)}, "report")
    else:
        console.say(f"report: {path}")


@app.command("dashboard", epilog="Example: veldt dashboard runs/quickstart --port 8000")
def dashboard_(
    folder: Folder,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Of 127.0.0.1.")] = 8000,
) -> None:
    """Show a run, under way or over, in a browser: its report, kept up to date, and /metrics."""
    from veldt.launch.dashboard import serve

    Console().say(f"dashboard: http://127.0.0.1:{port}; Ctrl-C ends it")
    serve(folder, port)


@app.command(epilog="Example: veldt export runs/evolved cartpole --out runs/agent")
def export(
    folder: Annotated[Path, typer.Argument(help="The folder of a population search.")],
    recipe: Annotated[str, typer.Argument(help="A training's recipe, for the agent.")],
    out: Annotated[Path, typer.Option("--out", help="The training's folder to be made.")],
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Make an evolved network an agent's, to be evaluated, or trained on with --resume."""
    from veldt.agents.flat_network import export as write_agent
    from veldt.agents.settings import TrainSettings
    from veldt.search.population.evaluate import Best

    settings = TrainSettings.parse(cookbook.load(recipe, "train", assignments or ()))
    best = Best(folder)
    try:
        write_agent(best.problem.policy(best.candidate), settings, out)
    finally:
        best.close()
    console = Console(json)
    if json:
        console.summary({"training": str(out)}, "export")
    else:
        console.say(
            f"exported: veldt evaluate {out}, or veldt train {recipe} --out {out} --resume"
        )


app.command(epilog=BENCH)(bench)


@app.command("list", epilog="Example: veldt list recipes")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    json: Json = False,
) -> None:
    """List what can be named in a recipe, ours and that of installed plug-ins."""
    found = listed(kind)
    console = Console(json)
    if json:
        console.summary(found, kind)
        return
    width = max(map(len, found), default=0)
    for name, meaning in found.items():
        console.say(f"{name:<{width}}  {meaning}")


@app.command(epilog="Example: veldt check agent impala --set network.core=lstm")
def check(
    kind: Annotated[Checked, typer.Argument(help="What it is.")],
    name: Annotated[
        str, typer.Argument(help="Ours, or an installed plug-in's; of a command: the recipe.")
    ],
    assignments: Assignments = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Of an environment, in each run: 200; of a command: a tenth of a trial."
        ),
    ] = None,
) -> None:
    """Run the conformance suite on an agent, an environment or a search's own command, and say
    what fails and why."""
    from veldt.launch import checks

    console = Console()
    match kind:
        case Checked.agent:
            kept = checks.check_agent(name, override({}, assignments or ()), console)
        case Checked.environment:
            options = override({}, assignments or ())
            kept = checks.check_environment(name, options, steps or 200, console)
        case Checked.command:
            data = cookbook.load(name, "search", assignments or ())
            kept = checks.check_command(data, steps, console)
    if not kept:
        raise typer.Exit(1)


@app.command(epilog="Example: veldt doctor")
def doctor(json: Json = False) -> None:
    """Say whether this machine is fit, and what to do where it is not."""
    from veldt.launch.doctor import examine, show

    checks = examine()
    console = Console(json)
    show(checks, console) if not json else console.summary(
        {check.name: vars(check) for check in checks}, "doctor"
    )
    if any(check.needed and not check.fit for check in checks):
        raise typer.Exit(1)


class _Stopped(BaseException):
    """Ctrl-C. No Exception: nobody's `except Exception` may take it for a fault of his own."""


def main(arguments: list[str] | None = None) -> Any:
    """The entry point; exits with 0, 1 or 2."""
    set_up_warnings()
    # NumPy's would start threads as it is imported, and a process that has some cannot be forked.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGINT, _stop)
    try:
        app(arguments)
    except VeldtError as error:
        if launched_rank() == 0:
            print(f"veldt: {error}", file=sys.stderr, flush=True)
        else:
            # The launcher ends all ranks when the first one has ended: rank 0 speaks first.
            time.sleep(GRACE_S)
        sys.exit(error.exit_code)
    except _Stopped:
        print("veldt: stopped at once; what was not yet saved is lost.", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # a folder that may not be written to, a disk that is full
        full = error.errno == errno.ENOSPC
        hint = "; make room, and give the same command with --resume." if full else ""
        print(f"veldt: {error}{hint}", file=sys.stderr)
        sys.exit(1)


def _stop(number: int, frame: FrameType | None) -> None:
    # Where nothing asks whether to stop, and for the impatient's second Ctrl-C.
    raise _Stopped


if __name__ == "__main__":
    main()
