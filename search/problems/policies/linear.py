"""A matrix and nothing else, as in augmented random search.

Mania, Guy and Recht 2018, arXiv:1803.07055, algorithm 2: a = M diag(Sigma)^-1/2 (x - mu), M
zero at the start, no bias, no squashing.
"""

from typing import Literal

import numpy as np

from veldt.platform.envs.single import SingleSpec
from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.vectors import State, Vector


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
        self._out = np.zeros(self._m)

    def start(self, key: Key) -> Vector:
        return np.zeros(self.size)

    def load(self, parameters: Vector, mean: Vector, scale: Vector) -> None:
        named = self.named(parameters)
        self._weight = named["weight"].copy()
        self._offset = named.get("bias", np.zeros(self._m)).copy()
        self._mean, self._scale = mean.copy(), scale.copy()
        if self._clip is None:
            # The filter is as linear as the policy: one product does for both.
            self._weight *= scale
            self._offset -= self._weight @ mean
        self._product = self._weight.dot

    def act(self, observation: Vector) -> Vector:
        if self._clip is not None:
            observation = (observation - self._mean) * self._scale
            observation.clip(-self._clip, self._clip, out=observation)
        action: Vector = self._product(observation, self._out)
        action += self._offset
        return action

    def named(self, parameters: Vector) -> State:
        weight = parameters[: self._m * self._n].reshape(self._m, self._n)
        bias = {"bias": parameters[self._m * self._n :].copy()} if self._bias else {}
        return {"weight": weight} | bias
