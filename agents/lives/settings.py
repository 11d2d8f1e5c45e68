"""Of a life: where it is lived, how long it is, and how its agent learns.

Legend: U updates of M steps in a life, T steps of the buffer.
"""

import pydantic

from veldt.agents.environment_settings import TaskSettings
from veldt.platform.envs import catalogue
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import SettingsError, UnsupportedSpace
from veldt.platform.settings import Settings


class LifeSettings(Settings):
    """How long it is, and how it learns."""

    environment: TaskSettings
    """A family of tasks: `veldt list environments`"""
    hidden: tuple[int, ...] = (32, 32)
    """Widths of the policy's layers"""
    updates: int = pydantic.Field(32, ge=1, le=1_000_000)
    """U"""
    steps: int = pydantic.Field(64, ge=2, le=1_000_000)
    """M, from one update to the next"""
    buffer: int = pydantic.Field(512, ge=2, le=1_000_000)
    """T, steps that a learned loss looks back on"""
    epochs: int = pydantic.Field(1, ge=1, le=1000)
    """Passes over the newest M; advantages are those from before the first"""
    minibatch: int = pydantic.Field(32, ge=2, le=1_000_000)
    """Samples in a step of Adam"""
    learning_rate: float = pydantic.Field(1e-3, gt=0.0)
    """Of Adam"""
    final_episodes: int = pydantic.Field(3, ge=1, le=1000)
    """That the final policy is scored by; it learns no more"""
    stretches: int = pydantic.Field(1, ge=1, le=1_000_000)
    """Parts of a life, for persistent-es and noise-reuse-es, whose `unrolls` is as many: each is a
    generation, and its fitness is the return of the policy that it ends with"""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> "LifeSettings":
        if self.steps % self.minibatch:
            raise ValueError(f"minibatch is {self.minibatch}, which does not divide {self.steps}")
        if self.updates % self.stretches:
            raise ValueError(
                f"stretches is {self.stretches}, which does not divide {self.updates}"
            )
        if self.buffer < self.steps:
            raise ValueError(f"buffer is {self.buffer}, less than the {self.steps} newest steps")
        return self


def demand_family(settings: LifeSettings) -> EnvironmentSpec:
    """What the family looks like.

    Raises:
        SettingsError: if it is none.
        UnsupportedSpace: if small networks cannot see it, or there is no policy for it.
    """
    environments = catalogue.make(settings.environment.id, 1, settings.environment.options)
    try:
        spec = environments.spec
        if not hasattr(environments, "begin"):
            raise SettingsError(
                f"environment.id: {spec.id} is one task, not a family of them, for which "
                "vectors have `begin`; family/direction is one."
            )
    finally:
        environments.close()
    if len(spec.observations.shape) != 1 or spec.observations.dtype != "float32":
        raise UnsupportedSpace(f"{spec.id}: lives are of agents that see a row of numbers.")
    if spec.actions.kind not in ("discrete", "box"):
        raise UnsupportedSpace(f"{spec.id} takes {spec.actions.description}: no life for that.")
    return spec
