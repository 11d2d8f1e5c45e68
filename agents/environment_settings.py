"""Where an agent lives, as settings: one environment, or several tasks at once."""

from typing import Any, Literal

import pydantic

from veldt.platform.settings import Settings


class TaskSettings(Settings):
    """One environment."""

    id: str
    """Any Gymnasium id, or a name from `veldt list environments`."""
    options: dict[str, Any] = {}
    """Passed to the environment's constructor."""


class EnvironmentSettings(Settings):
    """Where the agent lives: one environment, or several tasks at once."""

    id: str | None = None
    """Any Gymnasium id, or a name from `veldt list environments`."""
    options: dict[str, Any] = {}
    """Passed to the environment's constructor; to that of each task, under the task's own."""
    tasks: tuple[TaskSettings, ...] = ()
    """Instead of `id`: actor i plays task i modulo their number, and nobody tells the agent."""
    hidden_tasks: Literal["one", "many"] = "one"
    """Of a family: a run is of one hidden task, which is drawn from its seed and named in the
    summary; or each environment has one of its own, and the agent is to do for all of them."""

    @pydantic.model_validator(mode="after")
    def _one_or_several(self) -> "EnvironmentSettings":
        if (self.id is None) == (not self.tasks):
            raise ValueError("give an id, or else tasks")
        names = [task.id for task in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError("each task has an id of its own")
        return self

    @property
    def played(self) -> tuple[TaskSettings, ...]:
        """The tasks; one environment is one task."""
        if self.id is not None:
            return (TaskSettings(id=self.id, options=self.options),)
        return tuple(
            TaskSettings(id=task.id, options=self.options | task.options) for task in self.tasks
        )

    @property
    def label(self) -> str:
        """For people."""
        return label(self.dump())


def label(environment: dict[str, Any]) -> str:
    """What dumped settings of an environment are called."""
    if environment.get("id") is not None:
        return str(environment["id"])
    tasks = environment["tasks"]
    return f"{len(tasks)} tasks, {', '.join(task['id'] for task in tasks[:3])}" + (
        " ..." if len(tasks) > 3 else ""
    )
