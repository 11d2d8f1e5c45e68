"""Families of tasks: environments that look alike and want different things, which they hide.

Each environment of a vector has a task of its own, drawn from its key when it begins and kept
from episode to episode. The point masses stand for the hidden directions and goals of Houthooft
et al. 2018, "Evolved Policy Gradients", arXiv:1802.04821, section 4, at a thousandth of the cost.

Legend: B environments, positions and velocities [B, 2], half: which tasks there are.
"""

import abc
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from veldt.platform.envs.vector import (
    Actions,
    EnvironmentSpec,
    Episode,
    Observations,
    Step,
    VectorEnvironment,
    check_actions,
)
from veldt.platform.errors import EnvironmentFault, SettingsError, UnknownName
from veldt.platform.keys import Key
from veldt.platform.plugins import attribute

Half = Literal["all", "right", "left"]
HALVES = ("all", "right", "left")

HORIZON = 50  # steps of an episode
INTERVAL = 0.1  # seconds of a step
DRAG = 0.9  # of the velocity is left after a step
PUSH = 0.2  # what an action of 1 adds to it


class Family(VectorEnvironment, Protocol):
    """A vector whose environments can be given their keys one by one.

    With `alike = True` it says that all its episodes are as long, whatever is done in them. How
    agents learn is then told by the reward of a step, and else by the returns of episodes.
    """

    def begin(self, keys: Sequence[Key]) -> NDArray[np.generic]:
        """Draws a task for each environment from its own key, and starts an episode.

        Returns:
            The first observations, [B, ...].
        """

    def pin(self, key: Key) -> str:
        """Gives all environments the task of this key from now on; what it is, for people.

        A vector without hidden tasks has no such method.
        """


class PointMass(abc.ABC):
    """A point that is pushed about a plane; it sees where it is and how it moves, no more.

    Args:
        name: "family/...".
        size: B.
        half: Of the plane that tasks are drawn from: all of it, or where x > 0 or x < 0.
    """

    alike = True

    def __init__(self, name: str, size: int, half: Half = "all") -> None:
        if half not in HALVES:
            raise SettingsError(f"{name}: half must be one of {', '.join(HALVES)}, got {half!r}.")
        if size < 1:
            raise SettingsError(f"{name}: size must be at least 1, got {size}.")
        self.size, self._half = size, half
        self.spec = EnvironmentSpec(
            name,
            Observations((4,), "float32"),
            Actions("box", (), (-1.0, -1.0), (1.0, 1.0), "Box(-1, 1, (2,))"),
            1,
        )
        self.tasks = np.zeros((size, 2))
        """what is hidden, [B, 2]"""
        self._position, self._velocity = np.zeros((2, size, 2))
        self._steps, self._returns, self._ready = 0, np.zeros(size), False
        self._pinned: Key | None = None

    def reset(self, key: Key) -> NDArray[np.generic]:
        return self.reset_from(key, 0)

    def reset_from(self, key: Key, first: int) -> NDArray[np.generic]:
        return self.begin([key.child("task", b) for b in range(first, first + self.size)])

    def begin(self, keys: Sequence[Key]) -> NDArray[np.generic]:
        for b, key in enumerate(keys):
            self.tasks[b] = self._draw((self._pinned or key).child("task").generator())
        self._ready = True
        return self._start()

    def pin(self, key: Key) -> str:
        self._pinned = key
        x, y = self._draw(key.child("task").generator()).tolist()
        return f"x {x:.3f}, y {y:.3f}"

    def _draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """A task [2], on the circle of radius 1, in the half that is asked for."""
        angle = generator.uniform(-np.pi / 2, np.pi / 2)
        other = self._half == "left" or (self._half == "all" and generator.integers(2))
        return np.array([-np.cos(angle) if other else np.cos(angle), np.sin(angle)])

    def _start(self) -> NDArray[np.generic]:
        self._position, self._velocity = np.zeros((2, self.size, 2))
        self._steps, self._returns = 0, np.zeros(self.size)
        return self._seen()

    def _seen(self) -> NDArray[np.generic]:
        return np.concatenate([self._position, self._velocity], 1).astype(np.float32)

    def step(self, action: NDArray[np.generic]) -> Step:
        if not self._ready:
            raise EnvironmentFault(f"{self.spec.id}: reset this vector before stepping it.")
        check_actions(self.spec, action, self.size)
        self._velocity = DRAG * self._velocity + PUSH * action.astype(float).clip(-1.0, 1.0)
        self._position = self._position + INTERVAL * self._velocity
        reward = self._reward(self._position, self._velocity)
        self._steps += 1
        self._returns += reward
        ended = self._steps == HORIZON  # all together
        shown, episodes = self._seen(), tuple[Episode, ...]()
        final = shown[: self.size if ended else 0]
        if ended:
            returns = self._returns.tolist()
            episodes = tuple(Episode(b, value, HORIZON) for b, value in enumerate(returns))
            shown = self._start()
        return Step(
            observation=shown,
            reward=reward.astype(np.float32),
            terminated=np.zeros(self.size, np.bool_),
            truncated=np.full(self.size, ended),
            final_rows=np.arange(len(final)),
            final_observation=final,
            episodes=episodes,
        )

    @abc.abstractmethod
    def _reward(
        self, position: NDArray[np.float64], velocity: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Of a step that led here, [B]."""

    def close(self) -> None:
        self._ready = False


class Direction(PointMass):
    """Wants to move in a hidden direction: the reward is the velocity along it."""

    def _reward(
        self, position: NDArray[np.float64], velocity: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        along: NDArray[np.float64] = (velocity * self.tasks).sum(1)
        return along


class Goal(PointMass):
    """Wants to be at a hidden place at distance 1: the reward is the negative distance to it."""

    def _reward(
        self, position: NDArray[np.float64], velocity: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        away: NDArray[np.float64] = np.linalg.norm(position - self.tasks, axis=1)
        return -away


ROBOTS = "veldt.platform.envs.robot_families"
FAMILIES: Mapping[str, str] = {
    "direction": f"{__name__}:Direction",
    "goal": f"{__name__}:Goal",
    "random-hopper": f"{ROBOTS}:RandomHopper",
    "random-walker": f"{ROBOTS}:RandomWalker",
    "random-reacher": f"{ROBOTS}:RandomReacher",
    "directional-hopper": f"{ROBOTS}:DirectionalHopper",
    "directional-halfcheetah": f"{ROBOTS}:DirectionalHalfCheetah",
    "goal-ant": f"{ROBOTS}:GoalAnt",
}


def make_family(name: str, size: int, **options: Any) -> Family:
    """The family called `name`, "family/direction" for one.

    Raises:
        UnknownName: if there is none.
        SettingsError: if the options are not those it has.
    """
    kind = name.partition("/")[2]
    if kind not in FAMILIES:
        known = ", ".join(f"family/{each}" for each in FAMILIES)
        raise UnknownName(f"environments: no {name!r}. The families are {known}.")
    build: Any = attribute(FAMILIES[kind])
    signature = inspect.signature(build)
    try:
        signature.bind(name, size, **options)
    except TypeError as error:
        takes = ", ".join(list(signature.parameters)[2:])
        raise SettingsError(f"{name}: {error}. It takes: {takes}.") from error
    family: Family = build(name, size, **options)
    return family
