"""How fast lives are lived: many as one program, one at a time, and on several ranks.

    lives_steps_n    steps of all lives a second on n ranks, whole generations of a search
    efficiency_n     that over n times that on one rank
    alone_steps_n    of processes that live one life at a time, one on each of n ranks
    ratio_n          lives_steps_n over alone_steps_n

In turns on the same ranks, so that a noisy machine is as noisy to both. A process for each life
would also have to start; that is not counted.

`python -m veldt.launch.lives_bench` is what each rank runs.
"""

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
from veldt.search.population.evolution import Evolution, Turn
from veldt.search.population.settings import PopulationSettings
from veldt.search.problems.lives import LivesSettings

ROUNDS = 3  # of both, one after the other


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
    result: dict[str, Any] = {"recipe": recipe}
    for size in (1, ranks):
        console.say(f"{size} rank(s): generations of lives, and one life at a time, in turns ...")
        job = {"recipe": recipe, "assignments": assignments, "seconds": seconds}
        found = rank_bench.measured("veldt.launch.lives_bench", size, job)
        result |= {f"{name}_{size}": value for name, value in found.items()}
    whole = result[f"lives_steps_{ranks}"]
    result[f"efficiency_{ranks}"] = whole / (ranks * result["lives_steps_1"])
    return result


def show(result: dict[str, Any], console: Console) -> None:
    """The figures as a table."""
    table = rich.table.Table(title=f"lives: {result['recipe']}", title_justify="left")
    for name in ("", "lives together", "one at a time", "ratio"):
        table.add_column(name, justify="right")
    for name in result:
        if name.startswith("lives_steps_"):
            size = name.rpartition("_")[2]
            table.add_row(
                f"{size} rank(s)",
                f"{result[name]:,.0f} steps/s",
                f"{result[f'alone_steps_{size}']:,.0f} steps/s",
                f"{result[f'ratio_{size}']:.1f}",
            )
    console.say(table)
    for name, value in result.items():
        if name.startswith("efficiency"):
            console.say(f"efficiency on {name.rpartition('_')[2]} ranks: {value:.3f}")


def measure(job: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
    """This rank's part; the same figures on every rank."""
    recipe, seconds = job["recipe"], job["seconds"] / ROUNDS
    search, team = Evolution(endless(recipe, job["assignments"])), team_of(ranks)
    single = Evolution(
        endless(recipe, [*job["assignments"], "problem.tasks=1", "problem.block=1"])
    )
    generation(search, team)  # warm
    turn = single.turn()
    pairs = []
    for _ in range(ROUNDS):
        together = _rate(ranks, seconds, lambda: generation(search, team)[0])
        mine = _alone(turn, ranks, seconds)
        pairs.append((together, float(ranks.total(np.array([mine]))[0])))
    for each in (search, single):
        each.close()
    return {
        "lives_steps": float(np.median([together for together, _ in pairs])),
        "alone_steps": float(np.median([alone for _, alone in pairs])),
        "ratio": float(np.median([together / alone for together, alone in pairs])),
    }


def _rate(ranks: Ranks, seconds: float, generation: Callable[[], int]) -> float:
    """Steps a second of all ranks together, which live the same generations."""
    ranks.gather(b"")
    begun, steps, wall = time.monotonic(), 0, 0.0
    # Rank 0's clock decides for all.
    while ranks.gather(bytes([wall < seconds]))[0] == b"\x01":
        steps += generation()
        wall = time.monotonic() - begun
    return steps / wall


def _alone(turn: Turn, ranks: Ranks, seconds: float) -> float:
    """Steps a second of this rank, living one life after another."""
    ranks.gather(b"")
    begun, steps, wall, member = time.monotonic(), 0, 0.0, ranks.rank % turn.size
    while wall < seconds:
        steps += sum(score.steps for score in turn.run(range(member, member + 1), lambda: None))
        wall, member = time.monotonic() - begun, (member + ranks.size) % turn.size
    return steps / wall


if __name__ == "__main__":
    rank_bench.take_part(measure)
