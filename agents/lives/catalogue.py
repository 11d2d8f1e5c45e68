"""The kinds of learned losses, and the losses written by hand, by name."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.drift import DPO, Drifting, DriftNetwork, DriftSettings
from veldt.agents.lives.inner_losses import (
    A2C,
    PPO,
    ByHand,
    Evolved,
    InnerLoss,
    Parts,
    PolicyGradient,
)
from veldt.agents.lives.learned_loss import LearnedLoss, LossSettings
from veldt.agents.lives.vtrace_loss import VTraceLoss, VTraceNumbers, VTraceSettings
from veldt.platform.errors import UnknownName
from veldt.platform.settings import Settings


class Network(Protocol):
    """A network that is a loss, or a part of one."""

    size: int
    """Q, its parameters"""

    def begin(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Where evolution begins, [Q]."""

    def split(self, rows: Tensor) -> Parts:
        """Its weights by name, from rows of parameters [L, Q]."""


class Kind(NamedTuple):
    """What a name stands for."""

    settings: type[Settings]
    network: Callable[[Any, Anatomy], Network]
    loss: Callable[[Any, Anatomy], InnerLoss]
    """from the network"""
    value: bool
    """whether agents need a value"""
    any_shape: bool
    """whether one loss does for all observations and actions"""


KINDS: Mapping[str, Kind] = {
    "epg": Kind(LossSettings, LearnedLoss, Evolved, False, False),
    "drift": Kind(DriftSettings, DriftNetwork, lambda network, one: Drifting(one), True, True),
    "v-trace": Kind(
        VTraceSettings, VTraceNumbers, lambda network, one: VTraceLoss(one), True, True
    ),
}


BY_HAND: Mapping[str, type[ByHand]] = {
    "policy-gradient": PolicyGradient,
    "a2c": A2C,
    "ppo": PPO,
    "dpo": DPO,
}


def memory_of(settings: Any) -> tuple[int, int]:
    """Of the agents that descend a loss, as `Anatomy` takes it; (0, 0) where it reads none."""
    if isinstance(settings, LossSettings):
        return settings.memory, settings.memory_weights
    return 0, 0


def kind_of(settings: Any) -> Kind:
    """That a loss's settings belong to."""
    return KINDS[settings.kind]


def parse(data: Any, at: tuple[str | int, ...] = ()) -> Settings:
    """Settings of the kind that the data name; "epg" if they name none.

    Raises:
        UnknownName: if there is no such kind.
        SettingsError: if they are wrong.
    """
    if isinstance(data, Settings):
        return data
    name = data.get("kind", "epg") if isinstance(data, Mapping) else "epg"
    if name not in KINDS:
        raise UnknownName(f"losses: no {name!r}. The kinds are {', '.join(KINDS)}.")
    return KINDS[name].settings.parse(data, at)
