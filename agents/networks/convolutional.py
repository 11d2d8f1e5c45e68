"""Convolutional torsos: the IMPALA paper's small one, and DQN's.

Legend: C channels, H x W pixels, uint8; features a vector of `features` numbers.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from veldt.agents.networks.settings import NetworkSettings
from veldt.platform.envs.vector import Observations
from veldt.platform.errors import UnsupportedSpace

Layers = tuple[tuple[int, int, int], ...]


class Convolutional(nn.Module):
    """Convolutions without padding, each with a ReLU, then a layer of units."""

    NAME: ClassVar[str]
    LAYERS: ClassVar[Layers]  # filters, side, stride
    features: int

    def __init__(self, observations: Observations, settings: NetworkSettings) -> None:
        super().__init__()
        demand_image(self.NAME, observations)
        channels, height, width = observations.shape
        self._format = memory_format(settings)
        layers: list[nn.Module] = []
        for filters, side, stride in self.LAYERS:
            layers += [nn.Conv2d(channels, filters, side, stride=stride), nn.ReLU()]
            channels = filters
        self.layers = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            flat = self.layers(torch.zeros(1, observations.shape[0], height, width)).shape[1]
        self.layers.extend([nn.Linear(flat, self.features), nn.ReLU()])
        order_filters(self, self._format)

    def forward(self, observation: Tensor) -> Float[Tensor, "*batch features"]:
        images, batch = as_images(observation, self._format)
        features: Tensor = self.layers(images)
        return features.reshape(*batch, self.features)


class Shallow(Convolutional):
    """Espeholt et al. 2018, arXiv:1802.01561, figure 3 left: 1.2 M parameters with its LSTM."""

    NAME, LAYERS, features = "shallow", ((16, 8, 4), (32, 4, 2)), 256


class Nature(Convolutional):
    """Mnih et al. 2015, "Human-level control": 1.7 M parameters on Atari."""

    NAME, LAYERS, features = "nature", ((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512


def is_image(observations: Observations) -> bool:
    """Whether the convolutional torsos can read it."""
    shape = observations.shape
    return observations.dtype == "uint8" and len(shape) == 3 and min(shape[1:]) >= 36


def demand_image(name: str, observations: Observations) -> None:
    """Raises `UnsupportedSpace` if a torso of convolutions cannot read it."""
    if not is_image(observations):
        raise UnsupportedSpace(
            f"the {name} torso takes uint8 images [C, H, W] of at least 36 x 36, got "
            f"{observations.dtype} {list(observations.shape)}; use agent.network.torso=mlp."
        )


def memory_format(settings: NetworkSettings) -> torch.memory_format:
    """Of images and of the filters that read them."""
    return torch.channels_last if settings.channels_last else torch.contiguous_format


def order_filters(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Lays the filters of a network out in a memory format."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=memory_format)


def as_images(
    observation: Tensor, memory_format: torch.memory_format
) -> tuple[Tensor, tuple[int, ...]]:
    """uint8 [*batch, C, H, W] as [N, C, H, W] in 0..1, and the batch's shape."""
    # While they are bytes: a quarter of the traffic, where the memory format changes.
    images = observation.flatten(0, -4).contiguous(memory_format=memory_format)
    return images.float() / 255.0, tuple(observation.shape[:-3])
