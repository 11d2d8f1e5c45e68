"""Environments that misbehave, for tests: faulty_environments:NAME-v0 in a recipe."""

import dataclasses
import os
import pathlib
import signal
import time

import gymnasium
import numpy as np

from veldt.platform.envs.gymnasium_vector import GymnasiumVector


class Faulty(gymnasium.Env):
    """Ten quiet steps an episode, and then what `fault` says in step 5 of episode 1."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, fault, once=None):
        self.fault, self.once, self.episode = fault, once, -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.now = self.episode + 1, 0
        return self._seen(), {}

    def _seen(self):
        return np.full(3, self.now / 10, np.float32)

    def step(self, action):
        self.now += 1
        observation, reward = self._seen(), float(action)
        if self.fault == "slow":
            time.sleep(0.001)
        if self.episode == 1 and self.now == 5 and self._first_time():
            match self.fault:
                case "nan reward":
                    reward = float("nan")
                case "nan observation":
                    observation[1] = np.nan
                case "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "exits":
                    os._exit(7)
                case "hangs":
                    signal.pause()
        return observation, reward, self.now == 10, False, {}

    def _first_time(self):
        if self.once is None:
            return True
        try:
            pathlib.Path(self.once).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


for name, fault in {
    "NaNReward": "nan reward",
    "NaNObservation": "nan observation",
    "Killed": "killed",
    "Exits": "exits",
    "Hangs": "hangs",
    "Slow": "slow",
    "Sound": "none",
}.items():
    gymnasium.register(f"{name}-v0", entry_point=Faulty, kwargs={"fault": fault})


class Lopsided(gymnasium.Env):
    """Wants the sum of two hidden numbers; shows one a thousand times too large, and far off."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.now = 0
        return self._seen(), {}

    def _seen(self):
        self.hidden = self.np_random.normal(size=2)
        return self.hidden * np.array([1e3, 1e-2]) + np.array([5e3, 0.0])

    def step(self, action):
        reward = -float((action[0] - self.hidden.sum()) ** 2)
        self.now += 1
        return self._seen(), reward, self.now == 20, False, {}


gymnasium.register("Lopsided-v0", Lopsided)


class Careless(GymnasiumVector):
    """A vector of somebody's own that does not look at what it gives: "careless/reward" gives a
    reward of NaN in its 30th step, "careless/observation" shows NaN there."""

    def __init__(self, name, size):
        super().__init__("CartPole-v1", size)
        self.spec = dataclasses.replace(self.spec, id=name)
        self._wrong, self._now = name.partition("/")[2], 0

    def step(self, action):
        step, self._now = super().step(action), self._now + 1
        if self._now == 30:
            getattr(step, self._wrong)[-1] = np.nan
        return step
