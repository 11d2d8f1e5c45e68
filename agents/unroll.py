"""What is written down of an unroll while it is made.

Legend: T steps, B environments.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from veldt.agents.groups import Group
from veldt.agents.inputs import Acted
from veldt.platform.envs.vector import Observations, Step
from veldt.platform.trajectory import Trajectory


class Record:
    """What is written down of an unroll, as it is made.

    Args:
        groups: Of the environments, at its beginning.
        length: T.
        size: B.
    """

    def __init__(self, groups: Sequence[Group], length: int, size: int) -> None:
        T, B = length, size
        spec = groups[0].spec
        shown, actions = spec.observations, spec.actions
        memories = [group.memory for group in groups]
        self.observation = np.empty((T + 1, B, *shown.frame), shown.dtype)
        self.stacks = Stacks(shown)
        self.first = np.empty((T + 1, B), np.bool_)
        self.action = np.empty((T, B, *actions.shape), actions.dtype)
        self.reward = np.empty((T, B), np.float32)
        self.terminated, self.truncated = np.empty((2, T, B), np.bool_)
        self.state = torch.cat([memory.state for memory in memories]).numpy()
        self.last_action = np.concatenate([memory.last_action for memory in memories])
        self.last_reward = np.concatenate([memory.last_reward for memory in memories])
        self._policies: dict[int, list[torch.Tensor]] = {g.rows.start: [] for g in groups}
        self._final_index: list[tuple[int, int]] = []
        self._finals: list[NDArray[Any]] = []
        self._shown = shown
        self.episodes: list[tuple[float, int]] = []

    def seen(self, t: int, group: Group) -> None:
        """What a group shows before action t."""
        now = group.inputs().observation.numpy()
        if t == 0:
            self.stacks.begin(group.rows.start, now)
        self.observation[t, group.rows] = self.stacks.newest(now)
        self.first[t, group.rows] = group.memory.first

    def acted(self, t: int, group: Group, acted: Acted) -> NDArray[Any]:
        """What the agent does there; the actions."""
        self._policies[group.rows.start].append(acted.policy)
        self.action[t, group.rows] = acted.action.numpy()
        return self.action[t, group.rows]

    def step(self, t: int, group: Group, step: Step) -> None:
        """What came of action t."""
        rows, start = group.rows, group.rows.start
        self.reward[t, rows] = step.reward
        self.terminated[t, rows], self.truncated[t, rows] = step.terminated, step.truncated
        self.stacks.follow(t + 1, start, step)
        if len(step.final_rows):
            self._final_index += [(t, start + row) for row in step.final_rows]
            self._finals.append(step.final_observation)
        self.episodes += [(item.episode_return, item.steps) for item in step.episodes]

    def trajectory(self, task: NDArray[np.int64]) -> Trajectory:
        shown, older = self._shown, self.stacks.older
        policies = [torch.stack(policy) for policy in self._policies.values()]
        nothing = np.empty((0, *shown.shape), shown.dtype)
        return Trajectory(
            observation=self.observation,
            stack_index=np.array(self.stacks.index, np.int64).reshape(-1, 2),
            stack_older=np.array(older, shown.dtype).reshape(len(older), *shown.older),
            first=self.first,
            action=self.action,
            behaviour_policy=torch.cat(policies, 1).numpy(),
            reward=self.reward,
            terminated=self.terminated,
            truncated=self.truncated,
            final_index=np.array(self._final_index, np.int64).reshape(-1, 2),
            final_observation=np.concatenate(self._finals) if self._finals else nothing,
            state=self.state,
            last_action=self.last_action,
            last_reward=self.last_reward,
            task=task,
        )


class Stacks:
    """Which of the frames that are shown have to be written down, where they come in stacks.

    Args:
        shown: What the environments show.
    """

    def __init__(self, shown: Observations) -> None:
        self.index: list[tuple[int, int]] = []
        self.older: list[NDArray[Any]] = []
        self._place = shown.older[0]  # of the newest frame

    def begin(self, start: int, now: NDArray[Any]) -> None:
        """Entry 0 of the unroll, [B, ...], of the environments from `start` on."""
        if self._place:
            self.index += [(0, start + row) for row in range(len(now))]
            self.older += [row[: self._place] for row in now]

    def newest(self, observation: NDArray[Any]) -> NDArray[Any]:
        """Of each stack of B."""
        return observation[:, self._place :] if self._place else observation

    def follow(self, t: int, start: int, step: Step) -> None:
        """Keeps what entry t shows of older frames, where a new episode begins."""
        if self._place:
            for episode in step.episodes:
                self.index.append((t, start + episode.environment))
                self.older.append(step.observation[episode.environment, : self._place])
