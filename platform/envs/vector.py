"""The vector of environments that an actor steps, as a contract.

Legend: B environments of the vector, K of them truncated in this step.

Autoreset is in the same step, as in the paper: where an episode ended, the
observation returned is already the first of the next one. A terminated episode
is worth nothing after its end; a truncated one goes on where we do not look, so
its final observation is handed over for the learner to bootstrap from.
"""

import dataclasses
import math
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from veldt.platform.errors import EnvironmentFault
from veldt.platform.keys import Key


@dataclasses.dataclass(frozen=True)
class Part:
    """One of several things that an environment shows together."""

    name: str
    kind: Literal["image", "numbers", "words"]
    shape: tuple[int, ...]
    dtype: Literal["uint8", "float32", "int32"]
    offset: int  # of its first byte in the row

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True)
class Observations:
    """What an environment shows: one array, images channels first, uint8 or float32.

    Several things shown together are one row of bytes, in which `parts` says what lies where.
    Where the last `stack` frames are shown together, oldest first, a step moves each a place
    down and adds the newest, but where an episode has ended the stack is the next one's.
    """

    shape: tuple[int, ...]
    dtype: Literal["uint8", "float32"]
    parts: tuple[Part, ...] = ()
    stack: int = 1

    @property
    def frame(self) -> tuple[int, ...]:
        """The shape of the newest frame, that of all where there is no stack."""
        return (self.shape[0] // self.stack, *self.shape[1:]) if self.stack > 1 else self.shape

    @property
    def older(self) -> tuple[int, ...]:
        """The shape of the frames before it."""
        return (self.shape[0] - self.frame[0], *self.shape[1:]) if self.stack > 1 else (0,)


@dataclasses.dataclass(frozen=True)
class Actions:
    """What an environment takes.

    discrete         one choice, int64 [B], numbered from 0
    multi_discrete   n choices, int64 [B, n], each numbered from 0
    box              d numbers, float32 [B, d], each within its bounds
    other            what no agent of ours gives; it can be looked at, not stepped
    """

    kind: Literal["discrete", "multi_discrete", "box", "other"]
    counts: tuple[int, ...] = ()  # of choices: one entry if discrete, n if multi_discrete
    low: tuple[float, ...] = ()  # of a box, [d]; may be infinite
    high: tuple[float, ...] = ()
    description: str = ""  # in the environment's own words, for error messages

    @property
    def count(self) -> int:
        """Choices of discrete actions, else 0."""
        return self.counts[0] if self.kind == "discrete" else 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one environment's action."""
        return {
            "discrete": (),
            "multi_discrete": (len(self.counts),),
            "box": (len(self.low),),
            "other": (0,),
        }[self.kind]

    @property
    def dtype(self) -> Literal["int64", "float32"]:
        return "float32" if self.kind == "box" else "int64"


def discrete(count: int, description: str = "") -> Actions:
    """One choice out of `count`."""
    return Actions("discrete", (count,), description=description or f"Discrete({count})")


def random_actions(
    actions: Actions, size: int, generator: np.random.Generator
) -> NDArray[np.generic]:
    """One action for each of `size` environments: uniform, normal where a box has no bounds."""
    if actions.kind in ("discrete", "multi_discrete"):
        drawn: NDArray[np.generic] = generator.integers(
            np.array(actions.counts), size=(size, len(actions.counts))
        )
        return drawn.reshape(size, *actions.shape)
    low, high = np.array(actions.low), np.array(actions.high)
    bounded = np.isfinite(low) & np.isfinite(high)
    uniform = generator.uniform(
        np.where(bounded, low, 0.0), np.where(bounded, high, 1.0), (size, len(low))
    )
    normal = generator.standard_normal((size, len(low)))
    return np.where(bounded, uniform, normal.clip(low, high)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class EnvironmentSpec:
    """What an agent has to know to be built for an environment."""

    id: str
    observations: Observations
    actions: Actions
    frames_per_step: int  # emulator frames behind one call of step: 4 on Atari, else 1
    tasks: tuple[str, ...] = ()  # ids, where one agent is to play several that look alike


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

    def step(self, action: NDArray[np.generic]) -> Step:
        """Steps all B with one action each, `[B, *spec.actions.shape]`; a box clips them.

        Raises:
            EnvironmentFault: if a choice is out of range, or an action, an observation or a
                reward is not finite; it names the environment, its seed and the step.
        """

    def close(self) -> None:
        """Lets go of the environments; safe to call twice."""


@runtime_checkable
class PartOfVector(Protocol):
    """A vector that can be a part of a larger one, whose environments are in several vectors."""

    def reset_from(self, key: Key, first: int) -> NDArray[np.generic]:
        """As `reset` of the larger one, for its environments from `first` on."""


@runtime_checkable
class SteppedAside(Protocol):
    """A vector that steps on threads of its own while its caller does something else."""

    def send(self, action: NDArray[np.generic]) -> None:
        """Begins a step; raises as `step`."""

    def receive(self) -> Step:
        """What the step gave that was begun; waits for it."""


class FilmedEnvironment(VectorEnvironment, Protocol):
    """A vector made with render_mode="rgb_array"."""

    frames_per_second: float

    def render(self) -> NDArray[np.uint8]:
        """What environment 0 looks like now, [height, width, 3]."""


def check_actions(spec: EnvironmentSpec, action: NDArray[np.generic], size: int) -> None:
    """Refuses actions that an environment would not survive."""
    actions = spec.actions
    shape, whole = (size, *actions.shape), actions.dtype == "int64"
    kind = np.integer if whole else np.floating
    if action.shape != shape or not np.issubdtype(action.dtype, kind):
        raise EnvironmentFault(
            f"{spec.id}: actions must be {'integers' if whole else 'floats'} {shape}, "
            f"got {action.dtype} {action.shape}."
        )
    if not whole:
        if not np.isfinite(action).all():
            raise EnvironmentFault(f"{spec.id}: an action is not finite.")
        return
    choices = action.astype(np.int64)
    if ((choices < 0) | (choices >= np.array(actions.counts).reshape(actions.shape))).any():
        raise EnvironmentFault(
            f"{spec.id}: actions must lie in 0..{np.array(actions.counts) - 1}, "
            f"got {choices.min()}..{choices.max()}."
        )
