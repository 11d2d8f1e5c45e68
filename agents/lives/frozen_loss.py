"""A frozen learned loss as an agent of ours descends it, on batches of trajectories.

Each environment's unroll is a life's buffer: it has to be as long, so that the loss is shown what
it was evolved to read, and all of its steps are the minibatch. What lives show it normalised is
normalised as there, by all that was learnt from so far, what is learnt from now included.

Legend: T steps, B environments, P parameters of a policy, K channels, Q parameters of the loss.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from veldt.agents.inputs import Batch
from veldt.agents.lives import loss_file
from veldt.agents.lives.drift import XI, DriftNetwork
from veldt.agents.lives.learned_loss import LearnedLoss, LossSettings
from veldt.agents.lives.loss_file import Frozen
from veldt.agents.lives.vtrace_loss import by_name, coefficients, transformed
from veldt.agents.lives.world import FLOOR
from veldt.agents.networks.normaliser import Normaliser
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import InputError

OWNERS = {"drift": "ppo", "v-trace": "impala"}


class Learned(nn.Module):
    """A learned loss, or a part of one: of the agent's network, though it is never learnt."""

    kind: str

    def demand_unrolls(self, length: int) -> None:
        """Raises `InputError` if unrolls of so many steps are not what it reads."""

    def take(self, batch: Batch, total: Callable[[Tensor], Tensor]) -> None:
        """Before an update: what it learns from.

        Args:
            batch: Of the update.
            total: The sum of a tensor over all learners that learn together.
        """

    def differences(self, settings: Mapping[str, Any]) -> list[str]:
        """What it puts in the place of an agent's settings, "discount 0.99 by 0.98" for one.

        Args:
            settings: Of the agent.
        """
        return []


class FrozenLoss(Learned):
    """A whole one: the memory is learnt with the agent's network, the loss never."""

    kind = "epg"
    parameters_: Tensor
    memory_weight: Tensor | None
    memory_bias: Tensor | None

    def __init__(self, frozen: Frozen) -> None:
        super().__init__()
        self._anatomy = frozen.anatomy()
        self._buffer = frozen.life.buffer
        self._network = LearnedLoss(frozen.settings, self._anatomy)
        self.register_buffer("parameters_", torch.from_numpy(frozen.parameters.copy()))
        numbers, weights = frozen.settings.memory, frozen.settings.memory_weights
        self.memory_weight = nn.Parameter(torch.randn(numbers, weights) / numbers**0.5)
        self.memory_bias = nn.Parameter(torch.zeros(numbers))
        self.seen = Normaliser((self._anatomy.observation,))
        self.done = Normaliser((self._anatomy.choices,))

    def demand_unrolls(self, length: int) -> None:
        if length != self._buffer:
            raise InputError(
                f"actors.unroll_length is {length}; this loss was evolved on buffers of "
                f"{self._buffer} steps, and reads a whole one at a time: set it to {self._buffer}."
            )

    def take(self, batch: Batch, total: Callable[[Tensor], Tensor]) -> None:
        self.seen.adapt(batch.observation[:-1].float(), total)
        self.done.adapt(self._action(batch), total)

    def _action(self, batch: Batch) -> Float[Tensor, "T B C"]:
        action = batch.action
        if self._anatomy.discrete:
            action = functional.one_hot(action, self._anatomy.choices)
        return action.float()

    def forward(self, batch: Batch, policy: Float[Tensor, "T B P"]) -> Float[Tensor, ""]:
        """The loss of a batch, for the policy that the network gives there now."""
        steps, width = batch.reward.shape
        self.demand_unrolls(steps)
        ended = (batch.terminated | batch.truncated).float()
        told = torch.stack([torch.ones_like(batch.reward), batch.reward, ended], -1)
        seen = _normalised(self.seen, batch.observation[:-1].float())
        lived = torch.cat([seen, _normalised(self.done, self._action(batch)), told], -1)
        parts = self._network.split(self.parameters_.expand(width, -1))
        memory = None
        if self._anatomy.memory:
            agent = {
                "memory.weight": self.memory_weight.expand(width, -1, -1),  # type: ignore[union-attr]
                "memory.bias": self.memory_bias.expand(width, -1),  # type: ignore[union-attr]
            }
            memory = self._anatomy.recall(agent)
        chosen = torch.arange(steps, device=policy.device).expand(width, -1)
        lives = lived.transpose(0, 1), policy.transpose(0, 1)
        return self._network(parts, *lives, memory, chosen).mean()


class FrozenDrift(Learned):
    """What holds a policy near the one that acted, in the place of PPO's clipping."""

    kind = "drift"
    units: Tensor
    out: Tensor

    def __init__(self, frozen: Frozen) -> None:
        super().__init__()
        network = DriftNetwork(frozen.settings, frozen.anatomy())
        for name, part in network.split(torch.from_numpy(frozen.parameters.copy())[None]).items():
            self.register_buffer(name, part)

    def forward(
        self, log_ratio: Float[Tensor, "T B"], advantages: Float[Tensor, "T B"]
    ) -> Float[Tensor, "T B"]:
        """The policy's loss at each step."""
        parts = {"units": self.units, "out": self.out}
        flat = log_ratio.reshape(1, -1), advantages.reshape(1, -1)
        drift = functional.relu(DriftNetwork.drift(parts, *flat) - XI).reshape(log_ratio.shape)
        return drift - torch.exp(log_ratio) * advantages


class FrozenVTrace(Learned):
    """Coefficients for IMPALA's loss, and what it makes of advantages."""

    kind = "v-trace"
    numbers: Tensor

    def __init__(self, frozen: Frozen) -> None:
        super().__init__()
        self.register_buffer("numbers", torch.from_numpy(frozen.parameters.copy()))
        self.coefficients = by_name(frozen.parameters)

    def differences(self, settings: Mapping[str, Any]) -> list[str]:
        return [
            f"agent.{name}: {settings[name]:g} by {value:.6g}"
            for name, value in self.coefficients.items()
            if name in settings and not math.isclose(settings[name], value, rel_tol=1e-6)
        ]

    def transformed(self, advantages: Float[Tensor, "T B"]) -> Float[Tensor, "T B"]:
        flat = transformed(coefficients(self.numbers[None]), advantages.reshape(1, -1))
        return flat.reshape(advantages.shape)


def load(path: Path, spec: EnvironmentSpec, parts: tuple[str, ...]) -> Learned:
    """The loss in a file, for one environment.

    Args:
        path: Of the file; it has to be readable wherever the agent is built.
        spec: Of the environment.
        parts: Kinds that the agent takes as a part of its own loss.

    Raises:
        InputError: if there is no such file, or it is for other shapes, or for other agents.
        BrokenCheckpoint: if it holds no loss.
    """
    frozen = loss_file.load(path)
    frozen.demand_fit(spec)
    kind = frozen.settings.kind
    if isinstance(frozen.settings, LossSettings):
        return FrozenLoss(frozen)
    if kind not in parts:
        raise InputError(f"{path}: {kind} is a part of {OWNERS[kind]}'s loss, of no other's.")
    return FrozenDrift(frozen) if kind == "drift" else FrozenVTrace(frozen)


def _normalised(by: Normaliser, x: Float[Tensor, "T B W"]) -> Tensor:
    """As lives do: see `agents/lives/world.py`."""
    return (x - by.mean) * by.variance.clamp(min=FLOOR).rsqrt()
