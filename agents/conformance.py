"""What every agent must satisfy; call `check` from the tests of your own.

from veldt.agents.conformance import check
check(MyAgent, MySettings(), spec)
"""

import copy
import math
from typing import Any

import numpy as np
import torch

from veldt.agents.agent import Agent
from veldt.agents.inputs import Acted, Memory
from veldt.agents.networks.actor_critic import initialise
from veldt.agents.staging import to_batch
from veldt.platform.envs.parts import BUCKETS
from veldt.platform.envs.vector import EnvironmentSpec, Observations, check_actions, random_actions
from veldt.platform.errors import BrokenContract, EnvironmentFault
from veldt.platform.trajectory import Trajectory


def check(build: type[Agent], settings: Any, spec: EnvironmentSpec) -> None:
    """Builds the agent, lets it act and learn, and looks at what it did.

    Raises:
        BrokenContract: with what was wrong.
    """
    agent = initialise(lambda: build(settings, spec), 0)
    again = initialise(lambda: build(settings, spec), 0)
    _demand(_same(agent, again), "equal seeds must draw equal networks")

    lag = build.max_lag
    _demand(
        lag is None or (type(lag) is int and lag >= 0),
        f"max_lag must be a number of updates, or None if the agent corrects lag; got {lag!r}",
    )
    size = agent.state_size
    acts = [_acts(agent, spec, generator) for generator in (1, 2, 2, None)]
    policy_size = acts[0].policy.shape[1] if acts[0].policy.ndim == 2 else None
    for acted in acts:
        _demand(acted.policy.shape == (3, policy_size), "act must give a policy [B, P]")
        _demand(
            acted.state.shape == (3, size),
            f"act must give a state [B, {size}], as state_size says; got {[*acted.state.shape]}",
        )
        try:
            check_actions(spec, acted.action.numpy(), 3)
        except EnvironmentFault as fault:
            raise BrokenContract(
                f"act gave actions that the environment refuses: {fault}"
            ) from fault
    _demand(
        torch.equal(acts[1].action, acts[2].action), "equal generators must give equal actions"
    )
    _demand(
        _forgets(agent, spec),
        "at the first step of an episode, the state, action and reward before must not count",
    )

    trajectory = synthetic_trajectory(
        spec, T=7, B=3, seed=0, policy_size=policy_size or 0, state_size=size
    )
    batch = to_batch(trajectory, torch.device("cpu"))
    before = copy.deepcopy(agent.network.state_dict())
    losses = 0
    for loss, metrics in agent.losses(batch, torch.Generator().manual_seed(0)):
        losses += 1
        _demand(
            loss.shape == () and loss.requires_grad, "the loss must be a scalar with a gradient"
        )
        _demand(
            all(torch.as_tensor(value).numel() == 1 for value in metrics.values()),
            "metrics must be scalars",
        )
        loss.backward()
        if losses == 1:
            after = agent.network.state_dict()
            _demand(
                all(torch.equal(before[name], after[name]) for name in before),
                "the loss must not change the weights; the learner does",
            )
    _demand(losses > 0, "an update must have a loss")
    gradients = [p.grad for p in agent.network.parameters() if p.requires_grad]
    _demand(
        all(g is not None and bool(torch.isfinite(g).all()) for g in gradients),
        "every parameter of `network` must get a finite gradient",
    )


def synthetic_unroll(agent: Agent, spec: EnvironmentSpec, T: int, B: int, seed: int) -> Trajectory:
    """A synthetic trajectory that the agent could have made."""
    acted = _acts(agent, spec, 0)
    return synthetic_trajectory(spec, T, B, seed, acted.policy.shape[-1], agent.state_size)


def synthetic_trajectory(
    spec: EnvironmentSpec, T: int, B: int, seed: int, policy_size: int, state_size: int = 0
) -> Trajectory:
    """A trajectory of noise with the shapes of `spec`; some episodes end, some are cut."""
    random = np.random.default_rng(seed)
    terminated = random.random((T, B)) < 0.1
    truncated = (random.random((T, B)) < 0.1) & ~terminated
    index = np.argwhere(truncated)
    first = np.concatenate([np.ones((1, B), np.bool_), terminated | truncated])
    observation, older = _observations(spec, random, T + 1, B), spec.observations.older[0]
    anew = np.argwhere(first if older else np.zeros_like(first))
    return Trajectory(
        observation=observation[:, :, older:] if older else observation,
        stack_index=anew,
        stack_older=(
            _observations(spec, random, len(anew))[:, :older]
            if older
            else np.zeros((0, 0), observation.dtype)
        ),
        first=first,
        action=np.stack([random_actions(spec.actions, B, random) for _ in range(T)]),
        behaviour_policy=random.normal(size=(T, B, policy_size)).astype(np.float32),
        reward=(3 * random.normal(size=(T, B))).astype(np.float32),
        terminated=terminated,
        truncated=truncated,
        final_index=index,
        final_observation=_observations(spec, random, len(index)),
        state=random.normal(size=(B, state_size)).astype(np.float32),
        last_action=random_actions(spec.actions, B, random),
        last_reward=random.normal(size=B).astype(np.float32),
        task=random.integers(0, max(1, len(spec.tasks)), B),
    )


def _observations(
    spec: EnvironmentSpec, random: np.random.Generator, *lead: int
) -> np.ndarray[Any, Any]:
    if spec.observations.parts:
        return _packed(spec.observations, random, *lead)
    shape = (*lead, *spec.observations.shape)
    if spec.observations.dtype == "uint8":
        return random.integers(0, 256, shape, np.uint8)
    return random.normal(size=shape).astype(np.float32)


def _packed(
    observations: Observations, random: np.random.Generator, *lead: int
) -> np.ndarray[Any, Any]:
    """Rows of bytes whose parts hold what parts of their kind may hold."""
    rows = np.zeros((*lead, *observations.shape), np.uint8)
    for part in observations.parts:
        shape = (*lead, *part.shape)
        cells: np.ndarray[Any, Any] = random.normal(size=shape)
        if part.kind != "numbers":
            cells = random.integers(0, 256 if part.kind == "image" else BUCKETS + 1, shape)
        flat = cells.astype(part.dtype).reshape(*lead, math.prod(part.shape))
        rows[..., part.offset : part.offset + part.size] = flat.view(np.uint8)
    return rows


def _memory(agent: Agent, spec: EnvironmentSpec, seed: int) -> Memory:
    """As if something had been."""
    random, memory = np.random.default_rng(seed), Memory(spec, 3, agent.state_size)
    memory.last_action = random_actions(spec.actions, 3, random)
    memory.last_reward = random.normal(size=3).astype(np.float32)
    memory.state = torch.from_numpy(random.normal(size=(3, agent.state_size)).astype(np.float32))
    return memory


def _acts(agent: Agent, spec: EnvironmentSpec, seed: int | None) -> Acted:
    memory = _memory(agent, spec, 0)
    memory.first[:] = (True, False, False)
    inputs = memory.inputs(_observations(spec, np.random.default_rng(0), 3))
    with torch.inference_mode():
        return agent.act(inputs, None if seed is None else torch.Generator().manual_seed(seed))


def _forgets(agent: Agent, spec: EnvironmentSpec) -> bool:
    """Whether what was before an episode does not change its first step."""
    observation = _observations(spec, np.random.default_rng(0), 3)
    with torch.inference_mode():
        one, other = (
            agent.act(_memory(agent, spec, seed).inputs(observation), None).policy
            for seed in (1, 2)
        )
    return torch.equal(one, other)


def _same(one: Agent, other: Agent) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise BrokenContract(f"{otherwise}.")
