"""The last layer of a policy: from features to the parameters of a distribution over actions.

Each begins near the policy that prefers nothing: orthogonal weights of gain 0.01, no bias.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from veldt.agents.distributions import Distribution, distribution_over
from veldt.platform.envs.vector import Actions
from veldt.platform.errors import UnsupportedSpace


class Head(nn.Linear):
    """Features -> [..., P]."""

    KIND: ClassVar[str]
    """of the actions"""
    distribution: Distribution

    def __init__(self, features: int, actions: Actions) -> None:
        if actions.kind != self.KIND:
            raise UnsupportedSpace(
                f"a {type(self).__name__} gives {self.KIND} actions; the environment takes "
                f"{actions.description} ({actions.kind}). Use agent.network.head=auto."
            )
        distribution = distribution_over(actions)
        super().__init__(features, self.outputs(distribution))
        self.distribution = distribution

    @staticmethod
    def outputs(distribution: Distribution) -> int:
        """Of the linear layer."""
        return distribution.size

    def begin(self) -> None:
        """Draws the first weights."""
        nn.init.orthogonal_(self.weight, gain=0.01)
        nn.init.zeros_(self.bias)


class CategoricalHead(Head):
    """Logits of one choice."""

    KIND = "discrete"


class MultiCategoricalHead(Head):
    """Logits of several choices, one after another."""

    KIND = "multi_discrete"


class GaussianHead(Head):
    """Means from the features; the deviations are parameters of their own, 1 at first."""

    KIND = "box"

    def __init__(self, features: int, actions: Actions) -> None:
        super().__init__(features, actions)
        self.log_std = nn.Parameter(torch.zeros(len(actions.low)))

    @staticmethod
    def outputs(distribution: Distribution) -> int:
        return distribution.size // 2

    def forward(self, input: Tensor) -> Float[Tensor, "*batch P"]:  # noqa: A002 (torch's name)
        mean = super().forward(input)
        return torch.cat([mean, self.log_std.expand_as(mean)], -1)


HEADS = {
    head.KIND: name
    for name, head in {
        "categorical": CategoricalHead,
        "multi-categorical": MultiCategoricalHead,
        "gaussian": GaussianHead,
    }.items()
}
"""The name of the head for a kind of actions."""
