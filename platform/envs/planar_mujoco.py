"""Gymnasium's planar MuJoCo robots with the Python around the physics taken off.

The same floating-point operations in the same order as HalfCheetah-v5, Hopper-v5,
Walker2d-v5 and Swimmer-v5 themselves (Gymnasium 1.x), without what nobody looks at here: the
`info` dictionary, copies, and properties that are computed twice. About half of a step's
time on these robots. Models, resets and constants are Gymnasium's own.
"""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from veldt.platform.envs.single import Observation, SingleSpec

ROBOTS = {"HalfCheetahEnv": 1, "HopperEnv": 1, "Walker2dEnv": 1, "SwimmerEnv": 2}  # skipped qpos
MODULES = tuple(
    f"gymnasium.envs.mujoco.{name}_v5"
    for name in ("half_cheetah", "hopper", "walker2d", "swimmer")
)


def fits(environment: gymnasium.Env[Any, Any]) -> bool:
    """Whether an environment is one of these robots, and no class derived from it."""
    kind = type(environment.unwrapped)
    return kind.__name__ in ROBOTS and kind.__module__ in MODULES


class PlanarMujoco:
    """One robot.

    Args:
        environment: Of a class for which `fits` says yes.
        spec: Its own.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any], spec: SingleSpec) -> None:
        import mujoco

        self.spec = spec
        robot: Any = environment.unwrapped
        self._robot = robot
        self._step, self._model, self._data = mujoco.mj_step, robot.model, robot.data
        data = robot.data
        # Views of the simulation's own memory.
        self._position, self._velocity, self._control = data.qpos, data.qvel, data.ctrl
        self._frames, self._dt = robot.frame_skip, robot.dt
        self._forward, self._cost = robot._forward_reward_weight, robot._ctrl_cost_weight
        skipped = ROBOTS[type(robot).__name__]
        skipped = skipped if robot._exclude_current_positions_from_observation else 0
        self._seen_position = self._position[skipped:]
        self._split = len(self._seen_position)
        self._sum = np.add.reduce
        self._legs = hasattr(robot, "_healthy_reward")
        if self._legs:
            self._survival, self._falls = robot._healthy_reward, robot._terminate_when_unhealthy
            self._z, self._angle = robot._healthy_z_range, robot._healthy_angle_range
            self._range = getattr(robot, "_healthy_state_range", None)

    def reset(self, seed: int, seen: Observation) -> None:
        observation, _ = self._robot.reset(seed=seed)
        seen[:] = observation

    def step(self, action: NDArray[np.float64], seen: Observation) -> tuple[float, bool]:
        position = self._position
        before = position.item(0)
        self._control[:] = action
        self._step(self._model, self._data, self._frames)
        # (mj_rnePostConstraint, which Gymnasium calls here, only fills in contact forces,
        # and these robots do not look at them.)
        reward = self._forward * ((position.item(0) - before) / self._dt)
        seen[: self._split] = self._seen_position
        seen[self._split :] = self._velocity
        cost = self._cost * self._sum(action * action)
        if not self._legs:
            return float(reward - cost), False
        velocity = seen[self._split :]
        velocity.clip(-10.0, 10.0, out=velocity)
        healthy = self._stands()
        reward += healthy * self._survival
        return float(reward - cost), self._falls and not healthy

    def _stands(self) -> bool:
        z, angle = self._position.item(1), self._position.item(2)
        if not (self._z[0] < z < self._z[1] and self._angle[0] < angle < self._angle[1]):
            return False
        if self._range is None:
            return True
        low, high = self._range
        # min and max are NaN where a number is, and NaN is in no range.
        rest, speeds = self._position[2:], self._velocity
        return bool(
            low < rest.min() and rest.max() < high and low < speeds.min() and speeds.max() < high
        )

    def render(self) -> NDArray[np.uint8]:
        raise NotImplementedError("made without render_mode")

    def close(self) -> None:
        self._robot.close()
