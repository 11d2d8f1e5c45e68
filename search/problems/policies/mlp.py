"""A small fully connected network with tanh between its layers, in NumPy.

Salimans et al. 2017, arXiv:1703.03864, section 4.1: two hidden layers of 64; each row of a
layer is drawn on a sphere ("normc"), the last one's hundred times smaller.
"""

from typing import Literal

import numpy as np
import pydantic

from veldt.platform.envs.single import SingleSpec
from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.vectors import State, Vector

LAST = 0.01  # the norm of the last layer's rows at the start


class MlpSettings(Settings):
    """The sizes of the layers."""

    name: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = (64, 64)

    @pydantic.field_validator("hidden")
    @classmethod
    def _has_units(cls, hidden: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 1 <= units <= 65_536 for units in hidden):
            raise ValueError("a layer has 1 to 65,536 units")
        return hidden


class Mlp:
    """tanh(... tanh(W_1 x + b_1) ...), the last layer linear."""

    Settings = MlpSettings
    act_with_1 = None

    def __init__(self, settings: MlpSettings, spec: SingleSpec, clip: float | None) -> None:
        sizes = (spec.observation_size, *settings.hidden, spec.action_size)
        self._shapes = [(out, into) for into, out in zip(sizes[:-1], sizes[1:], strict=True)]
        self.size = sum(out * into + out for out, into in self._shapes)
        self._clip = clip
        self._filtered = np.zeros(sizes[0])
        self._outs = [np.zeros(out) for out, _ in self._shapes]

    def start(self, key: Key) -> Vector:
        generator = key.generator()
        parts = []
        for index, (out, into) in enumerate(self._shapes):
            weight = generator.standard_normal((out, into))
            weight /= np.sqrt((weight**2).sum(1, keepdims=True))
            weight *= LAST if index == len(self._shapes) - 1 else 1.0
            parts += [weight.ravel(), np.zeros(out)]
        return np.concatenate(parts)

    def load(self, parameters: Vector, mean: Vector, scale: Vector) -> None:
        named = list(self.named(parameters.copy()).values())
        self._mean, self._scale = mean.copy(), scale.copy()
        self._layers = list(zip(named[::2], named[1::2], self._outs, strict=True))

    def act(self, observation: Vector) -> Vector:
        x = np.subtract(observation, self._mean, out=self._filtered)
        x *= self._scale
        if self._clip is not None:
            x.clip(-self._clip, self._clip, out=x)
        last = len(self._layers) - 1
        for index, (weight, bias, out) in enumerate(self._layers):
            x = np.dot(weight, x, out=out)
            x += bias
            if index < last:
                np.tanh(x, out=x)
        return x

    def named(self, parameters: Vector) -> State:
        found, at = {}, 0
        for index, (out, into) in enumerate(self._shapes):
            found[f"{index}.weight"] = parameters[at : at + out * into].reshape(out, into)
            at += out * into
            found[f"{index}.bias"] = parameters[at : at + out]
            at += out
        return found
