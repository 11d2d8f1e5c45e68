"""The agents' own networks as policies over a flat vector, for evolution to search.

    policy = FlatNetwork(settings, spec, clip)       # the contract of a policy of a search
    policy.load(parameters, mean, scale)
    worth = policy.act(observation)

What evolution found can go back: `export` writes it as a run of the agent's, at its update
0, which `veldt evaluate` plays and `veldt train --resume` goes on from. The value of such an
agent is 0 until it is trained: a search over policies has no use for one.

Legend: P parameters, n numbers in an observation, m in an action (or m to choose from).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Linear

from veldt.agents.actor import load_weights
from veldt.agents.build import environment_spec, make_agent, use_threads
from veldt.agents.kept_loss import keep
from veldt.agents.learner import Learner
from veldt.agents.networks.actor_critic import ActorCritic, initialise
from veldt.agents.networks.mlp import MLP
from veldt.agents.networks.settings import NetworkSettings
from veldt.agents.progress import Progress
from veldt.agents.settings import TrainSettings
from veldt.platform import checkpoints
from veldt.platform.envs.single import SingleSpec
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete
from veldt.platform.errors import InputError, SettingsError
from veldt.platform.keys import Key
from veldt.platform.runs import RunFolder

Vector = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

VALUE = "value."  # the head that does not act
FIRST = "torso.layers.0"  # what a filter is folded into


class FlatNetworkSettings(NetworkSettings):
    """As an agent's `network`."""

    name: Literal["network"] = "network"


class FlatNetwork:
    """An actor-critic without its critic, float32 inside, one thread, no chance.

    Args:
        settings: Of the network; "auto" is the mlp.
        spec: Of the environment; continuous actions are the numbers of the policy's head.
        clip: Observations are cut at +-clip after the filter.
    """

    Settings = FlatNetworkSettings
    act_with_1 = None

    def __init__(
        self, settings: FlatNetworkSettings, spec: SingleSpec, clip: float | None
    ) -> None:
        use_threads(1)
        for name in ("last_action", "last_reward"):
            if getattr(settings, name):
                raise SettingsError(f"problem.policy.{name}: a policy sees the observation alone.")
        if settings.core != "none":
            raise SettingsError("problem.policy.core: a policy has no memory; use none.")
        actions = discrete(spec.action_size, f"{spec.actions}({spec.action_size})")
        shape = EnvironmentSpec(
            spec.id, Observations((spec.observation_size,), "float32"), actions, 1
        )
        self._build = lambda: ActorCritic(shape, settings)
        self._network = initialise(self._build, 0).requires_grad_(False)
        self._clip = clip
        self._parts = _acting(self._network)
        self.size = sum(part.numel() for part in self._parts.values())
        """P"""
        # The network's parameters become views of one vector, so that loading is one copy.
        self._flat, at = torch.zeros(self.size), 0
        for part in self._parts.values():
            part.data = self._flat[at : at + part.numel()].view(part.shape)
            at += part.numel()
        # Products may round by how memory is aligned: torch's own always is the same.
        self._seen = torch.zeros(spec.observation_size)
        self._seen_array: NDArray[np.float32] = self._seen.numpy()
        self._filtered = np.zeros(spec.observation_size)
        self._hidden = _layers(self._network.torso)
        self._squash = torch.tanh if settings.activation == "tanh" else torch.relu

    def start(self, key: Key) -> Vector:
        """As an agent's network begins: orthogonal, the last layer small; [P]."""
        network = initialise(self._build, key.integer())
        flat = torch.cat([part.detach().flatten() for part in _acting(network).values()])
        start: Vector = flat.double().numpy()
        return start

    def load(self, parameters: Vector, mean: Vector, scale: Vector) -> None:
        """Takes on parameters [P] and the filter, both [n]."""
        self._flat.copy_(torch.from_numpy(parameters))
        self._mean, self._scale = mean.copy(), scale.copy()

    def act(self, observation: Vector) -> Vector:
        """Observation [n] -> the policy's head, [m]: logits, or an action."""
        x = np.subtract(observation, self._mean, out=self._filtered)
        x *= self._scale
        if self._clip is not None:
            x.clip(-self._clip, self._clip, out=x)
        self._seen_array[:] = x
        features, head = self._seen, self._network.policy
        if self._hidden is None:
            features = self._network.torso(features)
        else:
            for weight, bias in self._hidden:
                features = self._squash(torch.addmv(bias, weight, features))
        out = torch.addmv(head.bias, head.weight, features)
        found: Vector = out.numpy().astype(np.float64)
        return found

    def named(self, parameters: Vector) -> Arrays:
        """Parameters [P] as the whole network's weights; its value is 0 everywhere."""
        found, at = {}, 0
        for name, part in self._network.state_dict().items():
            if name.startswith(VALUE):
                found[name] = np.zeros(tuple(part.shape), np.float32)
                continue
            flat = parameters[at : at + part.numel()]
            found[name] = flat.reshape(tuple(part.shape)).astype(np.float32)
            at += part.numel()
        return found


