"""A drift that evolution writes: what keeps a policy near the one that acted.

Lu et al. 2022, "Discovered Policy Optimisation", arXiv:2210.05639: within mirror learning only
the drift f is free, and PPO's clipping is one. The loss of a sample is

    -(r A - relu(f(r, A) - xi))      with r = pi / mu, A the advantage, xi = 1e-4

f is a network without biases on d, d^2, 1 - e^d, (1 - e^d)^2 with d = log r, and the same times A,
so that it is nothing where the policies are the same. What the authors read off theirs, DPO, is

    A >= 0    relu((r - 1) A - 2 tanh((r - 1) A / 2))
    A < 0     relu(log r A - 0.6 tanh(log r A / 0.6))

Legend: L lives, N samples, Q parameters of the network.
"""

import math
from typing import Literal

import numpy as np
import pydantic
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from veldt.agents.lives.anatomy import Anatomy, Layout
from veldt.agents.lives.inner_losses import ByHand, Parts, Sampled
from veldt.platform.settings import Settings

INPUTS = 8
XI = 1e-4
ALPHA, BETA = 2.0, 0.6  # of DPO


class DriftSettings(Settings):
    """Of the network."""

    kind: Literal["drift"] = "drift"
    units: int = pydantic.Field(128, ge=1, le=65_536)


class DriftNetwork:
    """f; its parameters are given from outside, a row for each life.

    Args:
        settings: Of it.
        anatomy: Of the agents that descend it.
    """

    def __init__(self, settings: DriftSettings, anatomy: Anatomy) -> None:
        self._layout = Layout({"units": (INPUTS, settings.units), "out": (settings.units, 1)})
        self.size = self._layout.size
        """Q"""

    def begin(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Where evolution begins, [Q]: weights of variance 1 / inputs."""
        return np.concatenate(
            [
                generator.standard_normal(math.prod(shape)) / math.sqrt(shape[0])
                for shape in self._layout.shapes.values()
            ]
        )

    def split(self, rows: Float[Tensor, "L Q"]) -> Parts:
        return self._layout.split(rows)

    @staticmethod
    def drift(
        parts: Parts, log_ratio: Float[Tensor, "L N"], advantage: Float[Tensor, "L N"]
    ) -> Float[Tensor, "L N"]:
        """f, before it is cut off at xi."""
        change = -torch.expm1(log_ratio)
        parts_of = [log_ratio, log_ratio.square(), change, change.square()]
        x = torch.stack([*parts_of, *(part * advantage for part in parts_of)], -1)
        return torch.bmm(torch.tanh(torch.bmm(x, parts["units"])), parts["out"]).squeeze(-1)


class Drifting(ByHand):
    """PPO with another drift than clipping."""

    def _policy_loss(self, loss: Parts, sampled: Sampled) -> Tensor:
        log_mu = self._distribution.log_probability(sampled.behaviour, sampled.action)
        log_ratio = sampled.log_pi - log_mu
        drift = functional.relu(self._drift(loss, log_ratio, sampled.advantages) - XI)
        return drift - torch.exp(log_ratio) * sampled.advantages

    def _drift(self, loss: Parts, log_ratio: Tensor, advantages: Tensor) -> Tensor:
        return DriftNetwork.drift(loss, log_ratio, advantages)


class DPO(Drifting):
    """The closed form that its authors read off."""

    def _drift(self, loss: Parts, log_ratio: Tensor, advantages: Tensor) -> Tensor:
        return closed_form(log_ratio, advantages) + XI


def closed_form(log_ratio: Tensor, advantages: Tensor) -> Tensor:
    """DPO's drift."""
    gain = torch.expm1(log_ratio) * advantages
    loss = log_ratio * advantages
    return torch.where(
        advantages >= 0.0,
        functional.relu(gain - ALPHA * torch.tanh(gain / ALPHA)),
        functional.relu(loss - BETA * torch.tanh(loss / BETA)),
    )
