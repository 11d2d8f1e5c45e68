"""`veldt bench`: what can be measured, and of which recipe."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from veldt.launch import cookbook
from veldt.launch.console import Console
from veldt.launch.options import Assignments, Json
from veldt.platform.errors import InputError

BENCH = "Example: veldt bench throughput --set env=atari/pong --set network=nature"
SHORT = {"env": "environment.id", "network": "agent.network.torso"}


class Benchmark(enum.StrEnum):
    """What can be measured."""

    throughput = "throughput"
    transport = "transport"
    evolution = "evolution"
    faults = "faults"
    learner = "learner"
    epg = "epg"
    lives = "lives"
    search = "search"


def bench(
    what: Annotated[Benchmark, typer.Argument(help="What to measure.")],
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="Default: atari/paper, ars/halfcheetah, epg/direction; epg: a folder."
        ),
    ] = None,
    assignments: Assignments = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="For each of the parts.")] = 10.0,
    ranks: Annotated[
        int, typer.Option(min=2, help="Of evolution and lives, beside one; as many as cores.")
    ] = 2,
    every: Annotated[
        float, typer.Option(min=0.1, help="Of faults: seconds from one kill to the next.")
    ] = 3.0,
    lives: Annotated[int, typer.Option(min=2, help="Of epg, by each loss.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of epg's lives.")] = 0,
    rivals: Annotated[
        bool, typer.Option(help="Of epg: losses written by hand beside it, which take longest.")
    ] = True,
    json: Json = False,
) -> None:
    """Measure speed: the parts alone and the whole, in one run; or what a learned loss is worth.

    In --set, env=ID is short for environment.id, and network=NAME for agent.network.torso.
    """
    console = Console(json)
    if what == Benchmark.transport:
        from veldt.launch import transport_bench

        if recipe is not None or assignments:
            raise InputError("bench transport takes no recipe: it sends unrolls of one size.")
        measured = transport_bench.transport(seconds, console)
        if json:
            console.summary(measured, "transport")
        else:
            transport_bench.show(measured, console)
        return
    if what == Benchmark.search:
        from veldt.launch import search_bench

        if recipe is not None or assignments:
            raise InputError("bench search takes no recipe: its trials are simulated.")
        measured = search_bench.overhead(seconds, console)
        console.summary(measured, "search") if json else search_bench.show(measured, console)
        return
    if what == Benchmark.epg:
        from veldt.launch import epg_bench

        if recipe is None:
            raise InputError("bench epg takes the folder of a search.")
        result = epg_bench.epg(Path(recipe), assignments or [], lives, seed, rivals, console)
        show = epg_bench.show
    elif what == Benchmark.evolution:
        from veldt.launch import evolution_bench

        recipe = recipe or "ars/halfcheetah"
        result = evolution_bench.evolution(recipe, assignments or [], seconds, ranks, console)
        show = evolution_bench.show
    elif what == Benchmark.lives:
        from veldt.launch import lives_bench

        recipe = recipe or "epg/direction"
        result = lives_bench.lives(recipe, assignments or [], seconds, ranks, console)
        show = lives_bench.show
    else:
        from veldt.agents.settings import TrainSettings
        from veldt.launch import bench as throughput_bench
        from veldt.launch import faults_bench, learner_bench

        recipe = recipe or "atari/paper"
        long = [
            f"{SHORT.get(name, name)}{equals}{value}"
            for name, equals, value in (item.partition("=") for item in assignments or ())
        ]
        settings = TrainSettings.parse(cookbook.load(recipe, "train", long))
        if what == Benchmark.faults:
            result = faults_bench.faults(settings, seconds, every, console)
            show = faults_bench.show
        elif what == Benchmark.learner:
            result = learner_bench.learner(settings, seconds, console)
            show = learner_bench.show
        else:
            result = throughput_bench.throughput(settings, seconds, console)
            show = throughput_bench.show
    console.summary(result, f"{what}: {recipe}") if json else show(result, console)
