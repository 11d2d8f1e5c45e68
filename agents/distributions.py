"""Policies as distributions over actions, from the numbers that a network's head gives.

Legend: P parameters of the distribution, in the last dimension; actions as the environment's.

What acts, travels and learns is the [..., P] tensor; these read it. None has state.
"""

import math
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from veldt.platform.envs.vector import Actions
from veldt.platform.errors import UnsupportedSpace


class Distribution(Protocol):
    """Over the actions of one environment."""

    size: int
    """P"""

    def log_probability(self, policy: Tensor, action: Tensor) -> Float[Tensor, "*batch"]:
        """Of the action; a density where actions are numbers."""

    def entropy(self, policy: Tensor) -> Float[Tensor, "*batch"]:
        """In nats; differential where actions are numbers."""

    def sample(self, policy: Tensor, generator: torch.Generator | None) -> Tensor:
        """An action drawn from the policy; the likeliest if there is no generator."""

    def divergence(self, policy: Tensor, other: Tensor) -> Float[Tensor, "*batch"]:
        """Kullback-Leibler, KL(policy | other), in nats."""


class Categorical:
    """One choice; P logits."""

    def __init__(self, count: int) -> None:
        self.size = count

    def log_probability(self, policy: Tensor, action: Tensor) -> Tensor:
        chosen = torch.log_softmax(policy, -1).gather(-1, action[..., None])
        return chosen.squeeze(-1)

    def entropy(self, policy: Tensor) -> Tensor:
        log_pi = torch.log_softmax(policy, -1)
        return -(log_pi.exp() * log_pi).sum(-1)

    def sample(self, policy: Tensor, generator: torch.Generator | None) -> Tensor:
        # The race of exponential clocks: argmax of p / E with E ~ Exp(1) is distributed as p.
        if generator is None:
            return policy.argmax(-1)
        clocks = torch.empty_like(policy).exponential_(generator=generator)
        return (torch.softmax(policy, -1) / clocks).argmax(-1)

    def divergence(self, policy: Tensor, other: Tensor) -> Tensor:
        log_pi = torch.log_softmax(policy, -1)
        return (log_pi.exp() * (log_pi - torch.log_softmax(other, -1))).sum(-1)


class MultiCategorical:
    """Several choices, independent given the observation; their logits one after another."""

    def __init__(self, counts: tuple[int, ...]) -> None:
        self.size = sum(counts)
        self._counts = list(counts)
        self._parts = [Categorical(count) for count in counts]

    def log_probability(self, policy: Tensor, action: Tensor) -> Tensor:
        parts = zip(
            self._parts, torch.split(policy, self._counts, -1), action.unbind(-1), strict=True
        )
        return torch.stack([part.log_probability(p, a) for part, p, a in parts]).sum(0)

    def entropy(self, policy: Tensor) -> Tensor:
        parts = zip(self._parts, torch.split(policy, self._counts, -1), strict=True)
        return torch.stack([part.entropy(p) for part, p in parts]).sum(0)

    def sample(self, policy: Tensor, generator: torch.Generator | None) -> Tensor:
        parts = zip(self._parts, torch.split(policy, self._counts, -1), strict=True)
        return torch.stack([part.sample(p, generator) for part, p in parts], -1)

    def divergence(self, policy: Tensor, other: Tensor) -> Tensor:
        one, two = torch.split(policy, self._counts, -1), torch.split(other, self._counts, -1)
        parts = zip(self._parts, one, two, strict=True)
        return torch.stack([part.divergence(p, q) for part, p, q in parts]).sum(0)


class Gaussian:
    """Independent normal numbers: P / 2 means, then the logarithms of as many deviations."""

    def __init__(self, dimensions: int) -> None:
        self.size = 2 * dimensions

    def log_probability(self, policy: Tensor, action: Tensor) -> Tensor:
        mean, log_std = policy.chunk(2, -1)
        z = (action - mean) * torch.exp(-log_std)
        return (-0.5 * z.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self, policy: Tensor) -> Tensor:
        log_std = policy.chunk(2, -1)[1]
        return (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def sample(self, policy: Tensor, generator: torch.Generator | None) -> Tensor:
        mean, log_std = policy.chunk(2, -1)
        if generator is None:
            return mean
        noise = torch.empty_like(mean).normal_(generator=generator)
        return mean + log_std.exp() * noise

    def divergence(self, policy: Tensor, other: Tensor) -> Tensor:
        mean, log_std = policy.chunk(2, -1)
        other_mean, other_log_std = other.chunk(2, -1)
        spread = torch.exp(2 * (log_std - other_log_std))
        shift = (mean - other_mean).square() * torch.exp(-2 * other_log_std)
        return (0.5 * (spread + shift - 1) + other_log_std - log_std).sum(-1)


def distribution_over(actions: Actions) -> Distribution:
    """The usual one for these actions.

    Raises:
        UnsupportedSpace: if there is none.
    """
    if actions.kind == "discrete":
        return Categorical(actions.count)
    if actions.kind == "multi_discrete":
        return MultiCategorical(actions.counts)
    if actions.kind == "box":
        return Gaussian(len(actions.low))
    raise UnsupportedSpace(
        f"there is no policy over {actions.description}; only over Discrete, MultiDiscrete, "
        "MultiBinary and Box of floats."
    )
