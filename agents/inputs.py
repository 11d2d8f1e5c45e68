"""What an agent is given and what it gives, as tensors.

Legend: T steps, B environments, K truncations, P parameters of a policy, S of a state.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from veldt.agents.interleave import interleave
from veldt.platform.envs.vector import EnvironmentSpec, Step


class Inputs(NamedTuple):
    """What an agent acts on: B environments at one step."""

    observation: Tensor  # [B, ...]
    first: Tensor  # [B] bool, an episode begins here: what was before does not count
    last_action: Tensor  # [B, ...]
    last_reward: Float[Tensor, " B"]
    state: Float[Tensor, "B S"]


class Acted(NamedTuple):
    """What an agent does."""

    action: Tensor  # [B, ...], as the environment's actions are
    policy: Float[Tensor, "B P"]  # that the action was drawn from
    state: Float[Tensor, "B S"]  # to be given back at the next step


class Batch(NamedTuple):
    """A trajectory as tensors on the learner's device; fields as in `Trajectory`."""

    observation: Tensor  # [T+1, B, ...], whole stacks
    first: Tensor  # [T+1, B]
    action: Tensor  # [T, B, ...]
    behaviour_policy: Float[Tensor, "T B P"]
    reward: Float[Tensor, "T B"]
    terminated: Tensor  # [T, B]
    truncated: Tensor  # [T, B]
    final_index: Tensor  # [K, 2]
    final_observation: Tensor  # [K, ...]
    state: Float[Tensor, "B S"]
    last_action: Tensor  # [B, ...]
    last_reward: Float[Tensor, " B"]
    task: Tensor  # [B] int64

    def without_finals(self) -> "Batch":
        """The same, for what has its targets: what truncated episodes showed last is left out."""
        return self._replace(
            final_index=self.final_index[:0], final_observation=self.final_observation[:0]
        )

    def columns(self, chosen: Tensor) -> "Batch":
        """The environments with these numbers, int64 [b], each at most once."""
        index, final = self.final_index, self.final_observation
        if len(index):
            width = self.reward.shape[1]
            place = torch.full((width,), -1, dtype=torch.int64, device=chosen.device)
            place[chosen] = torch.arange(len(chosen), device=chosen.device)
            t, b = index.unbind(-1)
            kept = place[b] >= 0
            index, final = torch.stack([t[kept], place[b[kept]]], -1), final[kept]
        return Batch(
            observation=self.observation[:, chosen],
            first=self.first[:, chosen],
            action=self.action[:, chosen],
            behaviour_policy=self.behaviour_policy[:, chosen],
            reward=self.reward[:, chosen],
            terminated=self.terminated[:, chosen],
            truncated=self.truncated[:, chosen],
            final_index=index,
            final_observation=final,
            state=self.state[chosen],
            last_action=self.last_action[chosen],
            last_reward=self.last_reward[chosen],
            task=self.task[chosen],
        )


def minibatches(batch: Batch, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """The environments of a batch in `count` parts drawn at random, int64 [b] each; in as many
    as there are environments, if those are fewer."""
    width = batch.reward.shape[1]
    order = torch.randperm(width, generator=generator).to(batch.reward.device)
    parts: tuple[Tensor, ...] = order.tensor_split(min(width, count))
    return parts


def with_older(newest: Tensor, index: Tensor, older: Tensor) -> Tensor:
    """Stacks of frames from the newest of each, [T+1, B, C, ...] -> [T+1, B, older + C, ...].

    Args:
        newest: The frames.
        index: int64 [J, 2], the entries whose stack does not follow from the one before; where
            there are stacks, all entries 0 are among them.
        older: [J, older, ...], the older frames there.
    """
    if not len(index):
        return newest
    channels, room = newest.shape[2], older.shape[1]
    steps = room // channels  # further down the stack
    T1, B = newest.shape[:2]
    begun = index[:, 0] == 0
    before = newest.new_empty((B, room, *newest.shape[3:]))
    before[index[begun, 1]] = older[begun]
    line = torch.cat(
        [before.reshape(B, steps, channels, *newest.shape[3:]).transpose(0, 1), newest]
    )
    # Every stack, as a window on the line.
    windows = line.unfold(0, steps + 1, 1).movedim(-1, 2).flatten(2, 3).flatten(0, 1)
    stacks: Tensor = interleave(windows).unflatten(0, (T1, B))  # type: ignore[no-untyped-call]
    # The stack that began last is the last to be written.
    t, b = index[~begun].unbind(-1)
    for down in reversed(range(steps)):
        kept = t + down < T1
        left = room - down * channels
        stacks[t[kept] + down, b[kept], :left] = older[~begun][kept, down * channels :]
    return stacks


class Memory:
    """What has to be kept between two steps of B environments; before the first, nothing."""

    def __init__(self, spec: EnvironmentSpec, size: int, state_size: int) -> None:
        actions = spec.actions
        self.first = np.ones(size, np.bool_)
        self.last_action = np.zeros((size, *actions.shape), actions.dtype)
        self.last_reward = np.zeros(size, np.float32)
        self.state = torch.zeros(size, state_size)

    def keep(self, action: np.ndarray[Any, Any], state: Float[Tensor, "B S"], step: Step) -> None:
        """Takes in what was done and what came of it."""
        self.first = step.terminated | step.truncated
        self.last_action, self.last_reward, self.state = action, step.reward, state

    def inputs(self, observation: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Inputs:
        """What an agent is given that sees this, [B, ...]."""
        return Inputs(
            torch.from_numpy(observation),
            torch.from_numpy(self.first),
            torch.from_numpy(self.last_action),
            torch.from_numpy(self.last_reward),
            self.state,
        )
