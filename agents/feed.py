"""What brings a learner its unrolls: its tickets, its channel, and the actors of this host.

    actor processes --unrolls--> channel --in order--> gather --> a batch, and what is told of it

Of several learners each has a feed of its own.
"""

import dataclasses
import heapq
from collections.abc import Callable
from pathlib import Path

import torch

from veldt.agents.actor_pool import ActorPool
from veldt.agents.agent import Agent
from veldt.agents.build import make_agent
from veldt.agents.inference import InferenceServer
from veldt.agents.inputs import Batch
from veldt.agents.replay import Kept, Replay
from veldt.agents.settings import TrainSettings
from veldt.agents.staging import Staged, Staging
from veldt.agents.stopwatch import Stopwatch
from veldt.agents.terms import Terms
from veldt.platform.channels.arrivals import Arrays, Arrival
from veldt.platform.channels.door import Door
from veldt.platform.channels.learner_end import LearnerChannel
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.keys import Key
from veldt.platform.tickets import Place, Tickets
from veldt.platform.trajectory import Trajectory, stack
from veldt.platform.zygote import Zygote

POLL_S = 0.1

Stop = Callable[[], bool]


@dataclasses.dataclass
class Told:
    """What is counted of the unrolls of one update; plain JSON."""

    unrolls: list[tuple[int, list[tuple[float, int]], int]] = dataclasses.field(
        default_factory=list
    )
    """(lag, the (return, steps) of whole episodes that ended in it, task) of each"""
    replayed: list[int] = dataclasses.field(default_factory=list)
    """The lag of each that was replayed"""
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    """Where the actors' time went"""
    traffic: dict[str, float] = dataclasses.field(default_factory=dict)
    """`Feed.traffic`"""


