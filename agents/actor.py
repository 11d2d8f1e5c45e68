"""An actor: a process that steps B environments with its own copy of the weights.

It pulls: asks for work, gets the number of an unroll and the weights to make it
with, which do not change inside the unroll, and delivers the trajectory. All chance
comes from keys: actions from the number of the unroll, episodes from the number of
the unroll that began them.
"""

import contextlib
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from veldt.agents.agent import Agent
from veldt.agents.build import make_agent, make_environments, with_tasks
from veldt.agents.contents import Contents
from veldt.agents.groups import Group
from veldt.agents.inference import RemoteAgent, RunOver
from veldt.agents.inputs import Acted
from veldt.agents.kept_loss import without
from veldt.agents.settings import TrainSettings
from veldt.agents.unroll import Record
from veldt.platform.channels.actor_end import ActorChannel, Arrays
from veldt.platform.channels.certificates import Certificate
from veldt.platform.code_errors import of_machine, told
from veldt.platform.envs.vector import VectorEnvironment
from veldt.platform.errors import Diverged, EnvironmentFault, VeldtError
from veldt.platform.keys import Key
from veldt.platform.machine import Core, bind, claim_core, quota, whole_cores
from veldt.platform.trajectory import Trajectory
from veldt.platform.whereabouts import (
    ALL,
    ELSEWHERE,
    ENVIRONMENT,
    STEP,
    UNROLL,
    Page,
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
    own: Core | None = None
    try:
        number = channel.place.number(argument["actor"])
        task = settings.task_of(number)
        own = own_core(settings, number)  # held as long as it lives
        where.begin(settings.environment.played[task].id)
        groups = settings.actors.groups
        size = settings.actors.environments // groups
        vectors = [make_environments(settings, size, task) for _ in range(groups)]
        spec = vectors[0].spec
        agent = make_agent(settings, with_tasks(settings, spec))
        agent.only_acts()
        key = Key(settings.seed).child("actor", number)
        central = settings.actors.inference == "central"
        contents = Contents(spec)
        remote = RemoteAgent(channel, agent.state_size, spec, groups) if central else None
        acting = remote or agent
        player = Player(acting, vectors, settings.actors.unroll_length, key, task, where)
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
            contents.vouch(trajectory, episodes)
            seconds["waiting"] = waiting
            channel.deliver(ticket, trajectory.arrays(), episodes, seconds, more=True)
            asked = time.perf_counter()
        player.close()
    except RunOver:
        pass
    except EnvironmentFault as fault:
        channel.fault(str(fault))
    except Diverged as error:
        channel.fault(str(error), diverged=True)
    except VeldtError:
        raise
    except Exception as error:  # which the next actor's code would raise too
        if of_machine(error):
            raise
        channel.fault(f"{type(error).__name__}: {error}", told(error))
    finally:
        channel.close()
        if own is not None:
            own.close()


def own_core(settings: TrainSettings, number: int) -> Core | None:
    """Keeps this actor to a core, if it is to.

    Raises:
        EnvironmentFault: if a core that was named cannot be had, which ends the run.
    """
    actors, learner = settings.actors, settings.learner
    if actors.cores:
        core = actors.cores[number % len(actors.cores)]
        try:
            bind(core)
        except OSError as error:
            raise EnvironmentFault(f"actors.cores: core {core}: {error.strerror}.") from error
    options = settings.environment.played[settings.task_of(number)].options
    several = actors.groups > 1 or options.get("threads", 1) != 1  # threads of one actor
    if actors.cores or not actors.bind or several:
        return None
    enough = actors.count + learner.count * learner.threads <= whole_cores()
    if not enough or quota():  # of which others know nothing, and would take the same ones
        return None
    own = claim_core()
    if own is not None:
        with contextlib.suppress(OSError):  # it was taken from us in the meantime
            bind(own.number)
    return own


class Player:
    """Makes unrolls, one after another, of the same environments.

    Args:
        agent: Acts.
        environments: A vector, or groups of as many each; while one group is stepped, the agent
            acts for another. Chance falls as if they were one where a choice of several actions is
            all that is drawn; else otherwise, and as well.
        unroll_length: T.
        key: Of all chance.
        task: Which is played.
        where: Where it writes what it is at; None: nobody asks.
    """

    def __init__(
        self,
        agent: Agent | RemoteAgent,
        environments: VectorEnvironment | Sequence[VectorEnvironment],
        unroll_length: int,
        key: Key,
        task: int = 0,
        where: Whereabouts | None = None,
    ) -> None:
        vectors = environments if isinstance(environments, Sequence) else [environments]
        size, ends = sum(v.size for v in vectors), np.cumsum([v.size for v in vectors]).tolist()
        self._where = Whereabouts(size) if where is None else where
        self._size, self._task = size, np.full(size, task, np.int64)
        self._groups = [
            Group(
                vector,
                slice(end - vector.size, end),
                len(vectors) == 1,
                self._where,
                agent.state_size,
            )
            for vector, end in zip(vectors, ends, strict=True)
        ]
        self._agent = agent
        self._length, self._key = unroll_length, key
        self._generator = torch.Generator()

    def close(self) -> None:
        """Lets go of the environments."""
        for group in self._groups:
            group.close()

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
        self._generator.manual_seed(self._key.child("actions", number).integer())
        at = self._where.at
        at[UNROLL], at[STEP], at[ENVIRONMENT] = number, 0, ALL
        for group in self._groups:
            if fresh or group.now is None:
                group.begin(self._key.child("episodes", number))
        record = Record(self._groups, self._length, self._size)
        acted: list[Acted] = []  # of each group, last
        acting = 0.0
        begun = time.perf_counter()
        with torch.inference_mode():
            for t in range(self._length + 1):
                for place, group in enumerate(self._groups):
                    if t:
                        at[ENVIRONMENT] = ALL
                        step = group.receive(acted[place].state)
                        at[ENVIRONMENT] = ELSEWHERE
                        record.step(t - 1, group, step)
                    record.seen(t, group)
                    if t == self._length:
                        continue
                    at[STEP] = t
                    before = time.perf_counter()
                    now = self._agent.act(group.inputs(), self._generator)
                    acted[place : place + 1] = [now]
                    action = record.acted(t, group, now)
                    acting += time.perf_counter() - before
                    group.send(action)
            trajectory = record.trajectory(self._task)
        stepping = time.perf_counter() - begun - acting
        return trajectory, record.episodes, {"environment": stepping, "inference": acting}


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
