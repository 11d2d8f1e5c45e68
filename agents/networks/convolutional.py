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


class ImageTorso(nn.Module):
    """What torsos of images share: how images come in, and how many at a time.

    Subclasses give `finish` their layers, from images to `features`.
    """

    features: int
    block: int = 64
    """images whose activations stay in a processor's cache, forward and back; measured"""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self._last = settings.channels_last

    def finish(self, *layers: nn.Module) -> None:
        """Takes the layers, and lays their filters out as the images are."""
        self.layers = nn.Sequential(*layers)
        for parameter in self.layers.parameters():
            if self._last and parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def forward(self, observation: Tensor) -> Float[Tensor, "*batch features"]:
        images = observation.flatten(0, -4)
        size = self.block if images.device.type == "cpu" else max(1, len(images))
        features = [self._read(block) for block in torch.split(images, size)]
        return torch.cat(features).reshape(*observation.shape[:-3], self.features)

    def _read(self, images: Tensor) -> Tensor:
        # Turned while they are bytes, a quarter of the traffic; stacking is how torch is fast.
        if self._last:
            images = torch.stack(images.unbind(1), -1).permute(0, 3, 1, 2)
        kind = images.device.type
        # Bytes are exact in bfloat16 too; the quotient is rounded once either way.
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float
        features: Tensor = self.layers(images.to(dtype).div_(255.0))
        return features


class Convolutional(ImageTorso):
    """Convolutions without padding, each with a ReLU, then a layer of units."""

    NAME: ClassVar[str]
    LAYERS: ClassVar[Layers]  # filters, side, stride

    def __init__(self, observations: Observations, settings: NetworkSettings) -> None:
        super().__init__(settings)
        demand_image(self.NAME, observations)
        channels, height, width = observations.shape
        layers: list[nn.Module] = []
        for filters, side, stride in self.LAYERS:
            layers += [nn.Conv2d(channels, filters, side, stride=stride), nn.ReLU()]
            channels = filters
            height, width = (height - side) // stride + 1, (width - side) // stride + 1
        units = nn.Linear(channels * height * width, self.features)
        self.finish(*layers, nn.Flatten(), units, nn.ReLU())


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