class Feed:
    """One learner's.

    Args:
        settings: Of the whole training.
        spec: Of its environment.
        agent: Of the learner.
        folder: The run's.
        zygote: Forks the actors.
        done: Updates before this session.
        device: Of the learner.
        place: Which learner it is for.
        door: For actors of other hosts; None: all are started here.
    """

    def __init__(
        self,
        settings: TrainSettings,
        spec: EnvironmentSpec,
        agent: Agent,
        folder: Path,
        zygote: Zygote,
        done: int,
        device: torch.device,
        place: Place = Place(),  # noqa: B008
        door: Door | None = None,
    ) -> None:
        learner, lockstep = settings.learner, settings.deterministic
        self._settings, self._spec, self._place = settings, spec, place
        self._fresh = learner.fresh // place.learners
        self._replayed = learner.replayed // place.learners
        count = settings.actors.count // place.learners
        tickets = Tickets(
            actors=count,
            batch=self._fresh,
            done=done,
            updates=settings.updates(spec),
            max_lag=settings.max_lag,
            segment=learner.checkpoint_updates if lockstep else None,
            strict=settings.lag_is_bound,
        )
        self._order = _InOrder(done * self._fresh, lockstep)
        self._unlearnt = 0  # unrolls gathered for the update that is under way
        self._seconds: dict[str, float] = {}
        self._staging = Staging(device)
        key = Key(settings.seed)
        if place.learners > 1:
            key = key.child("learner", place.learner)
        self._replay = Replay(learner.replay // place.learners, key) if learner.replay else None
        central = settings.actors.inference == "central"
        terms = Terms(settings, spec, agent, place)
        tasks = [task.id for task in settings.environment.played]
        self._channel = LearnerChannel(
            tickets,
            settings.dump(),
            settings.actors.transport,
            door,
            place,
            central,
            terms,
            terms.limits,
            plays=[tasks[settings.task_of(place.number(actor))] for actor in range(len(tasks))],
        )
        self._server = (
            InferenceServer(
                self._channel,
                lambda: make_agent(settings, spec),
                device,
                Key(settings.seed),
                place,
                done,
                settings.max_lag,
                together=not lockstep,
                rounds=settings.actors.groups,
            )
            if central
            else None
        )
        self.listening = self._channel.door
        self._pool = ActorPool(
            zygote,
            self._channel,
            dict.fromkeys(range(count if door is None else door.actors), -1),
            settings.actors.environments,
            settings.actors.silence_s,
            restart=not lockstep,
            log=folder / "actors.log",
        )

    def publish(self, version: int, weights: Arrays) -> None:
        """Offers the actors the weights after update `version`, which is over."""
        self._unlearnt = 0
        if self._server is not None:
            self._server.publish(version, weights)
        self._channel.publish(version, weights)

    def gather(self, update: int, stop: Stop, stopwatch: Stopwatch) -> tuple[Batch, Told] | None:
        """This learner's part of the next update; None if `stop` said so.

        Args:
            update: Done so far.
            stop: Asked while it waits.
            stopwatch: Of the learner.

        Raises:
            EnvironmentFault, ActorsLost, RunFailed: if no more unrolls will come.
            ActorDied: in lockstep.
        """
        told, taken = Told(), list[Unroll]()
        while len(taken) < self._fresh:
            if stop():
                return None
            self.watch()
            arrival = self._channel.receive(POLL_S)
            if arrival is not None:
                self._take(arrival)
            while len(taken) < self._fresh and (unroll := self._order.get()):
                header = unroll.arrival.header
                taken.append(unroll)
                self._unlearnt += 1
                task = self._settings.task_of(self._place.number(header.actor))
                told.unrolls.append((update - header.version, header.episodes, task))
        stopwatch.lap("waiting")
        parts = [unroll.staged or self._staging.begin(unroll.trajectory) for unroll in taken]
        if self._replay is not None:
            self._replay.add(
                [
                    Kept(stack([unroll.trajectory]), unroll.arrival.header.version)  # a copy
                    for unroll in taken
                ]
            )
            drawn = self._replay.draw(self._replayed, update)
            parts += [self._staging.begin(kept.trajectory) for kept in drawn]
            told.replayed = [update - kept.version for kept in drawn]
        stopwatch.lap("copying")
        batch = self._staging.batch(parts)
        for unroll in taken:
            unroll.arrival.release()
        stopwatch.lap("stacking")
        told.seconds, told.traffic = dict(self._seconds), self.traffic()
        return batch, told

    def look_ahead(self) -> None:
        """Sends off to the learner's device what has arrived; for while an update runs there."""
        while self._staging.ahead and (arrival := self._channel.receive(0.0)):
            self._take(arrival)

    def _take(self, arrival: Arrival) -> None:
        self._pool.heard_from(arrival.header.actor, arrival.header.incarnation)
        for name, seconds in arrival.header.seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        trajectory = Trajectory(**arrival.arrays)
        staged = self._staging.begin(trajectory) if self._staging.ahead else None
        self._order.put(Unroll(arrival, trajectory, staged))

    def watch(self) -> None:
        """Looks after the actors; raises as `gather`."""
        if self._server is not None:
            self._server.check()
        self._pool.watch()

    def idle(self) -> int:
        """Actors of this host that wait for the next weights: their cores have nothing to do."""
        return len(self._channel.waiting() & self._pool.own)

    def traffic(self) -> dict[str, float]:
        """What this session counted so far, by the names of `Progress`."""
        traffic = self._channel.traffic
        return {
            "trajectories_begun": traffic.begun,
            "trajectories_dropped": traffic.dropped,
            "actors_ended_at_work": traffic.ended_at_work,
            "messages_rejected": traffic.rejected,
            "connections_refused": traffic.refused,
            "hosts_lost": traffic.hosts_lost,
            "actor_restarts": self._pool.restarts,
            "actors_hung": self._pool.hung,
            "actor_recovery_seconds_max": self._pool.slowest_recovery_s,
        }

    def end(self) -> None:
        """Tells the actors to stop; what was under way, or is here and is not learnt from,
        counts as dropped: all that was begun is then used or dropped."""
        if self._server is not None:
            self._server.close()
        self._channel.close()
        self._channel.traffic.dropped += self._unlearnt + self._order.empty()
        self._unlearnt = 0

    def close(self) -> None:
        """`end`, and waits for the actors."""
        self.end()
        self._pool.stop()


@dataclasses.dataclass(frozen=True)
class Unroll:
    """One that has arrived."""

    arrival: Arrival
    trajectory: Trajectory  # in the arrival's arrays
    staged: Staged | None


class _InOrder:
    """Hands out arrivals as they come, or in lockstep in the order of their numbers."""

    def __init__(self, first: int, lockstep: bool) -> None:
        self._next, self._lockstep = first, lockstep
        self._heap: list[tuple[int, int, Unroll]] = []
        self._count = 0

    def put(self, unroll: Unroll) -> None:
        self._count += 1
        rank = unroll.arrival.header.number if self._lockstep else self._count
        heapq.heappush(self._heap, (rank, self._count, unroll))

    def empty(self) -> int:
        """Lets go of all; how many they were."""
        count = len(self._heap)
        self._heap.clear()
        return count

    def get(self) -> Unroll | None:
        if not self._heap or (self._lockstep and self._heap[0][0] != self._next):
            return None
        self._next += 1
        return heapq.heappop(self._heap)[2]
