"""One environment at a time, as nearly bare as it can be had: for episodes by the thousand.

What `gymnasium.make` wraps around an environment checks its user, and costs as much as the
physics of a small robot. Here the object inside is stepped; the time limit is kept by hand.
Same seed and same actions give the same bits as `gymnasium.make` does.

Legend: n numbers in an observation, m in an action.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from veldt.platform.envs.gymnasium_vector import Environment, make_gymnasium
from veldt.platform.errors import UnsupportedSpace

Observation = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class SingleSpec:
    """What a policy has to know to be built for an environment."""

    id: str
    observation_size: int
    """n"""
    actions: Literal["discrete", "continuous"]
    action_size: int
    """how many to choose from, or m"""
    low: NDArray[np.float64]
    """[m] of continuous actions, [0] of discrete ones"""
    high: NDArray[np.float64]
    max_steps: int | None
    """its own time limit"""
    frames_per_second: float


class Single(Protocol):
    """One environment."""

    spec: SingleSpec

    def reset(self, seed: int, seen: Observation) -> None:
        """Begins an episode that depends on the seed and the actions alone.

        Args:
            seed: Of the episode.
            seen: The first observation is written here, [n].
        """

    def step(self, action: Any, seen: Observation) -> tuple[float, bool]:
        """The reward, and whether the episode terminated; the time limit is not kept.

        Args:
            action: [m] float64, or an int from 0.
            seen: The next observation is written here, [n].
        """

    def render(self) -> NDArray[np.uint8]:
        """What it looks like, [height, width, 3]; only if made with render_mode="rgb_array"."""

    def close(self) -> None:
        """Lets go of it; safe to call twice."""


def make_single(name: str, options: Mapping[str, Any], render: bool = False) -> Single:
    """An environment of Gymnasium's, as bare as is known to be the same.

    Raises:
        UnsupportedSpace: if its observations are no vector, or its actions neither discrete
            nor a vector.
        UnknownName, SettingsError, MissingProgram: as `GymnasiumVector`.
    """
    made = {"render_mode": "rgb_array"} if render else {}
    environment = make_gymnasium(name, {**options, **made})
    spec = _spec(name, environment)
    if spec.actions == "continuous" and not render:
        from veldt.platform.envs import planar_mujoco

        if planar_mujoco.fits(environment):
            return planar_mujoco.PlanarMujoco(environment, spec)
    return Bare(environment, spec)


class Bare:
    """The object inside of what Gymnasium makes."""

    def __init__(self, environment: Environment, spec: SingleSpec) -> None:
        self.spec = spec
        self._environment: Environment = environment.unwrapped
        space = self._environment.observation_space
        self._flat = isinstance(space, spaces.Box) and len(space.shape) == 1
        self._space = space
        actions = self._environment.action_space
        self._first = int(actions.start) if isinstance(actions, spaces.Discrete) else 0

    def _write(self, observation: Any, seen: Observation) -> None:
        flat: Any = observation if self._flat else spaces.flatten(self._space, observation)
        seen[:] = flat

    def reset(self, seed: int, seen: Observation) -> None:
        observation, _ = self._environment.reset(seed=seed)
        self._write(observation, seen)

    def step(self, action: Any, seen: Observation) -> tuple[float, bool]:
        if self._first:
            action = action + self._first
        observation, reward, terminated, truncated, _ = self._environment.step(action)
        self._write(observation, seen)
        return float(reward), bool(terminated or truncated)

    def render(self) -> NDArray[np.uint8]:
        frame: NDArray[np.uint8] = np.asarray(self._environment.render())
        return frame

    def close(self) -> None:
        self._environment.close()


def _spec(name: str, environment: Environment) -> SingleSpec:
    seen, taken = environment.observation_space, environment.action_space
    try:
        size = int(spaces.flatdim(seen))
    except (NotImplementedError, ValueError) as error:
        raise UnsupportedSpace(f"{name}: observations {seen} have no fixed size.") from error
    if isinstance(seen, spaces.Box) and len(seen.shape) == 3:
        raise UnsupportedSpace(
            f"{name}: observations are images {seen.shape}; these policies take vectors. "
            "For Atari there is the problem kind 'atari'."
        )
    none = np.zeros(0)
    limit = environment.spec.max_episode_steps if environment.spec else None
    rate = float(environment.metadata.get("render_fps") or 30)
    if isinstance(taken, spaces.Discrete):
        return SingleSpec(name, size, "discrete", int(taken.n), none, none, limit, rate)
    if isinstance(taken, spaces.Box) and len(taken.shape) == 1:
        low, high = taken.low.astype(np.float64), taken.high.astype(np.float64)
        return SingleSpec(name, size, "continuous", len(low), low, high, limit, rate)
    raise UnsupportedSpace(
        f"{name}: its actions are {taken}; a policy chooses among discrete actions or gives "
        "a vector of numbers."
    )
