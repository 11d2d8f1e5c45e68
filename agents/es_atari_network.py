"""The network that evolution strategies play Atari with, as a flat vector of parameters.

Salimans et al. 2017, arXiv:1703.03864, sections 2.2 and 4.2: 16 filters of 8x8 stride 4, 32
of 4x4 stride 2, 256 units, each followed by virtual batch normalisation and a ReLU, then
one number for each action, of which the largest is taken.

The normalisation is folded into the weights when parameters are loaded. What is left is the
`shallow` network of our agents: `named` gives the weights of one.

Legend: B observations, S frames in each, A actions, P parameters, R reference observations.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from veldt.agents.build import use_threads
from veldt.agents.virtual_batch_norm import VirtualBatchNorm
from veldt.platform.keys import Key

Vector = NDArray[np.float64]
Images = NDArray[np.uint8]

STRIDES = (4, 2)  # of the convolutions
UNITS = 256
SIDE = 9  # of what the convolutions make of 84 x 84
CHUNK = 8  # reference observations between two ticks; part of the result's last bits
NAMES = ("torso.layers.0", "torso.layers.2", "torso.layers.5", "policy")  # in an ActorCritic


class ESAtariNetwork:
    """Parameters [P] at a time; float32 inside, one thread, no chance.

    The flat vector holds the weight [C, ...], gain [C] and bias [C] of each normalised
    layer, then the last layer's weight [A, 256] and bias [A].

    Args:
        actions: A.
        reference: uint8 [R, S, 84, 84].
        normalise: False takes mean 0 and variance 1 instead of the reference's.
        last: Norm of the last layer's rows at the start; all others have 1.
    """

    def __init__(
        self, actions: int, reference: Images, normalise: bool = True, last: float = 0.01
    ) -> None:
        use_threads(1)
        self._reference = torch.from_numpy(reference)
        self._normalise, self._last = normalise, last
        self._shapes: list[tuple[int, ...]] = [
            (16, reference.shape[1], 8, 8),
            (32, 16, 4, 4),
            (UNITS, 32 * SIDE * SIDE),
            (actions, UNITS),
        ]
        extra = 2 * (16 + 32 + UNITS) + actions
        self.size = sum(math.prod(shape) for shape in self._shapes) + extra
        """P"""
        self._layers: list[tuple[Tensor, Tensor]] = []

    def start(self, key: Key) -> Vector:
        """Rows of weights drawn on a sphere ("normc"), gains 1, biases 0; [P]."""
        generator, parts = key.generator(), []
        for shape in self._shapes:
            hidden = shape is not self._shapes[-1]
            weight = generator.standard_normal((shape[0], math.prod(shape[1:])))
            weight *= (1.0 if hidden else self._last) / np.linalg.norm(
                weight, axis=1, keepdims=True
            )
            parts += [weight.ravel(), np.ones(shape[0] * hidden), np.zeros(shape[0])]
        return np.concatenate(parts)

    def load(self, parameters: Vector, tick: Callable[[], None] = lambda: None) -> bool:
        """Takes on parameters [P], and runs the reference batch through every layer.

        Args:
            parameters: Copied.
            tick: Called every few milliseconds.

        Returns:
            Whether all is finite; if not, it cannot act.
        """
        flat, self._layers, at = torch.from_numpy(parameters).float(), [], 0

        def take(*shape: int) -> Tensor:
            nonlocal at
            at += math.prod(shape)
            return flat[at - math.prod(shape) : at].view(shape)

        with torch.inference_mode():
            x = self._reference
            for index, shape in enumerate(self._shapes[:-1]):
                weight = take(*shape)
                gain, bias = take(2, shape[0])
                if self._normalise:
                    x = self._layer_of_all(x, index, weight, tick)
                    norm = VirtualBatchNorm(x, gain, bias)
                    x = norm(x).relu_()
                else:
                    norm = VirtualBatchNorm(None, gain, bias)
                self._layers.append(norm.fold(weight))
            self._layers.append((take(*self._shapes[-1]).clone(), take(flat.numel() - at)))
            return all(bool(part.isfinite().all()) for layer in self._layers for part in layer)

    @staticmethod
    def _layer_of_all(x: Tensor, index: int, weight: Tensor, tick: Callable[[], None]) -> Tensor:
        """A layer without its bias, a chunk of x at a time."""
        parts = []
        for part in torch.split(x, CHUNK):
            tick()
            parts.append(_layer(part, index, weight, None))
        return torch.cat(parts)

    def logits(self, observation: Images) -> NDArray[np.float32]:
        """What each action is worth, [B, A], to observations [B, S, 84, 84]."""
        with torch.inference_mode():
            x = torch.from_numpy(observation)
            for index, (weight, bias) in enumerate(self._layers[:-1]):
                x = _layer(x, index, weight, bias).relu_()
            found: NDArray[np.float32] = functional.linear(x, *self._layers[-1]).numpy()
        return found

    def named(self) -> dict[str, NDArray[Any]]:
        """What is loaded, as the weights of an agent with the shallow torso; its value is 0."""
        found: dict[str, NDArray[Any]] = {}
        for name, (weight, bias) in zip(NAMES, self._layers, strict=True):
            found |= {f"{name}.weight": weight.numpy().copy(), f"{name}.bias": bias.numpy().copy()}
        units = f"{NAMES[len(STRIDES)]}.weight"
        channels = len(self._layers[len(STRIDES) - 1][1])
        # There they read a place after another, each with its channels: see `Flat`.
        planes = found[units].reshape(UNITS, channels, -1)
        found[units] = planes.transpose(0, 2, 1).reshape(UNITS, -1)
        found["value.weight"] = np.zeros((1, UNITS), np.float32)
        found["value.bias"] = np.zeros(1, np.float32)
        return found


def _layer(x: Tensor, index: int, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Hidden layer `index` before its ReLU; the first takes bytes."""
    if index == 0:
        x = x.float() / 255.0
    if index < len(STRIDES):
        return functional.conv2d(x, weight, bias, STRIDES[index])
    return functional.linear(x.flatten(1), weight, bias)
