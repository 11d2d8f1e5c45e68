"""An actor: a process that steps B environments with its own copy of the weights.

It pulls: asks for work, gets the number of an unroll and the weights to make it
with, which do not change inside the unroll, and delivers the trajectory. All chance
comes from keys: actions from the number of the unroll, episodes from the number of
the unroll that began them.
"""

import os
import time
from typing import Any

import numpy as np
import torch

from veldt.agents.agent import Agent
from veldt.agents.build import make_agent, make_environments, with_tasks
from veldt.agents.inference import RemoteAgent, RunOver
from veldt.agents.inputs import Memory
from veldt.agents.kept_loss import without
from veldt.agents.settings import TrainSettings
from veldt.platform.channels.actor_end import ActorChannel, Arrays
from veldt.platform.channels.certificates import Certificate
from veldt.platform.envs.vector import Observations, Step, VectorEnvironment
from veldt.platform.errors import EnvironmentFault
from veldt.platform.keys import Key
from veldt.platform.machine import bind
from veldt.platform.trajectory import Trajectory
from veldt.platform.whereabouts import (
    ALL,
    ELSEWHERE,
    ENVIRONMENT,
    STEP,
    UNROLL,
    Page,
    Traced,
    Whereabouts,
)

LEARNED = "learned_loss."  # the part of a network that is no network


def main(argument: dict[str, Any]) -> None:
    """Runs an actor until the learner says stop or is gone.

    Args:
        argument: address, run, actor, incarnation, the host's certificate or None, and the page
            of its whereabouts.
    """
    torch.set_num_threads(1)
    parent, keys = os.getppid(), argument["certificate"]
    where = Page(**argument["page"]).open()
    argument = {name: argument[name] for name in ("address", "run", "actor", "incarnation")}
    argument["certificate"] = None if keys is None else Certificate(**keys)
    channel = ActorChannel(**argument, alive=lambda: os.getppid() == parent)
    settings = without(TrainSettings.parse(channel.settings))
    try:
        number = channel.place.number(argument["actor"])
        task = settings.task_of(number)
        if cores := settings.actors.cores:
            _bind(cores[number % len(cores)])
        where.begin(settings.environment.played[task].id)
        environments = make_environments(settings, settings.actors.environments, task)
        agent = make_agent(settings, with_tasks(settings, environments.spec))
        key = Key(settings.seed).child("actor", number)
        central = settings.actors.inference == "central"
        remote = (
            RemoteAgent(channel, agent.state_size, environments.spec.observations)
            if central
            else None
        )
        acting = remote or agent
        player = Player(acting, environments, settings.actors.unroll_length, key, task, where)
        version, asked = -1, time.perf_counter()
        while work := channel.work(version):
            ticket, weights = work
            waiting = time.perf_counter() - asked
            if weights:
                load_weights(agent, acting_part(weights))
                version = ticket.version
            if remote is not None:
                remote.begin(ticket)
            trajectory, episodes, seconds = player.unroll(
                channel.place.number(ticket.number), ticket.fresh
            )
            channel.deliver(ticket, trajectory.arrays(), episodes, seconds | {"waiting": waiting})
            asked = time.perf_counter()
        environments.close()
    except RunOver:
        pass
    except EnvironmentFault as fault:
        channel.fault(str(fault))
    finally:
        channel.close()


def _bind(core: int) -> None:
    """Keeps to a core; raises `EnvironmentFault` if it cannot be had, which ends the run."""
    try:
        bind(core)
    except OSError as error:
        raise EnvironmentFault(f"actors.cores: core {core}: {error.strerror}.") from error


