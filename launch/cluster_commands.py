"""The commands of a training whose actors are elsewhere, and what `veldt train` has in common
with them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veldt.launch import cookbook
from veldt.launch.console import Console
from veldt.launch.options import Assignments, Dashboard, Json, Out, Recipe, Resume, Seed, folder_of
from veldt.platform.interrupts import Interrupts
from veldt.platform.runs import read_settings

if TYPE_CHECKING:
    from veldt.agents.followers import Team
    from veldt.platform.channels.door import Door

LEARNER = "Example: veldt learner atari/pong --listen tcp://0.0.0.0:5555 --keys cluster"
ACTORS = "Example: veldt actors --connect tcp://learner:5555 --key lab2.key --count 16"

keys_app = typer.Typer(no_args_is_help=True)


def learner(
    recipe: Recipe,
    listen: Annotated[str, typer.Option(help="Where actors come in: tcp://INTERFACE:PORT.")],
    keys: Annotated[
        Path | None, typer.Option(help="The folder that `veldt keys new` made; encrypts.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="In clear, and let anybody in who can reach it.")
    ] = False,
    actors: Annotated[
        int, typer.Option(min=0, help="Actors to start here, beside those of other hosts.")
    ] = 0,
    assignments: Assignments = None,
    out: Out = None,
    seed: Seed = None,
    resume: Resume = False,
    dashboard: Dashboard = None,
    json: Json = False,
) -> None:
    """Train with the actors of other hosts: `veldt actors` there. They may come and go.

    actors.count of the recipe is how many are expected in all: more than those wait.
    """
    from veldt.launch.cluster import door

    folder = folder_of(out, recipe, resume)
    data = load(recipe, assignments, seed, folder, resume)
    opening = door(listen, keys, insecure, actors)
    with Interrupts() as stop:
        train_in(data, recipe, folder, resume, json, dashboard, opening, stop)


def actors(
    connect: Annotated[str, typer.Option(help="The learner: tcp://HOST:PORT.")],
    key: Annotated[
        Path | None, typer.Option(help="This host's NAME.key, from `veldt keys new`.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="In clear, as the learner's --insecure.")
    ] = False,
    count: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Actors; default: one for each core.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=1.0, help="Seconds to wait for a learner that does not answer.")
    ] = 600.0,
    log: Annotated[
        Path | None, typer.Option(help="A file for all that the actors say on standard error.")
    ] = None,
) -> None:
    """Run actors for a `veldt learner` elsewhere, until its run is over."""
    from veldt.launch import cluster

    cluster.serve(connect, key, insecure, count, patience, log)


@keys_app.command("new", epilog="Example: veldt keys new cluster --name lab2")
def keys_new(
    folder: Annotated[Path, typer.Argument(help="Of the keys; stays with the learner.")],
    name: Annotated[str, typer.Option(help="Of the host or user they are for.")] = "actors",
) -> None:
    """Make keys with which actors of another host may join a learner."""
    from veldt.platform.channels import certificates

    file = certificates.create(folder, name)
    Console().say(
        f"{file}: copy it to the other host, for `veldt actors --key`; "
        f"to lock it out, remove {folder / 'allowed' / name}."
    )


def load(
    recipe: str, assignments: list[str] | None, seed: int | None, folder: Path, resume: bool
) -> dict[str, Any]:
    """The settings of a training that is to be in `folder`."""
    from veldt.agents.settings import chosen_before

    data = cookbook.load(recipe, "train", assignments or (), seed)
    if resume and (folder / "settings.json").exists():
        return chosen_before(data, read_settings(folder))
    return data


def train_anywhere(
    recipe: str,
    assignments: list[str] | None,
    folder: Path,
    seed: int | None,
    resume: bool,
    dashboard: int | None,
    json: bool,
) -> None:
    """`veldt train`: in this process, or on all ranks of this job."""
    from veldt.platform.ranks import launched_by_mpi

    data = load(recipe, assignments, seed, folder, resume)
    if launched_by_mpi():
        from veldt.launch import training_ranks

        training_ranks.train_on_ranks(
            data,
            lambda door, team, stop: train_in(
                data, recipe, folder, resume, json, dashboard, door, stop, team
            ),
        )
    else:
        with Interrupts() as stop:
            train_in(data, recipe, folder, resume, json, dashboard, None, stop)


def train_in(
    data: dict[str, Any],
    recipe: str,
    folder: Path,
    resume: bool,
    json: bool,
    dashboard: int | None,
    door: "Door | None",
    stop: Callable[[], bool],
    team: "Team | None" = None,
) -> None:
    """Trains in `folder`, and says how it goes."""
    from veldt.agents import settings as agents
    from veldt.agents import train as training
    from veldt.launch.dashboard import beside

    console = Console(json)
    settings = agents.TrainSettings.parse(data)
    with beside(folder, dashboard) as page:
        if page:
            console.say(f"dashboard: {page}")
        summary = training.train(
            settings,
            folder,
            resume=resume,
            report=console.training,
            stop=stop,
            announce=console.say,
            door=door,
            team=team,
        )
    console.summary(summary, f"{recipe}: {folder}")
