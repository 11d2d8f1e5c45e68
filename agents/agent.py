"""What an agent is: a network, how it acts, and what its learner descends.

The loops that call it:

    actor     action, logits = agent.act(observation, generator)     every step
    learner   loss, metrics = agent.loss(batch); loss.backward()     every update

An agent of your own is a subclass of `Agent` in one file, found by name through the
entry points `veldt.agents`. It owns no loop, no optimiser and no device.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.settings import Settings
from veldt.platform.trajectory import Trajectory


class AgentSettings(Settings):
    """What every agent has; each adds its own fields."""

    name: str
    """From `veldt list agents`."""


class Batch(NamedTuple):
    """A trajectory as tensors on the learner's device; fields as in `Trajectory`."""

    observation: Tensor  # [T+1, B, ...]
    first: Tensor  # [T+1, B]
    action: Tensor  # [T, B]
    behaviour_logits: Float[Tensor, "T B A"]
    reward: Float[Tensor, "T B"]
    terminated: Tensor  # [T, B]
    truncated: Tensor  # [T, B]
    final_index: Tensor  # [K, 2]
    final_observation: Tensor  # [K, ...]


class Agent(abc.ABC):
    """One agent, built for one environment's shapes.

    Subclasses set `Settings` and `self.network`, whose state_dict is the weights that
    travel to the actors and into checkpoints.
    """

    Settings: ClassVar[type[AgentSettings]]
    network: nn.Module

    @abc.abstractmethod
    def __init__(self, settings: Any, spec: EnvironmentSpec) -> None:
        """Builds the network, drawing from torch's global generator, which is seeded.

        Raises:
            UnsupportedSpace: if the agent cannot handle these observations or actions.
        """

    @abc.abstractmethod
    def act(self, observation: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Acts without gradients.

        Args:
            observation: `[B, ...]`.
            generator: Where chance comes from; None asks for the likeliest action.

        Returns:
            The actions `[B]` (int64) and the logits `[B, A]` they were drawn from.
        """

    @abc.abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to descend, and scalars worth a line in the records."""


def to_batch(trajectory: Trajectory, device: torch.device) -> Batch:
    """Moves a stacked trajectory to the learner's device."""
    arrays = trajectory.arrays()
    return Batch(**{name: torch.from_numpy(array).to(device) for name, array in arrays.items()})


def sample(logits: Float[Tensor, "B A"], generator: torch.Generator | None) -> Tensor:
    """Draws from softmax(logits), or takes the likeliest; int64 `[B]`.

    The race of exponential clocks: argmax of p / E with E ~ Exp(1) is distributed as p.
    """
    if generator is None:
        return logits.argmax(-1)
    clocks = torch.empty_like(logits).exponential_(generator=generator)
    return (torch.softmax(logits, -1) / clocks).argmax(-1)
