"""What a network costs: its parameters, and the multiply-accumulates of a step, and of learning
from it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from veldt.agents.agent import Agent
from veldt.agents.inputs import Acted, Inputs, Memory
from veldt.agents.networks.composite import Composite
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import SettingsError


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of an agent's network."""

    parameters: int
    multiply_accumulates: int
    """of an actor's step in one environment"""

    def __str__(self) -> str:
        count = self.multiply_accumulates
        for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
            if count >= factor:
                return f"{self.parameters:,} parameters, {count / factor:.3g} {unit} {OPERATIONS}"
        return f"{self.parameters:,} parameters, {count} {OPERATIONS}"


OPERATIONS = "multiply-accumulates a step"


def cost_of(agent: Agent, spec: EnvironmentSpec) -> Cost:
    """What an agent's network costs, on the device that it is on: it acts once.

    Raises:
        SettingsError: if the policy or the state that it gives has not the shape it should have.
    """
    return Cost(
        parameter_count(agent.network),
        multiply_accumulates(agent.network, lambda: _check(agent, act_once(agent, spec))),
    )


def act_once(agent: Agent, spec: EnvironmentSpec) -> Acted:
    """What an agent does first in one environment that shows nothing but 0, where it lives."""
    shown = spec.observations
    inputs = Memory(spec, 1, agent.state_size).inputs(np.zeros((1, *shown.shape), shown.dtype))
    device = next((p.device for p in agent.network.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        return agent.act(Inputs(*(tensor.to(device) for tensor in inputs)), None)


def _check(agent: Agent, acted: Acted) -> None:
    """Of one environment: a state of another width would break the second unroll only."""
    core = getattr(getattr(agent.network, "settings", None), "core", None)
    who = f"agent: {type(agent).__name__}" if core is None else f"agent.network.core: {core!r}"
    state, policy, size = [*acted.state.shape], [*acted.policy.shape], agent.state_size
    if state != [1, size]:
        raise SettingsError(
            f"{who} says state_size {size}, so its state after a step of one environment must be "
            f"{[1, size]}; it is {state}. Mend its step or its state_size."
        )
    if len(policy) != 2 or policy[0] != 1:
        raise SettingsError(
            f"{who}: the policy of a step of one environment must be [1, P]; it is {policy}. What "
            "a core's step gives must be [N, features], and what a head gives [N, P]."
        )


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_accumulates(network: nn.Module, run: Callable[[], Any]) -> int:
    """Of the convolutions, linear and recurrent layers that `run` goes through.

    Args:
        network: Watched while `run` runs.
        run: A step of one environment.
    """
    return sum(count for _, count in _layers(network, run))


def learning_cost(agent: Agent, spec: EnvironmentSpec) -> int:
    """Multiply-accumulates of learning from a step of one environment, forward and back.

    Back costs twice what forward does, a gradient of each layer's weights and one of its input;
    but the first layer of a torso reads what was observed, of which nobody needs the gradient.
    """
    ran = _layers(agent.network, lambda: act_once(agent, spec))
    torso = getattr(agent.network, "torso", agent.network)
    total = 3 * sum(count for _, count in ran)
    for part in torso.torsos if isinstance(torso, Composite) else [torso]:
        inside = set(part.modules())
        first, count = next((layer for layer in ran if layer[0] in inside), (None, 0))
        if not isinstance(first, nn.RNNBase):  # which reads an embedding
            total -= count
    return total


def _layers(network: nn.Module, run: Callable[[], Any]) -> list[tuple[nn.Module, int]]:
    """Each layer that runs, in turn, with its multiply-accumulates."""
    found: list[tuple[nn.Module, int]] = []

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, nn.Conv2d):
            found.append((module, output.numel() * module.weight[0].numel()))
        elif isinstance(module, nn.Linear):
            rows = output.numel() // output.shape[-1]
            found.append((module, rows * module.weight.numel()))
        elif isinstance(module, nn.RNNBase):
            steps = inputs[0].shape[0] * inputs[0].shape[1]
            weights = (p.numel() for n, p in module.named_parameters() if "weight" in n)
            found.append((module, steps * sum(weights)))

    kinds = (nn.Conv2d, nn.Linear, nn.RNNBase)
    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, kinds)]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return found
