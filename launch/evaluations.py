"""`veldt evaluate`: whole episodes of what a training or a search has found."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from veldt.launch import populations
from veldt.launch.console import Console
from veldt.launch.video import record
from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.platform.runs import write_json

if TYPE_CHECKING:
    from veldt.agents.settings import TrainSettings


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
    result |= evaluation.score(agent, settings, protocol, key)
    write_json(folder / "evaluation.json", result)
    tasks = result.get("tasks", {})
    shown = {f"mean_return/{name}": scored["mean_return"] for name, scored in tasks.items()}
    shown |= {
        f"normalised_score/{name}": scored["normalised_score"]
        for name, scored in tasks.items()
        if "normalised_score" in scored
    }
    console.summary(result | shown, f"evaluation: {folder}")


def _number_of(task: str | None, settings: "TrainSettings") -> int:
    """Which of the tasks that an agent plays is called so; the first, if none is named."""
    names = [played.id for played in settings.environment.played]
    if task is not None and task not in names:
        raise InputError(f"--task: there is no {task!r} here, but {', '.join(names)}.")
    return names.index(task) if task is not None else 0
