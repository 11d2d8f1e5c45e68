"""A matrix and nothing else, as in augmented random search.

Mania, Guy and Recht 2018, arXiv:1803.07055, algorithm 2: a = M diag(Sigma)^-1/2 (x - mu), M
zero at the start, no bias, no squashing.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from veldt.platform.envs.single import SingleSpec
from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.vectors import State, Vector

Act = Callable[[Vector], Vector]


class LinearSettings(Settings):
    """There is nothing to set but the bias."""

    name: Literal["linear"] = "linear"
    bias: bool = False


class Linear:
    """a = M (x - mean) scale, M [m, n], with a bias [m] if asked for."""

    Settings = LinearSettings

    def __init__(self, settings: LinearSettings, spec: SingleSpec, clip: float | None) -> None:
        self._n, self._m, self._clip = spec.observation_size, spec.action_size, clip
        self._bias = settings.bias
        self.size = self._m * (self._n + settings.bias)
        self.act: Act = _unloaded
        self.act_with_1: Act | None = None

    def start(self, key: Key) -> Vector:
        return np.zeros(self.size)

    def load(self, parameters: Vector, mean: Vector, scale: Vector) -> None:
        named = self.named(parameters)
        weight = named["weight"].copy()
        offset = named.get("bias", np.zeros(self._m)).copy()
        if self._clip is None:
            # The filter is as linear as the policy: one product does for both.
            weight *= scale
            offset -= weight @ mean
            extended = np.column_stack([weight, offset])
            out, product = np.zeros(self._m), extended.dot
            # (A closure: a hot loop pays for every name that it looks up.)
            self.act_with_1 = lambda x: product(x, out)
            self.act = lambda x: product(np.append(x, 1.0), out)
        else:
            clip, mean, scale = self._clip, mean.copy(), scale.copy()
            self.act = lambda x: weight @ ((x - mean) * scale).clip(-clip, clip) + offset

    def named(self, parameters: Vector) -> State:
        weight = parameters[: self._m * self._n].reshape(self._m, self._n)
        bias = {"bias": parameters[self._m * self._n :].copy()} if self._bias else {}
        return {"weight": weight} | bias


def _unloaded(x: Vector) -> Vector:
    raise RuntimeError("load the policy's parameters first")
