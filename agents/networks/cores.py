"""What a network remembers between the steps of an episode.

Legend: N sequences side by side, L steps, F numbers in, S numbers of state.

A state is one row of numbers, so that it travels like any other array; that of an LSTM is
its output and then its cell. A sequence runs in one fused call: where episodes end is the
caller's business (`segments`).
"""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from veldt.agents.networks.settings import NetworkSettings


class Core(Protocol):
    """Between torso and heads."""

    features: int
    state_size: int
    """S; 0 if nothing is remembered"""

    def step(
        self, x: Float[Tensor, "N F"], state: Float[Tensor, "N S"]
    ) -> tuple[Float[Tensor, "N features"], Float[Tensor, "N S"]]:
        """One step of N episodes, and the state after it."""

    def sequence(
        self, x: Float[Tensor, "L N F"], state: Float[Tensor, "N S"]
    ) -> Float[Tensor, "L N features"]:
        """L steps from a state."""


class NoCore(nn.Module):
    """Nothing: the heads read what the torso sees."""

    state_size = 0

    def __init__(self, width: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.features = width

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return x, state

    def sequence(self, x: Tensor, state: Tensor) -> Tensor:
        return x


class LSTM(nn.Module):
    """Hochreiter and Schmidhuber 1997, with forget gates; S = 2 `core_size`."""

    def __init__(self, width: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.features = settings.core_size
        self.state_size = 2 * settings.core_size
        self.cell = nn.LSTM(width, settings.core_size)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        out, after = self.cell(x[None], self._split(state))
        return out[0], torch.cat(after, -1)[0]

    def sequence(self, x: Tensor, state: Tensor) -> Tensor:
        out: Tensor = self.cell(x, self._split(state))[0]
        return out

    @staticmethod
    def _split(state: Tensor) -> tuple[Tensor, Tensor]:
        output, cell = state[None].chunk(2, -1)
        return output.contiguous(), cell.contiguous()


class GRU(nn.Module):
    """Cho et al. 2014, arXiv:1406.1078; S = `core_size`."""

    def __init__(self, width: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.features = self.state_size = settings.core_size
        self.cell = nn.GRU(width, settings.core_size)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        out, after = self.cell(x[None], state[None].contiguous())
        return out[0], after[0]

    def sequence(self, x: Tensor, state: Tensor) -> Tensor:
        out: Tensor = self.cell(x, state[None].contiguous())[0]
        return out
