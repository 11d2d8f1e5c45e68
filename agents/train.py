"""One whole training: from settings and a folder to a summary.

    actor processes --unrolls--> channel --in order--> Learner --weights--> channel
                                             |
                                             `--> Progress --> records, checkpoints, summary

The learner's thread owns the loop: it takes unrolls, updates, publishes, and between
two of these it looks after the actors, the records and the checkpoints.
"""

import collections
import contextlib
import dataclasses
import heapq
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from veldt.agents.actor_pool import GIVE_UP_AFTER, MODULE, PRELOAD, ActorPool
from veldt.agents.build import (
    environment_spec,
    find_device,
    make_agent,
    make_deterministic,
    use_threads,
)
from veldt.agents.evaluator import Evaluator
from veldt.agents.learner import Learner
from veldt.agents.networks.cost import Cost, cost_of
from veldt.agents.progress import Clock, Progress
from veldt.agents.replay import Replay, demand_memory
from veldt.agents.settings import TrainSettings
from veldt.platform import checkpoints
from veldt.platform.channels.door import Door
from veldt.platform.channels.learner_end import Arrival, LearnerChannel
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import (
    ActorDied,
    ActorsLost,
    Diverged,
    EnvironmentFault,
    Interrupted,
    SettingsError,
)
from veldt.platform.keys import Key
from veldt.platform.records import Records
from veldt.platform.runs import RunFolder, write_json
from veldt.platform.tickets import Tickets
from veldt.platform.trajectory import Trajectory, from_arrays, stack
from veldt.platform.zygote import Zygote

RECORDS = 300  # lines in a run's metrics, about
POLL_S = 0.1

Report = Callable[[dict[str, Any]], None]


def train(
    settings: TrainSettings,
    folder: Path,
    *,
    resume: bool = False,
    report: Report = lambda values: None,
    stop: Callable[[], bool] = lambda: False,
    beat: Callable[[], None] = lambda: None,
    announce: Callable[[str], None] = lambda text: None,
    tensorboard: bool = True,
    door: Door | None = None,
) -> dict[str, Any]:
    """Trains an agent and returns its summary, which is also in the folder.

    Args:
        settings: What to train.
        folder: The run's folder.
        resume: Go on from the folder's last checkpoint, if it has one.
        report: Called with each record as it is written.
        stop: Asked often; once it says True, a checkpoint is written and the run ends.
        beat: Called after each update.
        announce: Called once with what the network costs, and where it learns.
        tensorboard: Write TensorBoard events beside the records.
        door: Where actors of other hosts come in; None: all are started here.

    Raises:
        InputError: if what is asked for cannot be done.
        RunFailed: if it came to grief; Interrupted if `stop` ended it.
    """
    # First of all: once torch runs threads, this process cannot be forked.
    with contextlib.closing(Zygote([MODULE, PRELOAD])) as zygote:
        # Whatever can be wrong with the settings is found before anything is written.
        device = find_device(settings.learner.device)
        spec = environment_spec(settings)
        use_threads(settings.learner.threads)
        if settings.learner.lockstep and device.type != "cpu":  # which is so anyway
            make_deterministic()
        demand_memory(settings, spec)
        if door is not None and settings.learner.lockstep:
            raise SettingsError(
                "learner.lockstep: actors that come and go are in step with nothing; "
                "set it to false, or let `veldt train` start all actors."
            )
        agent = make_agent(settings, spec)
        run = RunFolder(folder, settings.dump(), resume)
        try:
            if run.summary is not None:
                return run.summary
            cost = cost_of(agent, spec)
            announce(f"{settings.agent.name} on {device}: {cost}")
            deaths: collections.Counter[int] = collections.Counter()  # by update gone back to
            while True:
                learner = Learner(
                    agent,
                    settings.optimizer,
                    device,
                    settings.updates(spec),
                    Key(settings.seed).child("learner"),
                )
                training = Training(
                    settings,
                    spec,
                    learner,
                    folder,
                    zygote,
                    deaths,
                    cost,
                    report,
                    tensorboard,
                    door,
                )
                if door is not None:
                    announce(f"listening at {training.listening}")
                try:
                    summary = training.run(stop, beat)
                    break
                except ActorDied as death:
                    # Lockstep: back to the last checkpoint, from where it is the same bits.
                    back_to = max(checkpoints.numbers(folder), default=0)
                    deaths[back_to] += 1
                    if deaths[back_to] >= GIVE_UP_AFTER:
                        raise ActorsLost(
                            f"{death} {GIVE_UP_AFTER} times since update {back_to}; "
                            f"see {folder / 'actors.log'}."
                        ) from death
                    agent = make_agent(settings, spec)
            write_json(folder / "summary.json", summary)
            return summary
        finally:
            run.close()