class Player:
    """Makes unrolls, one after another, of the same environments."""

    def __init__(
        self,
        agent: Agent | RemoteAgent,
        environments: VectorEnvironment,
        unroll_length: int,
        key: Key,
        task: int = 0,
        where: Whereabouts | None = None,
    ) -> None:
        self._where = Whereabouts(environments.size) if where is None else where
        if isinstance(environments, Traced):
            environments.trace(self._where)
        self._task = np.full(environments.size, task, np.int64)
        self._agent, self._environments = agent, environments
        self._length, self._key = unroll_length, key
        self._generator = torch.Generator()
        self._observation: np.ndarray[Any, Any] | None = None
        self._memory = self._nothing()

    def _nothing(self) -> Memory:
        environments = self._environments
        return Memory(environments.spec, environments.size, self._agent.state_size)

    def unroll(
        self, number: int, fresh: bool
    ) -> tuple[Trajectory, list[tuple[float, int]], dict[str, float]]:
        """Plays T steps of the B environments.

        Args:
            number: Of the unroll in the run; chance is drawn for it.
            fresh: Begin new episodes first.

        Returns:
            The trajectory, the (return, steps) of each whole episode that ended, and the
            seconds spent in the environments and in inference.
        """
        T, B = self._length, self._environments.size
        self._generator.manual_seed(self._key.child("actions", number).integer())
        at = self._where.at
        at[UNROLL], at[STEP], at[ENVIRONMENT] = number, 0, ALL
        if fresh or self._observation is None:
            self._observation = self._environments.reset(self._key.child("episodes", number))
            self._memory = self._nothing()
        now, memory = self._observation, self._memory
        shown = self._environments.spec.observations
        observation = np.empty((T + 1, B, *shown.frame), now.dtype)
        stacks = Stacks(shown, now)
        first = np.empty((T + 1, B), np.bool_)
        action = np.empty((T, *memory.last_action.shape), memory.last_action.dtype)
        reward = np.empty((T, B), np.float32)
        terminated, truncated = np.empty((2, T, B), np.bool_)
        before_all = (memory.state.numpy(), memory.last_action, memory.last_reward)
        policies, final_index, final_observation, episodes = [], [], [], []
        acting = 0.0
        begun = time.perf_counter()
        with torch.inference_mode():
            for t in range(T):
                observation[t], first[t] = stacks.newest(now), memory.first
                before = time.perf_counter()
                acted = self._agent.act(memory.inputs(now), self._generator)
                action[t] = acted.action.numpy()
                policies.append(acted.policy)
                acting += time.perf_counter() - before
                at[STEP], at[ENVIRONMENT] = t, ALL
                step = self._environments.step(action[t])
                at[ENVIRONMENT] = ELSEWHERE
                now, reward[t] = step.observation, step.reward
                terminated[t], truncated[t] = step.terminated, step.truncated
                memory.keep(action[t], acted.state, step)
                stacks.follow(t + 1, step)
                if len(step.final_rows):
                    final_index += [(t, row) for row in step.final_rows]
                    final_observation.append(step.final_observation)
                episodes += [(item.episode_return, item.steps) for item in step.episodes]
            observation[T], first[T] = stacks.newest(now), memory.first
            behaviour_policy = torch.stack(policies).numpy()
        self._observation = now
        finals = np.concatenate(final_observation) if final_observation else now[:0]
        state, last_action, last_reward = before_all
        trajectory = Trajectory(
            observation=observation,
            stack_index=np.array(stacks.index, np.int64).reshape(-1, 2),
            stack_older=np.array(stacks.older, now.dtype).reshape(len(stacks.older), *shown.older),
            first=first,
            action=action,
            behaviour_policy=behaviour_policy,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            final_index=np.array(final_index, np.int64).reshape(-1, 2),
            final_observation=finals,
            state=state,
            last_action=last_action,
            last_reward=last_reward,
            task=self._task,
        )
        stepping = time.perf_counter() - begun - acting
        return trajectory, episodes, {"environment": stepping, "inference": acting}


class Stacks:
    """Which of the frames that are shown have to be written down, where they come in stacks.

    Args:
        shown: What the environments show.
        now: Entry 0 of the unroll, [B, ...].
    """

    def __init__(self, shown: Observations, now: np.ndarray[Any, Any]) -> None:
        self.index: list[tuple[int, int]] = []
        self.older: list[np.ndarray[Any, Any]] = []
        self._place = shown.older[0]  # of the newest frame
        if self._place:
            self.index = [(0, row) for row in range(len(now))]
            self.older = [row[: self._place] for row in now]

    def newest(self, observation: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Of each stack of B."""
        return observation[:, self._place :] if self._place else observation

    def follow(self, t: int, step: Step) -> None:
        """Keeps what entry t shows of older frames, where a new episode begins."""
        if self._place:
            for episode in step.episodes:
                self.index.append((t, episode.environment))
                self.older.append(step.observation[episode.environment, : self._place])


def acting_part(weights: Arrays) -> Arrays:
    """Without those of a learned loss, which nobody who only acts has."""
    return {name: array for name, array in weights.items() if not name.startswith(LEARNED)}


def load_weights(agent: Agent, weights: Arrays) -> None:
    """Copies the learner's weights into the agent's network.

    Raises:
        RuntimeError: if names or shapes differ.
    """
    agent.network.load_state_dict(
        {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
    )
