"""Convolutional torsos: the IMPALA paper's small one, and DQN's.

Legend: C channels, H x W pixels, uint8; features a vector of `features` numbers.
"""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from veldt.agents.interleave import interleave
from veldt.agents.networks.blocks import see
from veldt.agents.networks.settings import NetworkSettings
from veldt.platform.envs.vector import Observations
from veldt.platform.errors import UnsupportedSpace

Layers = tuple[tuple[int, int, int], ...]


FEW = 8  # images that stay in a processor's cache as float32; measured


class OfBytes(nn.Conv2d):
    """A convolution of pixels that come on the scale of bytes: their division is the filters'.

    Bytes are exact in bfloat16 too, and to divide a filter costs nothing beside dividing images.
    """

    byte = 1.0 / 255.0
    """what one of 255 counts for"""

    def forward(self, images: Tensor) -> Tensor:
        weight = self.weight * self.byte
        return functional.conv2d(images, weight, self.bias, self.stride, self.padding)


class Flat(nn.Module):
    """[N, C, H, W] -> [N, H * W * C], in the order in which channels-last images lie in memory."""

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


class ImageTorso(nn.Module):
    """What torsos of images share: how images come in, and how many at a time.

    Subclasses give `finish` their layers, from bytes (`OfBytes`) to `features`.
    """

    features: int
    block: int = 64
    """images whose activations stay in a processor's cache, forward and back; measured"""
    threads: int = 1
    """on which blocks are looked at side by side"""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self._last, self._centred = settings.channels_last, settings.pixels == "centred"

    def finish(self, *layers: nn.Module) -> None:
        """Takes the layers, a `Flat` among them, and lays filters out as the images are."""
        self.layers = nn.Sequential(*layers)
        flat = next(i for i, layer in enumerate(layers) if isinstance(layer, Flat))
        self._flat = flat + 1
        if not isinstance(layers[0], OfBytes):
            raise TypeError("the first layer of a torso of images is an OfBytes")
        if self._centred:
            layers[0].byte = 4.0 / 255.0
        for parameter in self.layers.parameters():
            if self._last and parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def keep_low(self) -> None:
        """Keeps the weights in bfloat16, which autocast would make of them at every step. Where
        nothing is learnt: the same bits come of it, for less memory that has to be read."""
        _, *later = self.layers.children()  # the first one's are divided before
        for layer in later:
            layer.to(torch.bfloat16)

    def forward(self, observation: Tensor) -> Float[Tensor, "*batch features"]:
        images = observation.flatten(0, -4)
        size = self.block if images.device.type == "cpu" else max(1, len(images))
        blocks = images.tensor_split(max(1, math.ceil(len(images) / size)))  # none much smaller
        if len(blocks) == 1:
            seen = self._look(images)
        elif torch.compiler.is_compiling():  # which sees no threads
            seen = torch.cat([self._look(block) for block in blocks])
        else:
            seen = see(self._look, blocks, self.layers[: self._flat].parameters(), self.threads)
        # Units read all at once: their weights are most of a torso's, and so are read once.
        features: Tensor = self.layers[self._flat :](seen)
        return features.reshape(*observation.shape[:-3], self.features)

    def _look(self, images: Tensor) -> Tensor:
        """What the convolutions make of images, flat."""
        kind = images.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float
        if not self._last:
            images = images.contiguous()
        elif not images.is_contiguous(memory_format=torch.channels_last):
            images = interleave(images)  # while they are bytes, a quarter of the traffic
        flat: Tensor = self.layers[: self._flat](self._pixels(images, dtype))
        return flat

    def _pixels(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """Bytes as numbers, by way of float32: torch has vector instructions for that alone."""
        shape = torch.channels_last if self._last else torch.contiguous_format
        found = torch.empty(images.shape, dtype=dtype, device=images.device, memory_format=shape)
        few = FEW if images.device.type == "cpu" else max(1, len(images))
        for some, place in zip(torch.split(images, few), torch.split(found, few), strict=True):
            pixels = some.float()
            if self._centred:
                line = (pixels.permute(0, 2, 3, 1) if self._last else pixels).flatten(1)
                pixels.sub_(line.mean(1)[:, None, None, None])
            place.copy_(pixels)
        return found


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
            kind = nn.Conv2d if layers else OfBytes
            layers += [kind(channels, filters, side, stride=stride), nn.ReLU(inplace=True)]
            channels = filters
            height, width = (height - side) // stride + 1, (width - side) // stride + 1
        units = nn.Linear(channels * height * width, self.features)
        self.finish(*layers, Flat(), units, nn.ReLU(inplace=True))


class Shallow(Convolutional):
    """Espeholt et al. 2018, arXiv:1802.01561, figure 3 left: 1.2 M parameters with its LSTM.

    That is the paper's for DeepMind Lab. On Atari its shallow agents have three convolutions
    (section 5.3.2): `Nature`.
    """

    NAME, LAYERS, features = "shallow", ((16, 8, 4), (32, 4, 2)), 256


class Nature(Convolutional):
    """Mnih et al. 2015, "Human-level control": 1.7 M parameters on Atari, where it is the shallow
    network of the IMPALA paper too."""

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