def _acting(network: ActorCritic) -> dict[str, torch.nn.Parameter]:
    """The parameters that the policy's head depends on, in the network's order."""
    return {name: part for name, part in network.named_parameters() if not name.startswith(VALUE)}


def _layers(torso: torch.nn.Module) -> list[tuple[Tensor, Tensor]] | None:
    """Weights and biases of an mlp: without its modules a step takes a quarter of the time."""
    if type(torso) is not MLP:
        return None
    return [(layer.weight, layer.bias) for layer in torso.layers if isinstance(layer, Linear)]


def export(arrays: Mapping[str, NDArray[Any]], settings: TrainSettings, folder: Path) -> Path:
    """Writes a policy that a search has found as a run of an agent's, at update 0.

    Args:
        arrays: What the problem's `policy` gave: the network's weights by name; a filter,
            "filter.mean" and "filter.scale" [n], is folded into the first layer.
        settings: Of the agent, its environment, and what a training from here would be.
        folder: Of the run; made if it is not there.

    Returns:
        The checkpoint's folder.

    Raises:
        InputError: if the agent has another network, or the filter cannot be folded in.
        FolderTaken: if the folder holds something already.
    """
    agent = make_agent(settings, environment_spec(settings))
    weights = _fold_filter(arrays)
    wanted = {name: tuple(part.shape) for name, part in agent.network.state_dict().items()}
    given = {name: array.shape for name, array in weights.items()}
    if wanted != given:
        names = sorted(name for name in wanted | given if wanted.get(name) != given.get(name))
        lines = [f"{name} {given.get(name)}, not {wanted.get(name)}" for name in names[:5]]
        raise InputError(
            f"the policy is not this agent's network: {'; '.join(lines)}. "
            "Give agent.network the settings that the policy was searched with."
        )
    load_weights(agent, weights)
    learner = Learner(agent, settings.optimizer, torch.device("cpu"), 1)
    run = RunFolder(folder, settings.dump(), resume=False)
    try:
        keep(settings, folder)
        return checkpoints.save(folder, 0, learner.arrays(), Progress().state())
    finally:
        run.close()


def _fold_filter(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The weights of a network that needs no filter: W (x - mean) scale + b = W' x + b'."""
    weights = dict(arrays)
    mean, scale = weights.pop("filter.mean", None), weights.pop("filter.scale", None)
    if mean is None or scale is None:
        return weights
    weight, bias = weights.get(f"{FIRST}.weight"), weights.get(f"{FIRST}.bias")
    if weight is None or bias is None or weight.shape[1:] != mean.shape:
        raise InputError(
            f"a filter of {math.prod(mean.shape)} numbers cannot be folded into {FIRST}; "
            "search without one: problem.filter.enabled=false."
        )
    folded = weight.astype(np.float64) * scale
    weights[f"{FIRST}.weight"] = folded.astype(np.float32)
    weights[f"{FIRST}.bias"] = (bias - folded @ mean).astype(np.float32)
    return weights
