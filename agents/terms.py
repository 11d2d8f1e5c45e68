"""What the actors of a run send their learner: anything else is not listened to."""

import dataclasses
import math

import numpy as np

from veldt.agents.agent import Agent
from veldt.agents.contents import Contents
from veldt.agents.networks.cost import act_once
from veldt.agents.settings import TrainSettings
from veldt.platform import wire
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import WireError
from veldt.platform.tickets import Place
from veldt.platform.trajectory import Trajectory, from_arrays

MOST_SECONDS = 1e9  # that an unroll can have taken


class Terms:
    """Called with what a message brings, raises WireError unless it is as agreed.

    Args:
        settings: Of the run.
        spec: Of its environment.
        agent: Of the learner; it acts once, to see how large its policies are.
        place: Of the learner, of several.
    """

    def __init__(
        self, settings: TrainSettings, spec: EnvironmentSpec, agent: Agent, place: Place
    ) -> None:
        self._settings, self._spec, self._place = settings, spec, place
        self._steps, self._size = settings.actors.unroll_length, settings.actors.environments
        self._groups = settings.actors.groups
        self._contents = Contents(spec)
        self._policy, self._state = act_once(agent, spec).policy.shape[1], agent.state_size

    @property
    def limits(self) -> wire.Limits:
        """How long a message can be: where each step ends an episode, whose last observation and
        the next one's stack of frames are sent whole."""
        T, B = self._steps, self._size
        shown, actions = self._spec.observations, self._spec.actions
        pixel, number = np.dtype(shown.dtype).itemsize, np.dtype(actions.dtype).itemsize
        frame, older, whole = (
            pixel * math.prod(shape) for shape in (shown.frame, shown.older, shown.shape)
        )
        action, first, index = number * math.prod(actions.shape), 1, 2 * 8
        policy, state, reward, task = 4 * self._policy, 4 * self._state, 4, 8
        before = state + action + reward
        entry = frame + first + index + older
        step = action + policy + reward + 2 + index + whole
        padding = wire.ALIGNMENT * len(dataclasses.fields(Trajectory))
        unroll = B * ((T + 1) * entry + T * step + before + task) + padding
        return wire.Limits.of(unroll, B // self._groups * (entry + before) + padding, T * B)

    def __call__(self, header: wire.Delivery | wire.Ask, arrays: wire.Arrays) -> None:
        if isinstance(header, wire.Ask):
            self._question(header, arrays)
        else:
            self._unroll(header, arrays)

    def _unroll(self, header: wire.Delivery, arrays: wire.Arrays) -> None:
        found = from_arrays(arrays, self._spec)
        got = (*found.reward.shape, found.behaviour_policy.shape[2:], found.state.shape[1:])
        wanted = (self._steps, self._size, (self._policy,), (self._state,))
        if got != wanted:
            raise WireError(f"trajectory: T, B, P, S must be {wanted}, got {got}.")
        task = self._settings.task_of(self._place.number(header.actor))
        if (found.task != task).any():
            raise WireError(f"trajectory: actor {header.actor} plays task {task}.")
        self._contents.unroll(found, header.episodes)
        if any(abs(seconds) > MOST_SECONDS for seconds in header.seconds.values()):
            raise WireError(f"trajectory: no unroll takes {max(header.seconds.values()):g} s.")

    def _question(self, header: wire.Ask, arrays: wire.Arrays) -> None:
        shown, actions = self._spec.observations, self._spec.actions
        size = self._size // self._groups
        anew = len(arrays.get("stack_index", ()))
        wanted = {
            "observation": (shown.dtype, (size, *shown.frame)),
            "stack_index": ("int64", (anew,)),
            "stack_older": (shown.dtype, (anew, *shown.older)),
            "first": ("bool", (size,)),
            "last_action": (actions.dtype, (size, *actions.shape)),
            "last_reward": ("float32", (size,)),
            "state": ("float32", (size, self._state)),
        }
        got = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
        if got != wanted:
            raise WireError(f"question: expected {wanted}, got {got}.")
        rows = arrays["stack_index"]
        if anew and (rows.min() < 0 or rows.max() >= size):
            raise WireError(f"question: stack_index must lie in [0, {size}).")
        asked = self._steps * self._groups
        if not 0 <= header.step <= asked:
            raise WireError(f"question: step {header.step} of {asked}.")
        self._contents.question(arrays)
