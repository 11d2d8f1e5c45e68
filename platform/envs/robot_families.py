"""Families of robots: each its own body or its own wish, which it is not told.

Houthooft et al. 2018, arXiv:1802.04821, section 4, on Gymnasium's MuJoCo robots with the ranges
of the code released with it: masses, frictions and thicknesses times U(0.5, 2), gravity
-2 - U(0, 18). Of its families only the Hopper was released, whose random bodies do not start and
whose direction is always the same; here both are drawn from the key. A reward is the velocity
wished for, or the robot's own where that says so.

Legend: B environments.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veldt.platform.envs.families import HALVES, Half
from veldt.platform.envs.gymnasium_vector import make_gymnasium
from veldt.platform.envs.vector import (
    Actions,
    EnvironmentSpec,
    Episode,
    Observations,
    Step,
    check_actions,
)
from veldt.platform.errors import EnvironmentFault, SettingsError
from veldt.platform.keys import Key

Place = NDArray[np.float64]  # [2]
Task = dict[str, float]

SCALE = (0.5, 2.0)  # of masses, frictions and thicknesses
GRAVITY = (2.0, 20.0)
REACH = (0.5, 1.5)  # of a link's length
AWAY = 5.0  # metres to a goal
ALTERED = (
    *("body_mass", "body_inertia", "body_pos"),
    *("geom_size", "geom_friction", "geom_pos"),
)


class Moved(NamedTuple):
    """A step of a robot: from where to where, in how many seconds, and its own reward."""

    before: Place
    after: Place
    dt: float
    own: float


class Robots(abc.ABC):
    """A vector of them.

    Args:
        name: "family/...".
        size: B.
        half: Of directions and goals, where there are some: all, or those to the right or left.
        horizon: Steps after which an episode is cut off.
    """

    ID: ClassVar[str]
    OPTIONS: ClassVar[Mapping[str, Any]] = {}
    alike: ClassVar[bool] = False
    """robots that do not fall have episodes of one length"""

    def __init__(self, name: str, size: int, half: Half = "all", horizon: int = 200) -> None:
        if half not in HALVES:
            raise SettingsError(f"{name}: half must be one of {', '.join(HALVES)}, got {half!r}.")
        for option, value in (("size", size), ("horizon", horizon)):
            if type(value) is not int or value < 1:
                raise SettingsError(f"{name}: {option} must be an integer from 1, got {value!r}.")
        self.size, self._half, self._horizon = size, half, horizon
        self._robots: list[Any] = [
            make_gymnasium(self.ID, self.OPTIONS).unwrapped for _ in range(size)
        ]
        one = self._robots[0]
        low, high = one.action_space.low.tolist(), one.action_space.high.tolist()
        self.spec = EnvironmentSpec(
            name,
            Observations(one.observation_space.shape, "float32"),
            Actions("box", (), tuple(low), tuple(high), str(one.action_space)),
            1,
        )
        self._bodies = [
            {part: getattr(robot.model, part).copy() for part in ALTERED} for robot in self._robots
        ]
        self.tasks = np.zeros((size, 2))
        """directions or goals, where there are some, [B, 2]"""
        self._keys: list[Key] = []
        self._pinned: Key | None = None
        self._begun = np.zeros(size, np.int64)  # episodes, of each
        self._steps, self._returns = np.zeros(size, np.int64), np.zeros(size)

    def reset(self, key: Key) -> NDArray[np.generic]:
        return self.reset_from(key, 0)

    def reset_from(self, key: Key, first: int) -> NDArray[np.generic]:
        return self.begin([key.child("task", b) for b in range(first, first + self.size)])

    def begin(self, keys: Sequence[Key]) -> NDArray[np.generic]:
        import mujoco

        self._keys = list(keys)
        self._begun[:] = 0
        for b, (robot, key) in enumerate(zip(self._robots, keys, strict=True)):
            for part, array in self._bodies[b].items():
                getattr(robot.model, part)[:] = array
            task = self._draw((self._pinned or key).child("task").generator())
            self._give(b, robot.model, task)
            mujoco.mj_setConst(robot.model, robot.data)
        return np.stack([self._start(b) for b in range(self.size)])

    def pin(self, key: Key) -> str:
        self._pinned = key
        task = self._draw(key.child("task").generator())
        return ", ".join(f"{name} {value:.3f}" for name, value in task.items())

    def _start(self, b: int) -> NDArray[np.float32]:
        """Begins an episode; what it shows."""
        seed = self._keys[b].child("episode", int(self._begun[b])).integer()
        self._begun[b] += 1
        self._steps[b], self._returns[b] = 0, 0.0
        shown, _ = self._robots[b].reset(seed=seed)
        seen: NDArray[np.float32] = shown.astype(np.float32)
        return seen

    def step(self, action: NDArray[np.generic]) -> Step:
        if not self._keys:
            raise EnvironmentFault(f"{self.spec.id}: reset this vector before stepping it.")
        check_actions(self.spec, action, self.size)
        clipped = action.clip(self.spec.actions.low, self.spec.actions.high)
        shown, rows, finals, episodes = [], [], [], []
        reward = np.zeros(self.size, np.float32)
        terminated, truncated = np.zeros((2, self.size), np.bool_)
        for b, robot in enumerate(self._robots):
            before = robot.data.qpos[:2].copy()
            observation, own, over, _, _ = robot.step(clipped[b])
            reward[b] = self._reward(b, Moved(before, robot.data.qpos[:2], robot.dt, float(own)))
            if not (np.isfinite(observation).all() and np.isfinite(reward[b])):
                raise EnvironmentFault(
                    f"{self.spec.id}: robot {b} (key {self._keys[b].path}) is not finite after "
                    f"step {self._steps[b] + 1} of episode {self._begun[b] - 1}."
                )
            seen = observation.astype(np.float32)
            self._steps[b] += 1
            self._returns[b] += reward[b]
            terminated[b] = over
            truncated[b] = not over and self._steps[b] >= self._horizon
            if truncated[b]:
                rows.append(b)
                finals.append(seen)
            if over or truncated[b]:
                episodes.append(Episode(b, float(self._returns[b]), int(self._steps[b])))
                seen = self._start(b)
            shown.append(seen)
        observation = np.stack(shown)
        return Step(
            observation=observation,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            final_rows=np.array(rows, np.int64),
            final_observation=np.stack(finals) if finals else observation[:0],
            episodes=tuple(episodes),
        )

    @abc.abstractmethod
    def _draw(self, generator: np.random.Generator) -> Task:
        """A task, by what it is made of."""

    @abc.abstractmethod
    def _give(self, b: int, model: Any, task: Task) -> None:
        """Gives it to robot b: changes its model, or `tasks`."""

    def _reward(self, b: int, moved: Moved) -> float:
        """Of a step; here the velocity forwards."""
        return float(moved.after[0] - moved.before[0]) / moved.dt

    def _sign(self, generator: np.random.Generator) -> float:
        """1 to the right, -1 to the left."""
        left = self._half == "left" or (self._half == "all" and generator.integers(2))
        return -1.0 if left else 1.0

    def close(self) -> None:
        for robot in self._robots:
            robot.close()
        self._keys = []


class Undirected(Robots):
    """Whose tasks have no right and left."""

    def __init__(self, name: str, size: int, horizon: int = 200) -> None:
        super().__init__(name, size, horizon=horizon)


class RandomBody(Undirected):
    """Runs forwards in a body that is not known."""

    def _draw(self, generator: np.random.Generator) -> Task:
        mass, friction, thickness = generator.uniform(*SCALE, 3).tolist()
        gravity = generator.uniform(*GRAVITY)
        return {"mass": mass, "friction": friction, "thickness": thickness, "gravity": gravity}

    def _give(self, b: int, model: Any, task: Task) -> None:
        model.body_mass *= task["mass"]
        model.body_inertia *= task["mass"]
        model.geom_friction *= task["friction"]
        model.geom_size[1:, 0] *= task["thickness"]  # not the floor's
        model.opt.gravity[2] = -task["gravity"]


class RandomHopper(RandomBody):
    ID = "Hopper-v5"


class RandomWalker(RandomBody):
    ID = "Walker2d-v5"


class RandomReacher(Undirected):
    """Reaches for a target that it sees, with arms whose lengths it does not."""

    ID = "Reacher-v5"
    alike = True

    def _draw(self, generator: np.random.Generator) -> Task:
        first, second = generator.uniform(*REACH, 2).tolist()
        return {"link0": first, "link1": second}

    def _give(self, b: int, model: Any, task: Task) -> None:
        for link, body in (("link0", "body1"), ("link1", "fingertip")):
            geom, length = model.geom(link).id, task[link]
            model.geom_size[geom, 1] *= length
            model.geom_pos[geom, 0] *= length
            model.body_pos[model.body(body).id, 0] *= length

    def _reward(self, b: int, moved: Moved) -> float:
        return moved.own


class Directional(Robots):
    """Runs forwards or backwards, and has to find out which."""

    def _draw(self, generator: np.random.Generator) -> Task:
        return {"x": self._sign(generator)}

    def _give(self, b: int, model: Any, task: Task) -> None:
        self.tasks[b] = task["x"], 0.0

    def _reward(self, b: int, moved: Moved) -> float:
        return float(self.tasks[b, 0] * (moved.after[0] - moved.before[0])) / moved.dt


class DirectionalHopper(Directional):
    ID = "Hopper-v5"


class DirectionalHalfCheetah(Directional):
    ID = "HalfCheetah-v5"
    alike = True


class GoalAnt(Robots):
    """Walks towards a goal that it does not see: the reward is the velocity towards it."""

    ID = "Ant-v5"
    OPTIONS: ClassVar[Mapping[str, Any]] = {"include_cfrc_ext_in_observation": False}

    def _draw(self, generator: np.random.Generator) -> Task:
        sign, angle = self._sign(generator), generator.uniform(-np.pi / 2, np.pi / 2)
        return {"x": AWAY * sign * float(np.cos(angle)), "y": AWAY * float(np.sin(angle))}

    def _give(self, b: int, model: Any, task: Task) -> None:
        self.tasks[b] = task["x"], task["y"]

    def _reward(self, b: int, moved: Moved) -> float:
        then, now = (np.linalg.norm(self.tasks[b] - place) for place in moved[:2])
        return float(then - now) / moved.dt
