"""How fast lives are lived: many as one program, one at a time, and on several ranks.

    lives_steps_n     steps of all lives a second on n ranks, whole generations of a search
    efficiency_n      that over n times that on one rank, of the same round
    process_steps_n   of a process for each life, n at a time, from its start to its end
    process_ratio_n   lives_steps_n over that
    alone_steps_n     of processes that are there and live one life after another, n of them
    alone_ratio_n     lives_steps_n over that

In turns, ways on the same ranks and numbers of ranks one after the other, so that a noisy machine
is as noisy to all; medians of the rounds.

`python -m veldt.launch.lives_bench` is what each rank runs, and each process for a life.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rich.table

from veldt.launch import cookbook, rank_bench
from veldt.launch.console import Console
from veldt.launch.evolution_bench import endless, generation, team_of
from veldt.platform.errors import InputError
from veldt.platform.ranks import Ranks
from veldt.search.population.evolution import Evolution
from veldt.search.population.settings import PopulationSettings
from veldt.search.problems.lives import LivesSettings

ROUNDS = 3  # of all, one after the other
WAYS = ("process", "alone")


def lives(
    recipe: str, assignments: list[str], seconds: float, ranks: int, console: Console
) -> dict[str, Any]:
    """Measures on 1 and on `ranks` ranks.

    Args:
        recipe: Of a search for a loss.
        assignments: `--set`.
        seconds: For each of the parts.
        ranks: As many as there are cores to use.
        console: For words in between.

    Raises:
        InputError: if the recipe has no lives.
        RunFailed: if a rank came to grief.
    """
    settings = PopulationSettings.parse(cookbook.load(recipe, "search", assignments))
    if not isinstance(settings.problem, LivesSettings):
        raise InputError(f"{recipe}: only a problem of kind = 'lives' has lives.")
    job = {"recipe": recipe, "assignments": assignments, "seconds": seconds / ROUNDS}
    rounds: list[dict[str, float]] = []
    for number in range(1, ROUNDS + 1):
        found: dict[str, float] = {}
        for size in (1, ranks):
            console.say(f"round {number} of {ROUNDS}, {size} rank(s): lives together, and singly")
            figures = rank_bench.measured("veldt.launch.lives_bench", size, job)
            found |= {f"{name}_{size}": value for name, value in figures.items()}
        alone = found["lives_steps_1"]
        found[f"efficiency_{ranks}"] = found[f"lives_steps_{ranks}"] / (ranks * alone)
        rounds.append(found)
    medians = {name: float(np.median([each[name] for each in rounds])) for name in rounds[0]}
    return {"recipe": recipe} | medians


def show(result: dict[str, Any], console: Console) -> None:
    """The figures as a table."""
    table = rich.table.Table(title=f"lives: {result['recipe']}", title_justify="left")
    for name in ("", "lives together", "a process each", "ratio", "one at a time", "ratio"):
        table.add_column(name, justify="right")
    for name in result:
        if name.startswith("lives_steps_"):
            size = name.rpartition("_")[2]
            table.add_row(
                f"{size} rank(s)",
                f"{result[name]:,.0f} steps/s",
                *(
                    part
                    for way in WAYS
                    for part in (
                        f"{result[f'{way}_steps_{size}']:,.0f} steps/s",
                        f"{result[f'{way}_ratio_{size}']:.1f}",
                    )
                ),
            )
    console.say(table)
    for name, value in result.items():
        if name.startswith("efficiency"):
            console.say(f"efficiency on {name.rpartition('_')[2]} ranks: {value:.3f}")


def measure(job: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
    """This rank's part; the same figures on every rank."""
    seconds = job["seconds"] / (1 + len(WAYS))
    search, team = Evolution(endless(job["recipe"], job["assignments"])), team_of(ranks)
    generation(search, team)  # warm
    single = _singly(job)
    rates = {
        "lives": _together(ranks, seconds, lambda: generation(search, team)[0]),
        "process": _apart(ranks, seconds, lambda life: _process(job, life)),
        "alone": _apart(ranks, seconds, lambda life: _steps(single, life)),
    }
    for each in (search, single):
        each.close()
    found = {f"{name}_steps": rate for name, rate in rates.items()}
    return found | {f"{way}_ratio": rates["lives"] / rates[way] for way in WAYS}


def _singly(job: dict[str, Any]) -> Evolution:
    """The same search, each member of which lives one life, in a program of its own."""
    one = ["problem.tasks=1", "problem.block=1"]
    return Evolution(endless(job["recipe"], [*job["assignments"], *one]))


def _steps(search: Evolution, life: int) -> int:
    """Lives a life; the steps it took."""
    turn = search.turn()
    member = life % turn.size
    return sum(score.steps for score in turn.run(range(member, member + 1), lambda: None))


def _process(job: dict[str, Any], life: int) -> int:
    """The same in a process of its own, from its start to its end."""
    line = [sys.executable, "-P", "-m", "veldt.launch.lives_bench", json.dumps(job), str(life)]
    return int(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


def _together(ranks: Ranks, seconds: float, live: Callable[[], int]) -> float:
    """Steps a second of all ranks, which live the same generations."""
    ranks.gather(b"")
    begun, steps, wall = time.monotonic(), 0, 0.0
    # Rank 0's clock decides for all.
    while ranks.gather(bytes([wall < seconds]))[0] == b"\x01":
        steps += live()
        wall = time.monotonic() - begun
    return steps / wall


def _apart(ranks: Ranks, seconds: float, live: Callable[[int], int]) -> float:
    """Steps a second of all ranks, each of which lives one life after another."""
    ranks.gather(b"")
    begun, steps, wall, life = time.monotonic(), 0, 0.0, ranks.rank
    while wall < seconds:
        steps += live(life)
        wall, life = time.monotonic() - begun, life + ranks.size
    return float(ranks.total(np.array([steps / wall]))[0])


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(_steps(_singly(json.loads(sys.argv[1])), int(sys.argv[2])))
    else:
        rank_bench.take_part(measure)
