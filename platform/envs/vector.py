"""The vector of environments that an actor steps, as a contract.

Legend: B environments of the vector, K of them truncated in this step.

Autoreset is in the same step, as in the paper: where an episode ended, the
observation returned is already the first of the next one. A terminated episode
is worth nothing after its end; a truncated one goes on where we do not look, so
its final observation is handed over for the learner to bootstrap from.
"""

import dataclasses
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from veldt.platform.errors import EnvironmentFault
from veldt.platform.keys import Key


@dataclasses.dataclass(frozen=True)
class Observations:
    """What an environment shows: one array, images channels first, uint8 or float32."""

    shape: tuple[int, ...]
    dtype: Literal["uint8", "float32"]


@dataclasses.dataclass(frozen=True)
class Actions:
    """What an environment takes."""

    kind: Literal["discrete", "other"]
    count: int  # number of discrete actions, numbered from 0; 0 if `kind` is "other"
    description: str  # in the environment's own words, for error messages


@dataclasses.dataclass(frozen=True)
class EnvironmentSpec:
    """What an agent has to know to be built for an environment."""

    id: str
    observations: Observations
    actions: Actions
    frames_per_step: int  # emulator frames behind one call of step: 4 on Atari, else 1


@dataclasses.dataclass(frozen=True)
class Episode:
    """One whole episode: the game, not the life."""

    environment: int  # which of the B
    episode_return: float  # undiscounted and unclipped
    steps: int


@dataclasses.dataclass(frozen=True)
class Step:
    """What one step of all B environments gave."""

    observation: NDArray[np.generic]  # [B, ...]; where an episode ended, the next one's first
    reward: NDArray[np.float32]  # [B], unclipped
    terminated: NDArray[np.bool_]  # [B]
    truncated: NDArray[np.bool_]  # [B], never together with terminated
    final_rows: NDArray[np.int64]  # [K], which were truncated, ascending
    final_observation: NDArray[np.generic]  # [K, ...], what they showed last
    episodes: tuple[Episode, ...]  # that ended in this step


class VectorEnvironment(Protocol):
    """B environments stepped together."""

    spec: EnvironmentSpec
    size: int  # B

    def reset(self, key: Key) -> NDArray[np.generic]:
        """Starts a new episode everywhere; the same key gives the same episodes.

        Every later episode of environment `b` draws from `key` too, so that what
        happens depends on nothing but the key and the actions.

        Returns:
            The first observations, `[B, ...]`.
        """

    def step(self, action: NDArray[np.int64]) -> Step:
        """Steps all B with one action each, `[B]`.

        Raises:
            EnvironmentFault: if an action is out of range, or an observation or a
                reward is not finite; it names the environment, its seed and the step.
        """

    def close(self) -> None:
        """Lets go of the environments; safe to call twice."""


def check_actions(spec: EnvironmentSpec, action: NDArray[np.int64], size: int) -> None:
    """Refuses actions that an environment would not survive."""
    if action.shape != (size,) or not np.issubdtype(action.dtype, np.integer):
        raise EnvironmentFault(
            f"{spec.id}: actions must be {size} integers, got {action.dtype} {action.shape}."
        )
    if action.min() < 0 or action.max() >= spec.actions.count:
        raise EnvironmentFault(
            f"{spec.id}: actions must lie in 0..{spec.actions.count - 1}, "
            f"got {action.min()}..{action.max()}."
        )
