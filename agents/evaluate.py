"""How good a fixed policy is: returns of whole episodes that nothing learns from."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic
import torch
from numpy.typing import NDArray

from veldt.agents.actor import load_weights
from veldt.agents.agent import Agent
from veldt.agents.build import make_agent, make_environments, with_tasks
from veldt.agents.inputs import Memory
from veldt.agents.kept_loss import kept
from veldt.agents.settings import TrainSettings
from veldt.platform import checkpoints
from veldt.platform.envs.atari import PROTOCOLS
from veldt.platform.envs.atari_scores import scores_of
from veldt.platform.envs.rendering import make_filmed
from veldt.platform.envs.vector import Episode
from veldt.platform.errors import InputError, RunFailed
from veldt.platform.keys import Key
from veldt.platform.means import standard_error
from veldt.platform.runs import read_settings
from veldt.platform.settings import Settings

WIDTH = 128  # environments side by side, at most


class EvaluationSettings(Settings):
    """How a policy is scored."""

    episodes: int = pydantic.Field(100, ge=1, le=1_000_000)
    policy: Literal["sample", "greedy"] = "sample"
    """Draw actions from the policy, as in training, or take the likeliest."""
    max_steps: int = pydantic.Field(108_000, ge=1)
    """Of an episode; one that goes on longer is an error."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Undiscounted, unclipped returns, one per episode, and how long each episode was."""

    returns: tuple[float, ...]
    steps: int
    """played in all, those of episodes that do not count among them"""
    lengths: tuple[int, ...] = ()
    """steps of each episode; none where an episode is the mean over several tasks'"""
    frames_per_step: int = 1

    def summary(self) -> dict[str, Any]:
        returns = np.array(self.returns)
        lengths: dict[str, Any] = {}
        if self.lengths:
            lengths["mean_episode_steps"] = float(np.mean(self.lengths))
            if self.frames_per_step > 1:
                frames = self.frames_per_step * lengths["mean_episode_steps"]
                lengths["mean_episode_frames"] = frames
            lengths["episode_steps"] = list(self.lengths)
        return {
            "episodes": len(returns),
            "steps": self.steps,
            "mean_return": float(returns.mean()),
            "standard_error": standard_error(returns),
            "median_return": float(np.median(returns)),
            "min_return": float(returns.min()),
            "max_return": float(returns.max()),
            **lengths,
            "returns": [float(value) for value in returns],
        }


def usual_episodes(train: TrainSettings) -> int:
    """How many episodes make a score: as an Atari protocol says, else 100."""
    played = train.environment.played[0]
    if played.id.startswith("atari/"):
        return PROTOCOLS[played.options.get("protocol", "paper")].evaluation_episodes
    return 100


