"""`veldt evaluate`: whole episodes of what a training or a search has found."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.table

from veldt.launch import populations
from veldt.launch.console import Console, number
from veldt.launch.intervals import with_intervals
from veldt.launch.video import record
from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.platform.runs import write_json

if TYPE_CHECKING:
    from veldt.agents.settings import TrainSettings

INTERVAL = "95 % interval"


def evaluate(
    folder: Path,
    episodes: int | None,
    policy: str | None,
    video: Path | None,
    task: str | None,
    seed: int,
    console: Console,
) -> None:
    """Plays, writes evaluation.json into the folder, and says what came of it.

    Args:
        folder: Of a training, of a population search, or of a study, whose winner plays.
        episodes: None: as many as make a score.
        policy: Of an agent: "sample" or "greedy".
        video: A film of one more episode goes into this file.
        task: Which of an agent's tasks is filmed; None: the first.
        seed: Of the episodes.
        console: Where it is said.

    Raises:
        InputError: if what is asked for cannot be done with what the folder holds.
    """
    if task is not None and video is None:
        raise InputError("--task says what is filmed: give --video FILE.mp4 too.")
    winner = folder / "winner"
    folder = winner if winner.is_dir() else folder
    if populations.is_population(folder):
        if policy is not None:
            raise InputError("--policy is for agents: an evolved policy has one way to act.")
        if task is not None:
            raise InputError("--task is for agents: a population search has one problem.")
        populations.evaluate(
            folder, episodes=episodes or 100, seed=seed, video=video, console=console
        )
        return
    from veldt.agents import evaluate as evaluation

    policy = policy or "sample"
    agent, settings, update = evaluation.load_run(folder)
    protocol = evaluation.EvaluationSettings.parse(
        {"episodes": episodes or evaluation.usual_episodes(settings), "policy": policy}
    )
    key, film = Key(seed).child("test"), {}
    if video is not None:  # first: what is wrong with the file is said at once
        number = _number_of(task, settings)
        frames, rate = evaluation.film(agent, settings, protocol, key.child("film"), number)
        film["video"] = str(record(video, frames, rate))
    result: dict[str, Any] = {"update": update, "policy": policy, "seed": seed} | film
    names = [task.id for task in settings.environment.played]
    result |= with_intervals(evaluation.score(agent, settings, protocol, key), names[0])
    write_json(folder / "evaluation.json", result)
    tasks = result.get("tasks", {names[0]: result})
    console.summary(result, f"evaluation: {folder}", drawn(tasks, result))


def drawn(tasks: dict[str, dict[str, Any]], result: dict[str, Any]) -> rich.table.Table:
    """An evaluation for people: a row for each task, and one over all that have scores.

    Args:
        tasks: Each one's part of the evaluation, with its intervals.
        result: The whole evaluation.
    """
    frames = any("mean_episode_frames" in scored for scored in tasks.values())
    normalised = any("normalised_score" in scored for scored in tasks.values())
    names = ["", "episodes", "mean return", INTERVAL, "mean steps"]
    names += ["mean frames"] if frames else []
    names += ["normalised", INTERVAL] if normalised else []
    table = rich.table.Table(*names)
    for name, scored in tasks.items():
        row = [
            name,
            number(scored["episodes"]),
            number(scored["mean_return"]),
            _interval(scored, "mean_return"),
            number(scored["mean_episode_steps"]),
        ]
        row += [number(scored.get("mean_episode_frames"))] if frames else []
        if normalised:
            row.append(number(scored.get("normalised_score")))
            row.append(_interval(scored, "normalised_score"))
        table.add_row(*row)
    if "mean_normalised_score" in result:
        row = ["mean over the tasks", *[""] * (4 + frames)]
        row += [number(result["mean_normalised_score"])]
        table.add_section()
        table.add_row(*row, _interval(result, "mean_normalised_score"))
    return table


def _interval(scored: dict[str, Any], name: str) -> str:
    low, high = scored.get(f"{name}_low"), scored.get(f"{name}_high")
    return "-" if low is None else f"{number(low)} to {number(high)}"


def _number_of(task: str | None, settings: "TrainSettings") -> int:
    """Which of the tasks that an agent plays is called so; the first, if none is named."""
    names = [played.id for played in settings.environment.played]
    if task is not None and task not in names:
        raise InputError(f"--task: there is no {task!r} here, but {', '.join(names)}.")
    return names.index(task) if task is not None else 0
