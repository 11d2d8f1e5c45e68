"""The tables of small trainings, from the runs that `launch/results.sh` made; as Markdown."""

from pathlib import Path
from typing import Any

from veldt.agents.progress import WINDOW
from veldt.launch.console import number
from veldt.launch.evolution_results import markdown
from veldt.platform.records import read
from veldt.platform.runs import read_json

SOLVED = {"catch": 0.95, "cartpole": 475.0, "acrobot": -100.0, "inverted-pendulum": 950.0}
# Folder -> the command whose runs are in it, and the mean return at which it is solved.
TRAININGS = {
    "small/catch": ("catch", SOLVED["catch"]),
    "small/catch-ppo": ("catch-ppo", SOLVED["catch"]),
    "small/cartpole": ("cartpole", SOLVED["cartpole"]),
    "small/cartpole-a2c": ("cartpole-a2c", SOLVED["cartpole"]),
    "small/cartpole-ppo": ("cartpole-ppo", SOLVED["cartpole"]),
    "small/acrobot": ("acrobot", SOLVED["acrobot"]),
    "small/acrobot-plain": ("acrobot --set agent.network.popart=0.0", SOLVED["acrobot"]),
    "small/t-maze": ("t-maze", 3.9),
    "small/t-maze-blind": ("t-maze --set agent.network.core=none", 3.9),
    "small/inverted-pendulum": ("inverted-pendulum", SOLVED["inverted-pendulum"]),
    "small/minigrid": ("minigrid/empty", 0.9),
}
LAGGING = "cartpole --set deterministic=true --set learner.max_lag=10 --set frames=250000"
LAG = {
    "lag/v-trace": (LAGGING, SOLVED["cartpole"]),
    "lag/none": (f"{LAGGING} --set agent.correction=none", SOLVED["cartpole"]),
}
ATARI = {"atari/pong": ("atari/pong", 18.0), "atari/breakout": ("atari/breakout", 30.0)}
GAMES = {
    "atari/multitask-5/1": "atari/multitask-5 --seed 1",
    "atari/multitask-5-popart/1": "atari/multitask-5 --seed 1 --set agent.network.popart=3e-4",
}
ROOMS = {"rooms/0": "minigrid/multitask --seed 0"}


def training_tables(folder: Path) -> list[str]:
    """The tables of what is there."""
    tables = [_table(folder, commands) for commands in (TRAININGS, LAG, ATARI)]
    found = [text for text in (*tables, _tasks(folder, GAMES), _tasks(folder, ROOMS)) if text]
    peers = folder / "peers" / "table.md"
    return [*found, peers.read_text().strip()] if peers.exists() else found


def _table(folder: Path, commands: dict[str, tuple[str, float]]) -> str:
    rows = []
    for name, (command, threshold) in commands.items():
        runs = [path.parent for path in sorted((folder / name).glob("*/evaluation.json"))]
        if runs:
            rows.append(_row(command, threshold, runs))
    if not rows:
        return ""
    names = ["`veldt train ...`", "solved at", "reached at, frames, by seed", "after, seconds"]
    names += ["evaluation, 100 fresh episodes", "frames", "wall", "mean lag"]
    return markdown(names, rows)


def _tasks(folder: Path, commands: dict[str, str]) -> str:
    """Several tasks at once: each one's mean return and, of a game, its human-normalised score."""
    rows, names = [], ["`veldt train ...`"]
    for name, command in commands.items():
        path = folder / name / "evaluation.json"
        if path.exists():
            evaluation, summary = read_json(path), read_json(path.parent / "summary.json")
            tasks = evaluation["tasks"]
            names[1:] = [task.rpartition("/")[2].rpartition(":")[2] for task in tasks]
            scores = [_score(found) for found in tasks.values()]
            rows.append([f"`{command}`", *scores, f"{summary['wall_seconds'] / 60:.0f} min"])
    return markdown([*names, "wall"], rows) if rows else ""


def _score(found: dict[str, Any]) -> str:
    mean = f"{number(found['mean_return'])} ± {number(found['standard_error'])}"
    score = found.get("normalised_score")
    return mean if score is None else f"{mean} ({number(score)})"


def _row(command: str, threshold: float, runs: list[Path]) -> list[str]:
    crossings = [crossing(read(run), threshold) for run in runs]
    summaries = [read_json(run / "summary.json") for run in runs]
    evaluations = [read_json(run / "evaluation.json") for run in runs]
    wall = [summary["wall_seconds"] for summary in summaries]
    return [
        f"`{command} --seed {','.join(run.name for run in runs)}`",
        f"{threshold:g}",
        ", ".join(number(found.get("frames")) for found in crossings),
        ", ".join(f"{found['wall_seconds']:.0f}" if found else "-" for found in crossings),
        ", ".join(
            f"{number(found['mean_return'])} ± {number(found['standard_error'])}"
            for found in evaluations
        ),
        f"{summaries[0]['frames']:,}",
        f"{sum(wall) / len(wall):.0f} s",
        ", ".join(f"{summary['policy_lag_mean']:.1f}" for summary in summaries),
    ]


def crossing(records: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    """The first record whose last 100 episodes are at the threshold; empty if there is none."""
    for record in records:
        mean = record.get("mean_return")
        if mean is not None and record["episodes"] >= WINDOW and mean >= threshold:
            return record
    return {}
