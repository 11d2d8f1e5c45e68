"""The world of lives: their environments, and what agents have seen of them.

Legend: L lives, N steps, O of an observation, W numbers that are normalised.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from veldt.agents.environment_settings import TaskSettings
from veldt.platform.envs import catalogue
from veldt.platform.envs.families import Family
from veldt.platform.keys import Key

FLOOR = 0.01  # of the variance that inputs are normalised by


class Normaliser:
    """Means and deviations of what each life saw so far."""

    def __init__(self, lives: int, width: int) -> None:
        self._count = 0
        self.sums = torch.zeros(2, lives, 1, width, dtype=torch.double)
        """of what was seen, and of its squares"""
        self._mean, self._scale = torch.zeros(lives, 1, width), torch.ones(lives, 1, width)

    def take(self, x: Float[Tensor, "L N W"]) -> None:
        """Takes in N more."""
        self.sums[0] += x.sum(1, keepdim=True, dtype=torch.double)
        self.sums[1] += x.double().square().sum(1, keepdim=True)
        self.resume(self._count + x.shape[1], self.sums)

    def resume(self, count: int, sums: Float[Tensor, "2 L 1 W"]) -> None:
        """Becomes one that saw so many steps, with these sums."""
        self._count, self.sums = count, sums
        mean, squares = sums / count
        variance = (squares - mean.square()).clamp(min=FLOOR)
        self._mean, self._scale = mean.float(), variance.rsqrt().float()

    def __call__(self, x: Float[Tensor, "L N W"]) -> Tensor:
        return (x - self._mean) * self._scale


class World:
    """The environments of lives, and what is seen of them as tensors.

    Args:
        environment: That each life has one of.
        size: L.
    """

    def __init__(self, environment: TaskSettings, size: int) -> None:
        made: Any = catalogue.make(environment.id, size, environment.options)
        self._environments: Family = made
        self.alike: bool = getattr(made, "alike", False)
        """all episodes are as long, whatever is done"""
        self.now = torch.empty(0)

    def begin(self, keys: Sequence[Key]) -> None:
        self.now = torch.from_numpy(np.array(self._environments.begin(keys)))

    def step(self, action: NDArray[np.generic]) -> tuple[Tensor, Tensor, Tensor, Tensor, Any]:
        """Reward, terminated, ended, what it led to [L, O], and the episodes that ended."""
        step = self._environments.step(action)
        after = torch.from_numpy(np.array(step.observation))
        self.now = after
        if len(step.final_rows):
            after = after.clone()
            after[torch.from_numpy(step.final_rows)] = torch.from_numpy(
                np.array(step.final_observation)
            )
        reward, terminated = torch.from_numpy(step.reward), torch.from_numpy(step.terminated)
        ended = terminated | torch.from_numpy(step.truncated)
        return reward, terminated, ended, after, step.episodes

    def close(self) -> None:
        self._environments.close()
