"""A frozen learned loss as an agent of ours descends it, on batches of trajectories.

Each environment's unroll is what a life's buffer was: padded with zeros in front to its length,
its steps the minibatch. What a loss was shown normalised is normalised by the batch.

Legend: T steps, B environments, P parameters of a policy, K channels, Q parameters of the loss.
"""

from pathlib import Path

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
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import InputError

OWNERS = {"drift": "ppo", "v-trace": "impala"}


class FrozenLoss(nn.Module):
    """Part of the agent's network: the memory is learnt with it, the loss never."""

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

    def forward(self, batch: Batch, policy: Float[Tensor, "T B P"]) -> Float[Tensor, ""]:
        """The loss of a batch, for the policy that the network gives there now."""
        action = batch.action
        if self._anatomy.discrete:
            action = functional.one_hot(action, self._anatomy.choices)
        ended = (batch.terminated | batch.truncated).float()
        told = torch.stack([torch.ones_like(batch.reward), batch.reward, ended], -1)
        seen = batch.observation[:-1].float()
        lived = torch.cat([_normalised(seen), _normalised(action.float()), told], -1)
        steps, width = batch.reward.shape
        missing = max(0, self._buffer - steps)
        lived, said = (
            functional.pad(x.transpose(0, 1), (0, 0, missing, 0)) for x in (lived, policy)
        )
        parts = self._network.split(self.parameters_.expand(width, -1))
        memory = None
        if self._anatomy.memory:
            agent = {
                "memory.weight": self.memory_weight.expand(width, -1, -1),  # type: ignore[union-attr]
                "memory.bias": self.memory_bias.expand(width, -1),  # type: ignore[union-attr]
            }
            memory = self._anatomy.recall(agent)
        chosen = torch.arange(missing, missing + steps, device=policy.device)
        return self._network(parts, lived, said, memory, chosen.expand(width, -1)).mean()


class FrozenDrift(nn.Module):
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


class FrozenVTrace(nn.Module):
    """Coefficients for IMPALA's loss, and what it makes of advantages."""

    kind = "v-trace"
    numbers: Tensor

    def __init__(self, frozen: Frozen) -> None:
        super().__init__()
        self.register_buffer("numbers", torch.from_numpy(frozen.parameters.copy()))
        self.coefficients = by_name(frozen.parameters)

    def transformed(self, advantages: Float[Tensor, "T B"]) -> Float[Tensor, "T B"]:
        flat = transformed(coefficients(self.numbers[None]), advantages.reshape(1, -1))
        return flat.reshape(advantages.shape)


def load(path: Path, spec: EnvironmentSpec, parts: tuple[str, ...]) -> nn.Module:
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


def _normalised(x: Float[Tensor, "T B W"]) -> Tensor:
    mean = x.mean((0, 1))
    return (x - mean) * x.var((0, 1), correction=0).clamp(min=FLOOR).rsqrt()
