"""`veldt scores`: human-normalised scores of evaluated Atari runs, game by game and in all.

Agarwal et al. 2021, arXiv:2108.13264: the interquartile mean over all runs of all games beside
the customary median and mean over games, each with a stratified bootstrap interval: runs are
drawn anew game by game.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rich.table
import scipy.stats
from numpy.typing import NDArray

from veldt.launch.console import number
from veldt.launch.intervals import RESAMPLES, bounds, stratified
from veldt.launch.protocols import of_evaluation, of_options
from veldt.platform.envs.atari_scores import VERSION, scores_of
from veldt.platform.errors import InputError
from veldt.platform.runs import read_json, read_settings

# Of each game's runs, [..., runs], to one number, [...].
STATISTICS: dict[str, Callable[..., Any]] = {
    "median": lambda *games: np.median([runs.mean(-1) for runs in games], axis=0),
    "mean": lambda *games: np.mean([runs.mean(-1) for runs in games], axis=0),
    "iqm": lambda *games: scipy.stats.trim_mean(np.concatenate(games, -1), 0.25, axis=-1),
}


def aggregate(
    games: Sequence[NDArray[np.float64]], resamples: int = RESAMPLES
) -> dict[str, float | None]:
    """Median, mean and interquartile mean, each with its interval.

    Args:
        games: The normalised scores of each game's runs.
        resamples: Of the bootstrap.

    Returns:
        NAME, NAME_low and NAME_high; no interval (None) where a game has a single run.
    """
    found: dict[str, float | None] = {}
    for name, statistic in STATISTICS.items():
        drawn = stratified(games, statistic, resamples)
        found |= {name: float(statistic(*games))} | bounds(name, drawn)
    return found


class Played(NamedTuple):
    """A run's evaluation on one environment."""

    environment: str
    mean_return: float
    protocol: str
    """of the environment"""
    evaluation: str
    """how many episodes, and how it acts"""


def collect(folders: Sequence[Path]) -> dict[str, Any]:
    """The scores of runs that `veldt evaluate` has played.

    Raises:
        InputError: if one is not evaluated, plays no game of the 57, or was evaluated otherwise
            than the rest: under another protocol, over another number of episodes, or acting
            otherwise.
    """
    games: dict[str, list[float]] = defaultdict(list)
    returns: dict[str, list[float]] = defaultdict(list)
    protocols: dict[str, Path] = {}
    evaluations: dict[str, Path] = {}
    for folder in folders:
        for played in _played(folder):
            scores = scores_of(played.environment)
            if scores is None:
                raise InputError(
                    f"{folder}: {played.environment} is none of the 57 Atari games with known "
                    "scores."
                )
            protocols.setdefault(played.protocol, folder)
            evaluations.setdefault(played.evaluation, folder)
            game = played.environment.partition("/")[2]
            games[game].append(scores.normalised(played.mean_return))
            returns[game].append(played.mean_return)
    if len(protocols) > 1:
        raise InputError(
            f"scores under different protocols do not compare: {_listed(protocols)}. Give the "
            "runs of each protocol to a `veldt scores` of their own."
        )
    if len(evaluations) > 1:
        raise InputError(
            f"different evaluations do not compare: {_listed(evaluations)}. Evaluate them alike: "
            "veldt evaluate FOLDER --episodes N --policy sample."
        )
    arrays = {game: np.array(runs) for game, runs in sorted(games.items())}
    return {
        "protocol": next(iter(protocols)),
        "evaluation": next(iter(evaluations)),
        "score_table_version": VERSION,
        "runs": len(folders),
        "games": {
            game: {
                "runs": len(runs),
                "mean_return": float(np.mean(returns[game])),
                "normalised_score": float(runs.mean()),
            }
            for game, runs in arrays.items()
        },
        **aggregate(list(arrays.values())),
    }


def _listed(kinds: Mapping[str, Path]) -> str:
    return "; ".join(f"{folder}: {kind}" for kind, folder in kinds.items())


def _played(folder: Path) -> Iterator[Played]:
    """Each task that a run was evaluated on."""
    environment = read_settings(folder).get("environment", {})
    if not (folder / "evaluation.json").exists():
        raise InputError(f"{folder}: not evaluated yet; run: veldt evaluate {folder}")
    evaluation = read_json(folder / "evaluation.json")
    for task in environment.get("tasks") or [environment]:
        name = str(task.get("id"))
        options = environment.get("options", {}) | task.get("options", {})
        found = evaluation.get("tasks", {}).get(name, evaluation)
        how = {"episodes": found.get("episodes"), "policy": evaluation.get("policy")}
        yield Played(name, float(found["mean_return"]), of_options(options), of_evaluation(how))


def draw(found: dict[str, Any]) -> rich.table.Table:
    """For people."""
    title = (
        f"human-normalised scores, protocol {found['protocol']}, {found['evaluation']} a run: "
        "0 is chance, 1 is a person"
    )
    table = rich.table.Table("", "runs", "mean return", "normalised", "95 % interval", title=title)
    for game, row in found["games"].items():
        score = number(row["normalised_score"])
        table.add_row(game, str(row["runs"]), number(row["mean_return"]), score, "")
    table.add_section()
    for name in STATISTICS:
        low, high = found[f"{name}_low"], found[f"{name}_high"]
        interval = "needs two runs a game" if low is None else f"{number(low)} to {number(high)}"
        table.add_row(name, str(found["runs"]), "", number(found[name]), interval)
    return table
