"""What an actor sends: T steps of B environments, time-major.

Legend: T steps of the unroll, B environments, K of the T * B steps ended in a
truncation, P parameters of a policy (logits, or means and deviations), S numbers of a
recurrent state, J stacks of frames that do not follow from the one before. Entry t of
`observation` is what the environment showed before action t; entry T is only there for its
value. Where an episode ended at step t, observation t + 1 is the first of the next episode
and `first` says so.

Where the environment shows a stack of its last frames, only the newest travels and is kept: the
others are those of the entries before. `agents/inputs.py` stacks them where they are used.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import WireError

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """One unroll, or several side by side."""

    observation: Array  # [T+1, B, ...], of a stack of frames the newest
    stack_index: Array  # [J, 2] int64, (t, b) where it does not follow from the entry before
    stack_older: Array  # [J, ...], the older frames there; J = 0 where there is no stack
    first: Array  # [T+1, B] bool, the observation is the first of its episode
    action: Array  # [T, B, ...], as the environment's actions are
    behaviour_policy: Array  # [T, B, P] float32, parameters of the policy mu that acted
    reward: Array  # [T, B] float32, unclipped
    terminated: Array  # [T, B] bool
    truncated: Array  # [T, B] bool, never together with terminated
    final_index: Array  # [K, 2] int64, (t, b) of each truncation
    final_observation: Array  # [K, ...], what the truncated episodes showed last
    state: Array  # [B, S] float32, the actor's recurrent state before entry 0
    last_action: Array  # [B, ...], before entry 0
    last_reward: Array  # [B] float32, before entry 0
    task: Array  # [B] int64, the number of the task that is played

    @property
    def steps(self) -> int:
        """T * B."""
        return self.reward.size

    def arrays(self) -> dict[str, Array]:
        """The fields by name, for the wire."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def from_arrays(arrays: Mapping[str, Array], spec: EnvironmentSpec) -> Trajectory:
    """Checks what came over the wire and names it.

    Raises:
        WireError: if a field is missing, or has a wrong dtype or shape.
    """
    names = [field.name for field in dataclasses.fields(Trajectory)]
    if sorted(arrays) != sorted(names):
        raise WireError(f"trajectory: expected the fields {sorted(names)}, got {sorted(arrays)}.")
    reward, final, anew = arrays["reward"], arrays["final_index"], arrays["stack_index"]
    if reward.ndim != 2 or final.ndim != 2 or anew.ndim != 2:
        raise WireError("trajectory: reward must be [T, B], the indices [K, 2] and [J, 2].")
    (T, B), K, J = reward.shape, final.shape[0], anew.shape[0]
    observations, actions = spec.observations, spec.actions
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "observation": (observations.dtype, (T + 1, B, *observations.frame)),
        "stack_index": ("int64", (J, 2)),
        "stack_older": (observations.dtype, (J, *observations.older)),
        "first": ("bool", (T + 1, B)),
        "action": (actions.dtype, (T, B, *actions.shape)),
        "behaviour_policy": ("float32", (T, B, *arrays["behaviour_policy"].shape[2:])),
        "reward": ("float32", (T, B)),
        "terminated": ("bool", (T, B)),
        "truncated": ("bool", (T, B)),
        "final_index": ("int64", (K, 2)),
        "final_observation": (observations.dtype, (K, *observations.shape)),
        "state": ("float32", (B, *arrays["state"].shape[1:])),
        "last_action": (actions.dtype, (B, *actions.shape)),
        "last_reward": ("float32", (B,)),
        "task": ("int64", (B,)),
    }
    for name, (dtype, shape) in expected.items():
        got = arrays[name]
        if (got.dtype.name, got.shape) != (dtype, shape):
            raise WireError(
                f"trajectory: {name} must be {dtype} {shape}, got {got.dtype} {got.shape}."
            )
    if K and (final.min() < 0 or (final >= (T, B)).any()):
        raise WireError(f"trajectory: final_index must lie in [0, {T}) x [0, {B}).")
    if J and (anew.min() < 0 or (anew >= (T + 1, B)).any()):
        raise WireError(f"trajectory: stack_index must lie in [0, {T}] x [0, {B}).")
    if observations.stack > 1 and set(anew[anew[:, 0] == 0, 1].tolist()) != set(range(B)):
        raise WireError("trajectory: stack_index must name all entries 0.")
    task = arrays["task"]
    if B and (task.min() < 0 or task.max() >= max(1, len(spec.tasks))):
        raise WireError(f"trajectory: task must lie in 0..{max(1, len(spec.tasks)) - 1}.")
    return Trajectory(**arrays)


def stack(trajectories: Sequence[Trajectory]) -> Trajectory:
    """Copies trajectories of equal length side by side along B."""
    widths = [trajectory.reward.shape[1] for trajectory in trajectories]
    offsets = np.cumsum([0, *widths[:-1]])

    def join(name: str, axis: int) -> Array:
        return np.concatenate([getattr(item, name) for item in trajectories], axis=axis)

    def index(name: str) -> Array:
        places = zip(trajectories, offsets, strict=True)
        return np.concatenate([getattr(item, name) + (0, offset) for item, offset in places])

    return Trajectory(
        observation=join("observation", 1),
        stack_index=index("stack_index"),
        stack_older=join("stack_older", 0),
        first=join("first", 1),
        action=join("action", 1),
        behaviour_policy=join("behaviour_policy", 1),
        reward=join("reward", 1),
        terminated=join("terminated", 1),
        truncated=join("truncated", 1),
        final_index=index("final_index"),
        final_observation=join("final_observation", 0),
        state=join("state", 0),
        last_action=join("last_action", 0),
        last_reward=join("last_reward", 0),
        task=join("task", 0),
    )