def evaluate(
    agent: Agent,
    train: TrainSettings,
    settings: EvaluationSettings,
    key: Key,
    beat: Callable[[], None] = lambda: None,
    task: int = 0,
) -> Evaluation:
    """Plays whole episodes.

    Every environment plays a share of the episodes that is fixed beforehand: taking
    the first that end would favour the short ones.

    Args:
        agent: Acts.
        train: Names the environment.
        settings: How many episodes, and how to act.
        key: Of the episodes and of the actions drawn.
        beat: Called at every step.
        task: The number of the task to play.

    Raises:
        RunFailed: if an episode does not end.
    """
    size = min(settings.episodes, WIDTH)
    quota = np.full(size, settings.episodes // size)
    quota[: settings.episodes % size] += 1
    environments = make_environments(train, size, task)
    generator = torch.Generator().manual_seed(key.child("actions").integer())
    played: list[list[Episode]] = [[] for _ in range(size)]
    observation, steps = environments.reset(key.child("episodes")), 0
    memory = Memory(environments.spec, size, agent.state_size)
    ages = np.zeros(size, np.int64)  # steps in the episode under way
    try:
        with torch.inference_mode():
            while any(len(got) < wanted for got, wanted in zip(played, quota, strict=True)):
                beat()
                if ages.max() >= settings.max_steps:
                    raise RunFailed(
                        f"{environments.spec.id}: an episode does not end within "
                        f"{settings.max_steps} steps; set environment.options.max_episode_steps."
                    )
                acted = agent.act(
                    memory.inputs(observation), generator if settings.policy == "sample" else None
                )
                action = acted.action.numpy()
                step = environments.step(action)
                memory.keep(action, acted.state, step)
                observation, steps, ages = step.observation, steps + size, ages + 1
                for episode in step.episodes:
                    ages[episode.environment] = 0
                    if len(played[episode.environment]) < quota[episode.environment]:
                        played[episode.environment].append(episode)
    finally:
        environments.close()
    episodes = [episode for got in played for episode in got]
    return Evaluation(
        tuple(episode.episode_return for episode in episodes),
        steps,
        tuple(episode.steps for episode in episodes),
        environments.spec.frames_per_step,
    )


def score(
    agent: Agent,
    settings: TrainSettings,
    protocol: EvaluationSettings,
    key: Key,
    beat: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """An evaluation as plain values: of the one environment, or `tasks` with each one's own.

    Human-normalised scores are there for what has them.
    """
    tasks: dict[str, dict[str, Any]] = {}
    played = settings.environment.played
    for number, task in enumerate(played):
        tasks[task.id] = evaluate(agent, settings, protocol, key, beat, number).summary()
        if known := scores_of(task.id):
            tasks[task.id]["normalised_score"] = known.normalised(tasks[task.id]["mean_return"])
    if len(tasks) == 1:
        return tasks[played[0].id]
    found: dict[str, Any] = {"tasks": tasks}
    normalised = [s["normalised_score"] for s in tasks.values() if "normalised_score" in s]
    if normalised:
        found["mean_normalised_score"] = sum(normalised) / len(normalised)
    return found


def film(
    agent: Agent, train: TrainSettings, settings: EvaluationSettings, key: Key, task: int = 0
) -> tuple[Iterator[NDArray[np.uint8]], float]:
    """The frames of one whole episode as it is played, and how many make a second.

    What an episode shows last, when it is over, is not among them.

    Args:
        agent: Acts.
        train: Names the environment.
        settings: How to act, and how long at most.
        key: Of the episode and of the actions drawn.
        task: The number of the task to film.

    Raises:
        RunFailed, MissingProgram: if nothing can be drawn; it says what to install.
        InputError: if the environment cannot be drawn.
    """
    played = train.environment.played[task]
    environments = make_filmed(played.id, played.options)

    def frames() -> Iterator[NDArray[np.uint8]]:
        generator = torch.Generator().manual_seed(key.child("actions").integer())
        chance = generator if settings.policy == "sample" else None
        memory = Memory(environments.spec, 1, agent.state_size)
        observation = environments.reset(key.child("episodes"))
        try:
            for _ in range(settings.max_steps):
                yield environments.render()
                with torch.inference_mode():
                    acted = agent.act(memory.inputs(observation), chance)
                action = acted.action.numpy()
                step = environments.step(action)
                if step.episodes:
                    return
                memory.keep(action, acted.state, step)
                observation = step.observation
        finally:
            environments.close()

    return frames(), environments.frames_per_second


def load_run(folder: Path) -> tuple[Agent, TrainSettings, int]:
    """The agent of a run at its newest whole checkpoint, its settings, and its updates.

    Raises:
        InputError: if the folder holds no run or no checkpoint.
    """
    settings = kept(TrainSettings.parse(read_settings(folder)), folder)
    checkpoint = checkpoints.load(folder)
    if checkpoint is None:
        raise InputError(f"{folder}: no checkpoint there yet; train on with --resume.")
    number, arrays, _ = checkpoint
    environments = make_environments(settings, 1)
    agent = make_agent(settings, with_tasks(settings, environments.spec))
    environments.close()
    weights = {
        name.removeprefix("network/"): array
        for name, array in arrays.items()
        if name.startswith("network/")
    }
    load_weights(agent, weights)
    return agent, settings, number
