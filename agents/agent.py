"""What an agent is: a network, how it acts, and what its learner descends.

The loops that call it:

    actor     acted = agent.act(inputs, generator)                           every step
    learner   for loss, metrics in agent.losses(batch, generator): ...       every update

An agent of your own is a subclass of `Agent` in one file, found by name through the
entry points `veldt.agents`. It owns no loop, no optimiser and no device.
"""

import abc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pydantic
import torch
from torch import Tensor

from veldt.agents.inputs import Acted, Batch, Inputs
from veldt.agents.losses import Reduction
from veldt.agents.networks.actor_critic import ActorCritic
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.settings import Settings

Loss = tuple[Tensor, dict[str, Tensor]]


class AgentSettings(Settings):
    """What every agent has; each adds its own fields."""

    name: str
    """From `veldt list agents`."""
    loss: str = ""
    """A file, loss.safetensors of a search for one: descend this learned loss. A run copies it
    into its folder and reads it there. A drift is for ppo, coefficients of V-trace for impala, and
    whole losses for every agent."""
    loss_share: float = pydantic.Field(1.0, ge=0.0, le=1.0)
    """of it; the rest is the agent's own"""


class Agent(abc.ABC):
    """One agent, built for one environment's shapes.

    Subclasses set `Settings`, and say what is descended, by way of `mixed` if a learned loss is
    to have its share. Here the network is an `ActorCritic` of `settings.network`; an agent with
    another one says so in `__init__` and `act`.
    """

    Settings: ClassVar[type[AgentSettings]]
    learned_parts: ClassVar[tuple[str, ...]] = ()
    """Kinds of learned losses that are a part of this agent's own; see `agents/lives`"""
    max_lag: ClassVar[int | None] = None
    """Updates by which the weights that acted may be older than those that learn, by default; 0:
    on policy. Where this is said, trajectories are not replayed. None: the agent corrects it"""
    network: Any
    """An nn.Module; its state_dict is the weights that travel and go into checkpoints"""
    state_size: int = 0
    """S, numbers of an environment's recurrent state; 0 at the first step of an episode"""
    total: Callable[[Tensor], Tensor] = staticmethod(lambda own: own)
    """A tensor's sum over all learners that learn together, the same for each; for statistics of
    a whole batch, of which one learner has a part. With one learner the tensor itself."""

    lap: Callable[[str], None] = staticmethod(lambda stage: None)
    """Tells the learner's stopwatch that a stage of a loss is over (`agents/stopwatch.py`)"""

    def __init__(self, settings: Any, spec: EnvironmentSpec) -> None:
        """Builds the network, drawing from torch's global generator, which is seeded.

        Raises:
            UnsupportedSpace: if the agent cannot handle these observations or actions.
        """
        self.settings = settings
        self.network = ActorCritic(spec, settings.network)
        self.state_size = self.network.state_size
        if settings.loss:
            from veldt.agents.lives.frozen_loss import load

            self.network.learned_loss = load(Path(settings.loss), spec, self.learned_parts)

    def act(self, inputs: Inputs, generator: torch.Generator | None) -> Acted:
        """Acts in B environments, without gradients.

        Args:
            inputs: What it sees, and what it gave back as `state` at the step before.
            generator: Where chance comes from; None asks for the likeliest action.
        """
        acted: Acted = self.network.act(inputs, generator)
        return acted

    def only_acts(self) -> None:
        """From now on it acts, on the device where its network is, and does not learn. Weights
        are still loaded, by `load_state_dict`; nobody asks for them back."""
        if isinstance(self.network, ActorCritic):
            self.network.only_acts()

    def spread(self, threads: int) -> None:
        """From now on it may look at images on so many threads, on a CPU."""
        if isinstance(self.network, ActorCritic):
            self.network.spread(threads)

    def mixed(self, own: Loss, batch: Batch, policy: Tensor) -> Loss:
        """The agent's own loss, or as much of a whole learned one as the settings say.

        Args:
            own: And its metrics.
            batch: It is of.
            policy: That the network gives there, [T, B, P].
        """
        share = self.learned_share
        if not share or self.learned_part is not None:
            return own
        learned = self.learned(batch, policy)
        if self.reduction == "sum":  # on the scale of its own, however many learners there are
            learned = learned * batch.reward.numel()
        metrics = own[1] | {"learned_loss": learned.detach()}
        return share * learned + (1.0 - share) * own[0], metrics

    @property
    def learned_share(self) -> float:
        """What a learned loss, or a learned part of the agent's own, has of the whole."""
        return self.settings.loss_share if self.settings.loss else 0.0

    @property
    def learned(self) -> Any:
        """The learned loss, whole or a part, of `agents/lives`; None if there is none."""
        return getattr(self.network, "learned_loss", None)

    @property
    def replaced(self) -> list[str]:
        """What a learned loss puts in the place of settings, for people."""
        if self.learned is None or not self.learned_share:
            return []
        found: list[str] = self.learned.differences(dict(self.settings))
        return found

    @property
    def learned_part(self) -> Any:
        """The part of the agent's own loss that is learned, of `agents/lives`; None if none is."""
        learned = self.learned
        return learned if learned is not None and learned.kind in self.learned_parts else None

    @property
    def reduction(self) -> Reduction:
        """Whether the loss is a sum or a mean over the environments of a batch: how several
        learners' gradients, each of its part, make the whole batch's. Here what the settings
        say, and a mean where they say nothing."""
        return getattr(self.settings, "reduction", "mean")

    def look_ahead(self, batch: Batch) -> None:
        """Before an update: what it learns from counts for how a learned loss sees it."""
        if self.learned is not None:
            self.learned.take(batch, self.total)

    def look_back(self, batch: Batch) -> None:
        """After an update: what it learnt from counts for how observations are normalised."""
        if isinstance(self.network, ActorCritic):
            self.network.look_back(batch.observation[:-1], self.total)

    @abc.abstractmethod
    def loss(self, batch: Batch) -> Loss:
        """The scalar to descend, and scalars worth a line in the records."""

    def losses(self, batch: Batch, generator: torch.Generator) -> Iterator[Loss]:
        """What one update descends, one after another: each is asked for when the step down
        the one before is done. Here `loss`, once.

        Args:
            batch: Of the update.
            generator: Where chance comes from, on the CPU.
        """
        yield self.loss(batch)
