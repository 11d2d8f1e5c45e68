"""What a network is made of, as settings."""

from typing import Annotated, Literal

import pydantic

from veldt.agents.networks.precision import Precision
from veldt.platform.settings import Settings


class NetworkSettings(Settings):
    """Torso, core and head, by the names of `veldt list networks`."""

    torso: str = "auto"
    """What reads the observation; "auto": shallow for images, mlp for the rest."""
    hidden: tuple[Annotated[int, pydantic.Field(ge=1, le=65_536)], ...] = (64, 64)
    """Widths of the mlp's layers."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Of the mlp."""
    normalise: bool = False
    """Observations of numbers come to mean 0 and deviation 1, by all that was learnt from."""
    share_torso: bool = True
    """Policy and value read with one torso; false: each with its own, as is usual for robots.
    That is for core="none"."""
    core: str = "none"
    """What remembers: none, lstm, gru."""
    core_size: int = pydantic.Field(256, ge=1, le=65_536)
    """Units of a recurrent core."""
    last_action: bool = False
    """The core sees the action before, one-hot."""
    last_reward: bool = False
    """The core sees the reward before, clipped to [-1, 1]."""
    head: str = "auto"
    """What the policy is; "auto": by the environment's actions."""
    popart: float = pydantic.Field(0.0, ge=0.0, le=1.0)
    """Step of PopArt's statistics (its paper: 3e-4), with a value head for each task; 0: one
    value head and no normalisation."""
    pixels: Literal["unit", "centred"] = "unit"
    """What a convolution reads: bytes / 255, or each image less its own mean and four times as
    large, so that a bright background does not kill rectified units."""
    initialisation: Literal["torch", "orthogonal"] = "torch"
    """What weights begin as: as torch draws them, or orthogonal (gain sqrt(2) in the torso, 1
    elsewhere) with biases of 0, which keeps units of deep torsos alive. The policy's last
    layer begins small either way."""
    precision: Precision = "float32"
    """What the torso computes in; weights and the rest stay float32. "auto": bfloat16 where the
    device multiplies in it (AMX, AVX-512 BF16, tensor cores), each process for itself."""
    channels_last: bool = True
    """Memory format of images inside the torso."""
    compile: bool = False
    """Hand the torso to torch.compile, in the learner and in the actors."""
