"""A trial's score: how an agent's evaluation becomes one number.

Espeholt et al. 2018, arXiv:1802.01561, table 3 and appendix F: the fitness of an agent of many
games is the mean of its human-normalised scores, of which none counts more than a person's.

    mean_return         of the episodes; of several tasks, the mean over them
    normalised          (return - chance) / (person - chance); of several, the mean over them
    capped_normalised   the same, where a task counts 1 at most
"""

from typing import Any, Literal

import numpy as np

from veldt.agents.evaluate import Evaluation, EvaluationSettings
from veldt.agents.settings import TrainSettings
from veldt.platform.envs.atari_scores import scores_of
from veldt.platform.errors import SettingsError

CAP = 1.0  # of a task: a person's
MEASURES = {
    "mean_return": "mean return",
    "normalised": "human-normalised score",
    "capped_normalised": "human-normalised score, capped",
}
"""a score in words"""


class ScoringSettings(EvaluationSettings):
    """How a trial is scored."""

    score: Literal["mean_return", "normalised", "capped_normalised"] = "mean_return"
    """What is counted: returns, or Atari's human-normalised scores, capped at 1 or not"""


def demand_scores(settings: ScoringSettings, train: TrainSettings) -> None:
    """Raises `SettingsError` if there is nothing to normalise by."""
    unknown = [task.id for task in train.environment.played if scores_of(task.id) is None]
    if settings.score != "mean_return" and unknown:
        raise SettingsError(
            f"evaluation.score: {settings.score} needs scores of people, which are known of the "
            f"57 Atari games, not of {', '.join(unknown)}; take mean_return."
        )


def scored(
    found: dict[str, Any], train: TrainSettings, settings: ScoringSettings
) -> dict[str, Any]:
    """An evaluation in the score's unit: its `mean_return` is the score.

    Args:
        found: As `agents.evaluate.score` has it.
        train: Names the tasks.
        settings: How to count.

    Returns:
        What one environment's evaluation is, episode by episode the mean over the tasks, and the
        `tasks` with their returns as they were.
    """
    names = [task.id for task in train.environment.played]
    if len(names) == 1 and settings.score == "mean_return":
        return found
    tasks = found.get("tasks") or {names[0]: found}
    episodes = np.mean([_counted(name, tasks[name], settings.score) for name in names], axis=0)
    steps = sum(task["steps"] for task in tasks.values())
    return Evaluation(tuple(episodes.tolist()), steps).summary() | {"tasks": tasks}


def _counted(name: str, task: dict[str, Any], score: str) -> list[float]:
    """What each episode of a task counts."""
    returns: list[float] = task["returns"]
    known = scores_of(name)
    if score == "mean_return" or known is None:
        return returns
    if score == "capped_normalised" and known.normalised(task["mean_return"]) > CAP:
        return [CAP] * len(returns)  # the mean is capped, not its episodes
    return [known.normalised(value) for value in returns]
