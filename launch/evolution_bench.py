"""How fast a population search runs, and how fast it could: the bare environment, then both.

Every rank takes turns: the environment alone, its `step` called with the actions that members
of this very search take, on the object that Gymnasium makes, without wrappers; then whole
generations of the search. Both in one run, so that a noisy machine is as noisy to both.

    ratio_n        the search's steps/s on n ranks over the bare environment's on n ranks
    efficiency_n   the search's steps/s on n ranks over n times that on one
    outside_env_share   of the search's wall time on one rank, what is not spent in `step`
    bytes_per_pair      that the rank which receives most receives, the statistics apart

`python -m veldt.launch.evolution_bench` is what each rank runs.
"""

import time
from typing import Any

import numpy as np
import rich.table
from numpy.typing import NDArray

from veldt.launch import cookbook, rank_bench
from veldt.launch.console import Console
from veldt.platform.envs.gymnasium_vector import make_gymnasium
from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.platform.ranks import Ranks
from veldt.search.population.evolution import Evolution
from veldt.search.population.rank_team import RankTeam
from veldt.search.population.settings import PopulationSettings
from veldt.search.population.team import Alone, Team
from veldt.search.problems.episodes import Episodes, EpisodesSettings

ROUNDS = 4  # of both, one after the other
RECORDED = 3  # members whose actions are played again


def evolution(
    recipe: str, assignments: list[str], seconds: float, ranks: int, console: Console
) -> dict[str, Any]:
    """Measures on 1 and on `ranks` ranks.

    Args:
        recipe: Of a population search whose problem plays episodes.
        assignments: `--set`.
        seconds: For each of the parts.
        ranks: As many as there are cores to use.
        console: For words in between.

    Raises:
        InputError: if the recipe's problem has no environment.
        RunFailed: if a rank came to grief.
    """
    settings = PopulationSettings.parse(cookbook.load(recipe, "search", assignments))
    if not isinstance(settings.problem, EpisodesSettings):
        raise InputError(f"{recipe}: only a problem of kind = 'episodes' has an environment.")
    result: dict[str, Any] = {"recipe": recipe}
    received = {}
    for size in (1, ranks):
        console.say(f"{size} rank(s): the environment alone and the search, in turns ...")
        job = {"recipe": recipe, "assignments": assignments, "seconds": seconds}
        received[size] = rank_bench.measured("veldt.launch.evolution_bench", size, job)
    for size, measured in received.items():
        result[f"env_only_{size}"] = measured["environment"]
        result[f"ars_{size}"] = measured["search"]
        result[f"ratio_{size}"] = measured["ratio"]
    result[f"efficiency_{ranks}"] = received[ranks]["search"] / (ranks * received[1]["search"])
    result["outside_env_share"] = received[1]["outside_share"]
    result["bytes_per_pair"] = received[ranks]["bytes_per_pair"]
    result["statistics_bytes_per_pair"] = received[ranks]["statistics_bytes_per_pair"]
    return result


def show(result: dict[str, Any], console: Console) -> None:
    """The figures as a table."""
    table = rich.table.Table(title=f"evolution: {result['recipe']}", title_justify="left")
    for name in ("", "environment alone", "search", "ratio"):
        table.add_column(name, justify="right")
    for name in result:
        if name.startswith("env_only_"):
            size = name.rpartition("_")[2]
            table.add_row(
                f"{size} rank(s)",
                f"{result[name]:,.0f} steps/s",
                f"{result[f'ars_{size}']:,.0f} steps/s",
                f"{result[f'ratio_{size}']:.3f}",
            )
    console.say(table)
    for name, value in result.items():
        if name.startswith("efficiency"):
            console.say(f"efficiency on {name.rpartition('_')[2]} ranks: {value:.3f}")
    console.say(f"outside the environment: {result['outside_env_share']:.1%}")
    console.say(
        f"received for a pair: {result['bytes_per_pair']:.1f} bytes, and "
        f"{result['statistics_bytes_per_pair']:.0f} of statistics"
    )


