"""Fully connected layers over the flattened observation."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from veldt.agents.networks.settings import NetworkSettings
from veldt.platform.envs.vector import Observations


class MLP(nn.Module):
    """A torso: `hidden` layers, orthogonal with gain sqrt(2)."""

    def __init__(self, observations: Observations, settings: NetworkSettings) -> None:
        super().__init__()
        self._dimensions = len(observations.shape)
        width = math.prod(observations.shape)
        layers: list[nn.Module] = []
        for hidden in settings.hidden:
            linear = nn.Linear(width, hidden)
            nn.init.orthogonal_(linear.weight, gain=math.sqrt(2.0))
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.Tanh() if settings.activation == "tanh" else nn.ReLU()]
            width = hidden
        self.layers = nn.Sequential(*layers)
        self.features = width

    def forward(self, observation: Tensor) -> Float[Tensor, "*batch features"]:
        flat = (
            observation.flatten(-self._dimensions) if self._dimensions else observation[..., None]
        )
        if flat.dtype == torch.uint8:
            flat = flat.float() / 255.0
        features: Tensor = self.layers(flat)
        return features
