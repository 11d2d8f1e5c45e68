"""Policy and value networks: a torso for the observation, and two linear heads.

Torsos by name; a plug-in adds one through the entry points `veldt.networks`. A torso
is built from the shape of the observation and says how many features it gives.
"""

import math
from typing import Annotated, Any, Literal

import pydantic
import torch
from jaxtyping import Float
from torch import Tensor, nn

from veldt.platform import plugins
from veldt.platform.envs.vector import EnvironmentSpec, Observations
from veldt.platform.errors import UnsupportedSpace
from veldt.platform.settings import Settings

TORSOS = {
    "mlp": "veldt.agents.networks:MLP",
    "shallow": "veldt.agents.networks:Shallow",
}


class NetworkSettings(Settings):
    """What the network is made of."""

    torso: str = "auto"
    """A name from `veldt list networks`; "auto": shallow for images, mlp for the rest."""
    hidden: tuple[Annotated[int, pydantic.Field(ge=1, le=65_536)], ...] = (64, 64)
    """Widths of the mlp's layers."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Of the mlp."""


class ActorCritic(nn.Module):
    """Observation -> logits of a categorical policy, and a value."""

    def __init__(self, spec: EnvironmentSpec, settings: NetworkSettings) -> None:
        super().__init__()
        name = settings.torso
        if name == "auto":
            name = "shallow" if is_image(spec.observations) else "mlp"
        self.torso = plugins.load("networks", name, TORSOS)(spec.observations, settings)
        self.policy = nn.Linear(self.torso.features, spec.actions.count)
        self.value = nn.Linear(self.torso.features, 1)
        nn.init.orthogonal_(self.policy.weight, gain=0.01)  # begins near the uniform policy
        nn.init.zeros_(self.policy.bias)
        nn.init.zeros_(self.value.bias)

    def forward(
        self, observation: Tensor
    ) -> tuple[Float[Tensor, "*batch A"], Float[Tensor, "*batch"]]:
        features = self.torso(observation)
        return self.policy(features), self.value(features).squeeze(-1)


class MLP(nn.Module):
    """Fully connected layers over the flattened observation."""

    def __init__(self, observations: Observations, settings: NetworkSettings) -> None:
        super().__init__()
        self._dimensions = len(observations.shape)
        width = math.prod(observations.shape)
        layers: list[nn.Module] = []
        for hidden in settings.hidden:
            linear = nn.Linear(width, hidden)
            nn.init.orthogonal_(linear.weight, gain=math.sqrt(2.0))
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.Tanh() if settings.activation == "tanh" else nn.ReLU()]
            width = hidden
        self.layers = nn.Sequential(*layers)
        self.features = width

    def forward(self, observation: Tensor) -> Float[Tensor, "*batch features"]:
        flat = (
            observation.flatten(-self._dimensions) if self._dimensions else observation[..., None]
        )
        if flat.dtype == torch.uint8:
            flat = flat.float() / 255.0
        features: Tensor = self.layers(flat)
        return features


class Shallow(nn.Module):
    """Two convolutions and a layer of 256 (IMPALA, figure 3 left; 1.2 M parameters with LSTM)."""

    features = 256

    def __init__(self, observations: Observations, settings: NetworkSettings) -> None:
        super().__init__()
        if not is_image(observations):
            raise UnsupportedSpace(
                f"the shallow torso takes images [C, H, W] of at least 36 x 36, got "
                f"{list(observations.shape)}; use agent.network.torso=mlp."
            )
        channels, height, width = observations.shape
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2),
            nn.ReLU(),
            nn.Flatten(),
        )
        with torch.no_grad():
            flat = self.layers(torch.zeros(1, channels, height, width)).shape[1]
        self.layers.extend([nn.Linear(flat, 256), nn.ReLU()])

    def forward(self, observation: Tensor) -> Float[Tensor, "*batch features"]:
        batch = observation.shape[:-3]
        features: Tensor = self.layers(observation.flatten(0, -4).float() / 255.0)
        return features.reshape(*batch, self.features)


def is_image(observations: Observations) -> bool:
    """Whether the convolutional torsos can read it."""
    shape = observations.shape
    return observations.dtype == "uint8" and len(shape) == 3 and min(shape[1:]) >= 36


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def initialise(build: Any, seed: int) -> Any:
    """Calls `build` with torch's global generator seeded, and puts the generator back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
