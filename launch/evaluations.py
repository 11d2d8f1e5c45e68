"""`veldt evaluate`: whole episodes of what a training or a search has found."""

from pathlib import Path
from typing import Any

from veldt.launch import populations
from veldt.launch.console import Console
from veldt.launch.video import record
from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.platform.runs import write_json


def evaluate(
    folder: Path,
    episodes: int | None,
    policy: str | None,
    video: Path | None,
    seed: int,
    console: Console,
) -> None:
    """Plays, writes evaluation.json into the folder, and says what came of it.

    Args:
        folder: Of a training, of a population search, or of a study, whose winner plays.
        episodes: None: as many as make a score.
        policy: Of an agent: "sample" or "greedy".
        video: A film of one more episode goes into this file.
        seed: Of the episodes.
        console: Where it is said.

    Raises:
        InputError: if what is asked for cannot be done with what the folder holds.
    """
    winner = folder / "winner"
    folder = winner if winner.is_dir() else folder
    if populations.is_population(folder):
        if policy is not None:
            raise InputError("--policy is for agents: an evolved policy has one way to act.")
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
        frames, rate = evaluation.film(agent, settings, protocol, key.child("film"))
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
