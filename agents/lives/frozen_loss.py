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
from veldt.agents.lives.learned_loss import LearnedLoss, LossSettings
from veldt.agents.lives.life import FLOOR
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import InputError


class FrozenLoss(nn.Module):
    """Part of the agent's network: the memory is learnt with it, the loss never.

    Args:
        path: Of the file; it has to be readable wherever the agent is built.
        spec: Of the environment.

    Raises:
        InputError: if there is no such file, or it is for other shapes, or no whole loss.
        BrokenCheckpoint: if it holds no loss.
    """

    parameters_: Tensor
    memory_weight: Tensor | None
    memory_bias: Tensor | None

    def __init__(self, path: Path, spec: EnvironmentSpec) -> None:
        super().__init__()
        frozen = loss_file.load(path)
        frozen.demand_fit(spec)
        if not isinstance(frozen.settings, LossSettings):
            raise InputError(f"{path}: a {frozen.settings.kind} is descended in lives alone.")
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


def _normalised(x: Float[Tensor, "T B W"]) -> Tensor:
    mean = x.mean((0, 1))
    return (x - mean) * x.var((0, 1), correction=0).clamp(min=FLOOR).rsqrt()
