"""What every agent must satisfy; call `check` from the tests of your own.

from veldt.agents.conformance import check
check(MyAgent, MySettings(), spec)
"""

import copy
from typing import Any

import numpy as np
import torch

from veldt.agents.agent import Agent, to_batch
from veldt.agents.networks import initialise
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import BrokenContract
from veldt.platform.trajectory import Trajectory


def check(build: type[Agent], settings: Any, spec: EnvironmentSpec) -> None:
    """Builds the agent, lets it act and learn, and looks at what it did.

    Raises:
        BrokenContract: with what was wrong.
    """
    agent = initialise(lambda: build(settings, spec), 0)
    again = initialise(lambda: build(settings, spec), 0)
    _demand(_same(agent, again), "equal seeds must draw equal networks")

    trajectory = synthetic_trajectory(spec, T=7, B=3, seed=0)
    observation = torch.from_numpy(trajectory.observation[0])
    with torch.inference_mode():
        for generator in (torch.Generator().manual_seed(1), None):
            actions, logits = agent.act(observation, generator)
            _demand(
                actions.shape == (3,) and actions.dtype == torch.int64,
                f"act must give int64 actions [B], got {actions.dtype} {[*actions.shape]}",
            )
            _demand(
                bool((actions >= 0).all() and (actions < spec.actions.count).all()),
                "act gave an action that the environment does not have",
            )
            _demand(logits.shape[0] == 3, f"act must give logits [B, ...], got {logits.shape}")
        first, second = (
            agent.act(observation, torch.Generator().manual_seed(2))[0] for _ in range(2)
        )
        _demand(torch.equal(first, second), "equal generators must give equal actions")

    batch = to_batch(trajectory, torch.device("cpu"))
    before = copy.deepcopy(agent.network.state_dict())
    loss, metrics = agent.loss(batch)
    _demand(loss.shape == () and loss.requires_grad, "the loss must be a scalar with a gradient")
    _demand(
        all(torch.as_tensor(value).numel() == 1 for value in metrics.values()),
        "metrics must be scalars",
    )
    loss.backward()
    gradients = [p.grad for p in agent.network.parameters() if p.requires_grad]
    _demand(
        all(g is not None and bool(torch.isfinite(g).all()) for g in gradients),
        "every parameter of `network` must get a finite gradient",
    )
    after = agent.network.state_dict()
    _demand(
        all(torch.equal(before[name], after[name]) for name in before),
        "the loss must not change the weights; the learner does",
    )


def synthetic_trajectory(spec: EnvironmentSpec, T: int, B: int, seed: int) -> Trajectory:
    """A trajectory of noise with the shapes of `spec`; some episodes end, some are cut."""
    random = np.random.default_rng(seed)
    shape = spec.observations.shape

    def show(*lead: int) -> np.ndarray[Any, Any]:
        if spec.observations.dtype == "uint8":
            return random.integers(0, 256, (*lead, *shape), np.uint8)
        return random.normal(size=(*lead, *shape)).astype(np.float32)

    terminated = random.random((T, B)) < 0.1
    truncated = (random.random((T, B)) < 0.1) & ~terminated
    index = np.argwhere(truncated)
    return Trajectory(
        observation=show(T + 1, B),
        first=np.concatenate([np.ones((1, B), np.bool_), terminated | truncated]),
        action=random.integers(0, spec.actions.count, (T, B)),
        behaviour_logits=random.normal(size=(T, B, spec.actions.count)).astype(np.float32),
        reward=(3 * random.normal(size=(T, B))).astype(np.float32),
        terminated=terminated,
        truncated=truncated,
        final_index=index,
        final_observation=show(len(index)),
    )


def _same(one: Agent, other: Agent) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise BrokenContract(f"{otherwise}.")