class Training:
    """The loop and what it holds; one per process and run."""

    def __init__(
        self,
        settings: TrainSettings,
        spec: EnvironmentSpec,
        learner: Learner,
        folder: Path,
        zygote: Zygote,
        deaths: Mapping[int, int],
        cost: Cost,
        report: Report,
        tensorboard: bool,
        door: Door | None,
    ) -> None:
        several = len(settings.environment.played) > 1
        self._tasks = [task.id if several else "" for task in settings.environment.played]
        self._settings, self._spec, self._cost = settings, spec, cost
        self._learner, self._folder, self._report = learner, folder, report
        self._updates = settings.updates(spec)
        self._lockstep = settings.learner.lockstep
        self._progress = Progress()
        checkpoint = checkpoints.load(folder)
        if checkpoint is not None:
            _, arrays, state = checkpoint
            learner.load(arrays)
            self._progress = Progress.restore(state)
        progress = self._progress
        self._clock = Clock(progress.wall_seconds)
        self._before = (
            progress.trajectories_dropped,
            progress.messages_rejected,
            progress.connections_refused,
            progress.hosts_lost,
            progress.actor_restarts + deaths.get(progress.updates, 0),
        )
        self._actor_seconds: collections.Counter[str] = collections.Counter()
        self._tickets = Tickets(
            actors=settings.actors.count,
            batch=settings.learner.fresh,
            done=progress.updates,
            updates=self._updates,
            max_lag=settings.max_lag,
            segment=settings.learner.checkpoint_updates if self._lockstep else None,
        )
        self._order = _InOrder(progress.updates * settings.learner.fresh, self._lockstep)
        self._records = Records(folder, progress.updates, tensorboard)
        learner_settings = settings.learner
        self._replay = (
            Replay(learner_settings.replay, Key(settings.seed))
            if learner_settings.replay
            else None
        )
        self._channel = LearnerChannel(
            self._tickets, settings.dump(), settings.actors.transport, door
        )
        self.listening = self._channel.door
        self._channel.publish(progress.updates, learner.weights())
        self._evaluator = Evaluator(settings, folder, zygote, progress.updates, progress.frames)
        self._pool = ActorPool(
            zygote,
            self._channel,
            dict.fromkeys(range(settings.actors.count if door is None else door.actors), -1),
            settings.actors.silence_s,
            restart=not self._lockstep,
            log=folder / "actors.log",
        )

    def run(self, stop: Callable[[], bool], beat: Callable[[], None]) -> dict[str, Any]:
        """Updates until the end, or until `stop`.

        Raises:
            ActorDied: in lockstep; what was done since the last checkpoint is void.
        """
        progress = self._progress
        every = max(1, self._updates // RECORDS)
        try:
            while progress.updates < self._updates:
                batch = self._gather(stop)
                if batch is None:
                    return self._interrupted()
                values = self._learner.update(batch, progress.updates)
                progress.updates += 1
                progress.steps += self._settings.steps_per_update
                progress.frames += self._settings.frames_per_update(self._spec)
                self._channel.publish(progress.updates, self._learner.weights())
                last = progress.updates == self._updates
                self._evaluator.offer(
                    progress.updates, progress.frames, last, self._learner.weights
                )
                self._evaluator.watch()
                if progress.updates % every == 0 or last:
                    self._record(values)
                if progress.updates % self._settings.learner.checkpoint_updates == 0 or last:
                    self._checkpoint()
                beat()
            self._clock.stop()  # what is still to be evaluated is no training
            if not self._evaluator.finish(stop):
                return self._interrupted()
        except Diverged as error:
            kept = checkpoints.numbers(self._folder)
            where = f"that of update {kept[-1]:,}" if kept else "none yet"
            raise Diverged(f"{error} The last good checkpoint is {where}.") from error
        except (EnvironmentFault, ActorsLost):
            self._keep()
            raise
        finally:
            self._evaluator.close()
            self._channel.close()
            self._pool.stop()
            self._count()
            self._records.close()
        return self._summary()

    def _gather(self, stop: Callable[[], bool]) -> Trajectory | None:
        """The next update's unrolls side by side; None if `stop` said so."""
        progress = self._progress
        taken: list[Trajectory] = []
        used: list[Arrival] = []
        episodes: list[tuple[int, list[tuple[float, int]], str]] = []
        while len(taken) < self._settings.learner.fresh:
            if stop():
                self._channel.traffic.dropped += len(taken) + len(self._order)
                return None
            self._pool.watch()
            arrival = self._channel.receive(POLL_S)
            if arrival is not None:
                self._pool.heard_from(arrival.header.actor, arrival.header.incarnation)
                self._actor_seconds.update(arrival.header.seconds)
                self._order.put(arrival)
            while len(taken) < self._settings.learner.fresh and (ready := self._order.get()):
                header = ready.header
                used.append(ready)
                taken.append(from_arrays(ready.arrays, self._spec))
                task = self._tasks[self._settings.task_of(header.actor)]
                episodes.append((progress.updates - header.version, header.episodes, task))
        for lag, ended, task in episodes:
            progress.count_trajectory(lag, ended, task)
        if self._replay is not None:
            self._replay.add([stack([trajectory]) for trajectory in taken])  # copies
            again = self._settings.learner.replayed
            taken += self._replay.draw(again, progress.updates)
            progress.trajectories_replayed += again
        batch = stack(taken)
        for arrival in used:
            arrival.release()
        return batch

    def _count(self) -> None:
        """Brings the counters of this session into the run's."""
        dropped, rejected, refused, hosts_lost, restarts = self._before
        traffic, progress = self._channel.traffic, self._progress
        progress.trajectories_dropped = dropped + traffic.dropped
        progress.messages_rejected = rejected + traffic.rejected
        progress.connections_refused = refused + traffic.refused
        progress.hosts_lost = hosts_lost + traffic.hosts_lost
        progress.actor_restarts = restarts + self._pool.restarts
        progress.actor_recovery_seconds_max = max(
            progress.actor_recovery_seconds_max, self._pool.slowest_recovery_s
        )
        progress.wall_seconds = self._clock.seconds()

    def _record(self, values: dict[str, float]) -> None:
        self._count()
        whole = max(sum(self._actor_seconds.values()), 1e-9)
        shares = {f"actor_{name}_share": s / whole for name, s in self._actor_seconds.items()}
        record = self._progress.summary() | values | shares | self._evaluator.summary()
        self._records.write(self._progress.updates, record)
        self._report(record | {"frames_total": self._settings.frames})

    def _checkpoint(self) -> None:
        self._count()
        progress = self._progress
        checkpoints.save(self._folder, progress.updates, self._learner.arrays(), progress.state())

    def _keep(self) -> None:
        """A checkpoint of where it is, but not in lockstep: what follows the last boundary is
        computed again to the same bits, which from here it could not be."""
        self._channel.close()
        if not self._lockstep:
            self._checkpoint()

    def _interrupted(self) -> dict[str, Any]:
        self._keep()
        kept = checkpoints.numbers(self._folder)
        where = f"update {kept[-1]:,}" if kept else "the beginning"
        raise Interrupted(
            f"stopped at update {self._progress.updates:,} of {self._updates:,}; to go on from "
            f"{where}, give the same command with --out {self._folder} --resume."
        )

    def _summary(self) -> dict[str, Any]:
        settings = self._settings
        return (
            self._progress.summary()
            | self._evaluator.summary()
            | {
                "seed": settings.seed,
                "environment": settings.environment.label,
                "agent": settings.agent.name,
                **dataclasses.asdict(self._cost),
                "sessions": self._records.session + 1,
            }
        )


class _InOrder:
    """Hands out arrivals as they come, or in lockstep in the order of their numbers."""

    def __init__(self, first: int, lockstep: bool) -> None:
        self._next, self._lockstep = first, lockstep
        self._heap: list[tuple[int, int, Arrival]] = []
        self._count = 0

    def put(self, arrival: Arrival) -> None:
        self._count += 1
        rank = arrival.header.number if self._lockstep else self._count
        heapq.heappush(self._heap, (rank, self._count, arrival))

    def __len__(self) -> int:
        return len(self._heap)

    def get(self) -> Arrival | None:
        if not self._heap or (self._lockstep and self._heap[0][0] != self._next):
            return None
        self._next += 1
        return heapq.heappop(self._heap)[2]