def measure(job: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
    """This rank's part; the same figures on every rank."""
    settings, seconds = endless(job["recipe"], job["assignments"]), job["seconds"]
    search, team = Evolution(settings), team_of(ranks)
    generation(search, team)  # warm
    rates, shares, pairs = [], [], 0
    received = _received(team)
    for _ in range(ROUNDS):
        bare = Bare(search, settings)
        ranks.gather(b"")
        alone = float(ranks.total(np.array([bare.rate(seconds / ROUNDS)]))[0])
        bare.close()
        ranks.gather(b"")
        begun, inside, steps, wall = time.monotonic(), search.problem.environment_seconds, 0, 0.0
        # Rank 0's clock decides for all.
        while ranks.gather(bytes([wall < seconds / ROUNDS]))[0] == b"\x01":
            scored, size = generation(search, team)
            steps, pairs = steps + scored, pairs + size // 2
            wall = time.monotonic() - begun
        rates.append((alone, steps / wall))
        shares.append(1 - (search.problem.environment_seconds - inside) / wall)
    mine = (_received(team) - received) / pairs
    most = np.max([np.frombuffer(data) for data in ranks.gather(mine.tobytes())], axis=0)
    search.close()
    return {
        "environment": float(np.median([alone for alone, _ in rates])),
        "search": float(np.median([rate for _, rate in rates])),
        "ratio": float(np.median([rate / alone for alone, rate in rates])),
        "outside_share": float(np.median(shares)),
        "bytes_per_pair": float(most[0]),
        "statistics_bytes_per_pair": float(most[1]),
    }


class Bare:
    """The environment as Gymnasium makes it, unwrapped, playing members' actions again."""

    def __init__(self, search: Evolution, settings: PopulationSettings) -> None:
        assert isinstance(search.problem, Episodes) and isinstance(
            settings.problem, EpisodesSettings
        )
        environment = settings.problem.environment
        self._environment = make_gymnasium(environment.id, environment.options).unwrapped
        population = search.strategy.ask()
        self._episodes = [
            search.problem.recorded(population.candidate(member), Key(member).child("bench"))
            for member in range(min(RECORDED, population.size))
        ]

    def rate(self, seconds: float) -> float:
        """Its steps a second, resets included."""
        steps, begun, wall = 0, time.monotonic(), 0.0
        step = self._environment.step
        while wall < seconds:
            for seed, actions in self._episodes:
                self._environment.reset(seed=seed)
                for action in actions:
                    step(action)
                steps += len(actions)
            wall = time.monotonic() - begun
        return steps / wall

    def close(self) -> None:
        self._environment.close()


def _received(team: Team) -> NDArray[np.float64]:
    """Bytes so far, and bytes of statistics."""
    if isinstance(team, RankTeam):
        return np.array([team.received, team.received_statistics], np.float64)
    return np.zeros(2)


def endless(recipe: str, assignments: list[str]) -> PopulationSettings:
    """A search as it is, but of nothing but generations: no evaluations, no end."""
    data = cookbook.load(recipe, "search", assignments)
    data = {key: value for key, value in data.items() if key not in ("episodes", "steps")}
    for_ever = {"generations": 10**9, "evaluation": {"every": 10**9}}
    return PopulationSettings.parse(data | for_ever)


def team_of(ranks: Ranks) -> Team:
    return Alone(_never) if ranks.size == 1 else RankTeam(ranks, _never)


def generation(search: Evolution, team: Team) -> tuple[int, int]:
    """Steps and members of a whole generation."""
    while True:
        turn = search.turn()
        scores = team.score(turn, lambda: None)
        search.apply(scores, team.share(search.dimensions, turn.size))
        if turn.purpose == "generation":
            return scores.steps, turn.size


def _never() -> bool:
    return False


if __name__ == "__main__":
    rank_bench.take_part(measure)
