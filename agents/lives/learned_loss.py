"""A loss that evolution writes: what an agent lived through, in; what it descends, out.

Houthooft et al. 2018, "Evolved Policy Gradients", arXiv:1802.04821, section 3.2 and figure 2,
with the sizes of the code released with it.

    x         [T, C]   observation, action, 1, reward, done, what the policy says now, memory
    context   [c]      mean over time of two temporal convolutions over the whole buffer, a layer
    loss               mean over the samples of a minibatch of a layer of x and context, a layer

Legend: L lives, T steps of the buffer, N samples of a minibatch, C channels of x, c numbers of
the context, Q parameters of the loss.

Gradients reach the policy through what it says, in both branches, and the memory through the
samples alone.
"""

import math
from typing import Literal

import numpy as np
import pydantic
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from veldt.agents.lives.anatomy import Anatomy, Layout
from veldt.platform.settings import Settings


class Convolution(Settings):
    """One over time."""

    filters: int = pydantic.Field(ge=1, le=4096)
    side: int = pydantic.Field(ge=1, le=4096)
    stride: int = pydantic.Field(ge=1, le=4096)


class LossSettings(Settings):
    """Of the network that is the loss; the defaults are the release's."""

    kind: Literal["epg"] = "epg"
    convolutions: tuple[Convolution, ...] = (
        Convolution(filters=16, side=6, stride=5),
        Convolution(filters=32, side=4, stride=2),
    )
    context: int = pydantic.Field(32, ge=0, le=4096)
    """c; 0: no context, each sample for itself"""
    units: int = pydantic.Field(16, ge=1, le=4096)
    """of the layer that reads a sample"""
    memory: int = pydantic.Field(32, ge=0, le=4096)
    """numbers of an agent's memory, which descends the loss as its weights do; 0: none"""
    memory_weights: int = pydantic.Field(64, ge=1, le=4096)
    """of each of those numbers"""


class LearnedLoss:
    """The network; its parameters are given from outside, a row for each life.

    Args:
        settings: Of it.
        anatomy: Of the agents that descend it.
    """

    def __init__(self, settings: LossSettings, anatomy: Anatomy) -> None:
        self._settings, self._memory = settings, anatomy.memory
        self.channels = (
            anatomy.observation + anatomy.choices + 3 + anatomy.outputs + anatomy.memory
        )
        """C"""
        shapes: dict[str, tuple[int, ...]] = {}
        width = self.channels
        if settings.context:
            for i, layer in enumerate(settings.convolutions):
                shapes[f"convolution.{i}.weight"] = (width * layer.side, layer.filters)
                shapes[f"convolution.{i}.bias"] = (layer.filters,)
                width = layer.filters
            shapes["context.weight"] = (width, settings.context)
            shapes["context.bias"] = (settings.context,)
        shapes["units.weight"] = (self.channels + settings.context, settings.units)
        shapes["units.bias"] = (settings.units,)
        shapes["out.weight"], shapes["out.bias"] = (settings.units, 1), (1,)
        self._layout = Layout(shapes)
        self.size = self._layout.size
        """Q"""

    def begin(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Where evolution begins, [Q]: weights of variance 1 / inputs, biases 0."""
        found = [
            generator.standard_normal(math.prod(shape)) / math.sqrt(shape[0])
            if name.endswith("weight")
            else np.zeros(math.prod(shape))
            for name, shape in self._layout.shapes.items()
        ]
        return np.concatenate(found)

    def split(self, rows: Float[Tensor, "L Q"]) -> dict[str, Tensor]:
        return self._layout.split(rows)

    def __call__(
        self,
        parts: dict[str, Tensor],
        lived: Float[Tensor, "L T K"],
        policy: Float[Tensor, "L T W"],
        memory: Float[Tensor, "L M"] | None,
        chosen: Int[Tensor, "L N"],
    ) -> Float[Tensor, " L"]:
        """Each life's loss.

        Args:
            parts: Of `split`.
            lived: Observation, action, 1, reward and done of the buffer, oldest first.
            policy: What it says of those observations now.
            memory: Of the agents.
            chosen: The samples of the minibatch, by their places in the buffer.
        """
        lives = torch.arange(len(lived))[:, None]
        samples = torch.cat([lived[lives, chosen], policy[lives, chosen]], -1)
        if memory is not None:
            samples = torch.cat([samples, _tiled(memory, samples)], -1)
        if self._settings.context:
            remembered = None if memory is None else memory.detach()
            context = self.context(parts, lived, policy, remembered)
            samples = torch.cat([samples, _tiled(context, samples)], -1)
        hidden = functional.leaky_relu(_layer(parts, "units", samples))
        return _layer(parts, "out", hidden).mean((1, 2))

    def context(
        self,
        parts: dict[str, Tensor],
        lived: Float[Tensor, "L T K"],
        policy: Float[Tensor, "L T W"],
        memory: Float[Tensor, "L M"] | None,
    ) -> Float[Tensor, "L c"]:
        """What the whole buffer comes to."""
        x = torch.empty(0)
        for i, layer in enumerate(self._settings.convolutions):
            name = f"convolution.{i}"
            if i:
                x = _layer(parts, name, _windows(x, layer))
            else:
                x = _first(parts, layer, lived, policy, memory)
            x = functional.leaky_relu(x)
        return functional.leaky_relu(_layer(parts, "context", x.mean(1, keepdim=True)))[:, 0]


def _windows(x: Float[Tensor, "L T C"], layer: Convolution) -> Tensor:
    """[L, T', C * side]"""
    return x.unfold(1, layer.side, layer.stride).flatten(2)


def _first(
    parts: dict[str, Tensor],
    layer: Convolution,
    lived: Tensor,
    policy: Tensor,
    memory: Tensor | None,
) -> Tensor:
    """The first convolution, its channels taken apart: nothing goes back through what was lived,
    and what is remembered is the same at all times."""
    weight, bias = parts["convolution.0.weight"], parts["convolution.0.bias"]
    widths = [x.shape[-1] * layer.side for x in (lived, policy)]
    widths.append(weight.shape[1] - sum(widths))
    of_lived, of_policy, of_memory = torch.split(weight, widths, 1)
    if memory is not None:
        sides = torch.unflatten(of_memory, 1, (-1, layer.side)).sum(2)  # [L, M, filters]
        bias = torch.baddbmm(bias[:, None], memory[:, None], sides)[:, 0]
    x = torch.baddbmm(bias[:, None], _windows(lived, layer), of_lived)
    return torch.baddbmm(x, _windows(policy, layer), of_policy)


def _layer(parts: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return torch.baddbmm(parts[f"{name}.bias"][:, None], x, parts[f"{name}.weight"])


def _tiled(row: Tensor, like: Tensor) -> Tensor:
    """[L, K] for each of the steps or samples of `like`."""
    return row[:, None].expand(-1, like.shape[1], -1)
