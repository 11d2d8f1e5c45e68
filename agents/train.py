"""One whole training: from settings and a folder to a summary.

    Feed --unrolls, and what is told of them--> Learner --weights--> Feed
                          |
                          `--> Progress --> records, checkpoints, summary

The learner's thread owns the loop: it takes unrolls, updates, publishes, and between
two of these it looks after the actors, the records and the checkpoints. Where several
learners learn as one, this is the first of them.
"""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.agents.actor_pool import GIVE_UP_AFTER, MODULE, PRELOAD
from veldt.agents.build import (
    find_device,
    look,
    make_agent,
    make_deterministic,
    make_learner,
    use_threads,
)
from veldt.agents.evaluator import Evaluator
from veldt.agents.feed import Feed, Told
from veldt.agents.followers import Followers, Team, meet, part
from veldt.agents.inputs import Batch
from veldt.agents.kept_loss import keep, kept
from veldt.agents.learner import Learner
from veldt.agents.networks.cost import Cost, cost_of
from veldt.agents.progress import Clock, Progress, Recent
from veldt.agents.replay import demand_memory
from veldt.agents.settings import TrainSettings
from veldt.platform import checkpoints
from veldt.platform.channels.door import Door
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import (
    ActorDied,
    ActorsLost,
    CodeError,
    Diverged,
    EnvironmentFault,
    Interrupted,
    LearnerDied,
    RunFailed,
    SettingsError,
)
from veldt.platform.records import Records
from veldt.platform.runs import RunFolder, read_settings, write_json
from veldt.platform.tickets import Place
from veldt.platform.zygote import Zygote

RECORDS = 300  # lines in a run's metrics, about
PATIENCE_S = 5.0  # with other learners, once the run is to stop

Report = Callable[[dict[str, Any]], None]
Stop = Callable[[], bool]
Deaths = collections.Counter[tuple[int, type[RunFailed]]]  # by update gone back to, and whose


def train(
    settings: TrainSettings,
    folder: Path,
    *,
    resume: bool = False,
    until: int | None = None,
    begin: Path | None = None,
    report: Report = lambda values: None,
    stop: Callable[[], bool] = lambda: False,
    beat: Callable[[], None] = lambda: None,
    announce: Callable[[str], None] = lambda text: None,
    tensorboard: bool = True,
    door: Door | None = None,
    team: Team | None = None,
) -> dict[str, Any]:
    """Trains an agent and returns its summary, which is also in the folder.

    Args:
        settings: What to train.
        folder: The run's folder.
        resume: Go on from the folder's last checkpoint, if it has one. The training may be made
            longer so, which with `deterministic` comes to the bits of one that was as long from
            the beginning.
        begin: A checkpoint to begin with, of an agent with the same network; None: from nothing.
        until: Frames after which to stop for now, at the next checkpoint; None: the end.
        report: Called with each record as it is written.
        stop: Asked often; once it says True, a checkpoint is written and the run ends.
        beat: Called after each update.
        announce: Called with what is trained where and what it costs, once all is known to be
            well, and with what happens to it.
        tensorboard: Write TensorBoard events beside the records.
        door: Where actors of other hosts come in; None: all are started here.
        team: The other learners, where they are not to be started on this host.

    Raises:
        InputError: if what is asked for cannot be done.
        RunFailed: if it came to grief; Interrupted if `stop` ended it.
    """
    # First of all: once torch runs threads, this process cannot be forked.
    with contextlib.closing(Zygote([MODULE, PRELOAD])) as zygote:
        # Whatever can be wrong with the settings is found before anything is written.
        alone = settings.learner.count == 1
        near = Place(0, settings.learner.count) if team is None else team.near
        device = find_device(settings.learner.device, near)
        spec, hidden = look(settings)
        use_threads(settings.learner.threads)
        if settings.deterministic and device.type != "cpu":  # which is so anyway
            make_deterministic()
        demand_memory(settings, spec)
        if (door is not None or team is not None) and settings.deterministic:
            raise SettingsError(
                "deterministic: actors that come and go are in step with nothing; "
                "set it to false, or let `veldt train` start all actors."
            )
        if door is not None and team is None and not alone:
            raise SettingsError(
                "learner.count: actors of other hosts work for one learner, or for several under "
                "`mpirun`; set it to 1, or let `veldt train` start all actors."
            )
        agent = make_agent(kept(settings, folder) if resume else settings, spec)
        if agent.learned is not None:
            agent.learned.demand_unrolls(settings.actors.unroll_length)
        cost = cost_of(agent, spec)  # before there is a folder: it finds cores that do not fit
        if resume and (folder / "settings.json").exists():
            settings.demand_horizon(read_settings(folder).get("frames", settings.frames))
        run = RunFolder(
            folder, settings.dump(), resume, ("frames",), complete=TrainSettings.completed
        )
        try:
            if run.summary is not None:
                return run.summary
            settings = keep(settings, folder)
            if begin is not None and not checkpoints.numbers(folder):
                checkpoints.copy(begin, folder)
            whole = settings.updates(spec)
            end = whole if until is None else settings.boundary(until, spec)
            where = f"{device}" if alone else f"{device}, {settings.learner.count} learners"
            announce(f"training {settings.environment.label} in {folder}")
            announce(f"{settings.agent.name} on {where}: {cost}")
            remarks = [f"one hidden task for the whole run, {task}" for task in hidden]
            remarks += [f"the learned loss replaces {line}" for line in agent.replaced]
            for line in (*settings.remarks, *remarks):
                announce(line)
            deaths: Deaths = collections.Counter()
            while True:
                try:
                    followers: Team | None = team
                    if team is None and not alone:
                        followers = Followers(settings, folder, zygote, end)
                    group = None if followers is None else followers.group
                    training = Training(
                        settings,
                        spec,
                        make_learner(settings, spec, agent, device, group),
                        folder,
                        zygote,
                        deaths,
                        cost,
                        report,
                        tensorboard,
                        door,
                        followers,
                        end,
                        hidden,
                    )
                    if training.listening:
                        announce(f"listening at {training.listening}")
                    summary = training.run(stop, beat)
                    break
                except (ActorDied, LearnerDied) as death:
                    # Back to the last checkpoint; in lockstep, from where it is the same bits.
                    back_to = max(checkpoints.numbers(folder), default=0)
                    deaths[back_to, type(death)] += 1
                    announce(f"{death}; all go back to update {back_to:,}")
                    if deaths[back_to, type(death)] >= GIVE_UP_AFTER:
                        raise ActorsLost(
                            f"{death} {GIVE_UP_AFTER} times since update {back_to}; "
                            f"see {folder / ('actors.log' if alone else 'learners.log')}."
                        ) from death
                    agent = make_agent(settings, spec)
            if end == whole:
                write_json(folder / "summary.json", summary)
            return summary
        finally:
            run.close()


class Training:
    """One session: the loop and what it holds."""

    def __init__(
        self,
        settings: TrainSettings,
        spec: EnvironmentSpec,
        learner: Learner,
        folder: Path,
        zygote: Zygote,
        deaths: Deaths,
        cost: Cost,
        report: Report,
        tensorboard: bool,
        door: Door | None,
        followers: Team | None,
        end: int,
        hidden: list[str],
    ) -> None:
        several = len(settings.environment.played) > 1
        self._tasks = [task.id if several else "" for task in settings.environment.played]
        self._settings, self._spec, self._cost = settings, spec, cost
        self._learner, self._folder, self._report = learner, folder, report
        self._followers, self._hidden = followers, hidden
        self._updates = settings.updates(spec)
        self._end = end  # of this session, if nothing ends it before
        self._progress = Progress()
        checkpoint = checkpoints.load(folder, lambda number: settings.exact(number, spec))
        if checkpoint is not None:
            _, arrays, state = checkpoint
            learner.load(arrays)
            self._progress = Progress.restore(state)
        if followers is not None:
            followers.begin(settings, learner, self._progress.updates, end)
        progress = self._progress
        progress.actor_restarts += deaths[progress.updates, ActorDied]
        progress.learner_restarts += deaths[progress.updates, LearnerDied]
        self._clock, self._recent = Clock(progress.wall_seconds), Recent(progress)
        self._records = Records(folder, progress.updates, tensorboard)
        place = Place(0, settings.learner.count)
        device = learner.device
        self._feed = Feed(
            settings, spec, learner.agent, folder, zygote, progress.updates, device, place, door
        )
        self._before = {name: getattr(progress, name) for name in self._feed.traffic()}
        self._traffic: list[dict[str, float]] = []  # of the other learners
        self._seconds: collections.Counter[str] = collections.Counter()  # of all actors
        self.listening = self._feed.listening
        self._feed.publish(progress.updates, learner.weights())
        self._evaluator = Evaluator(settings, folder, zygote, progress.updates, progress.frames)

    def run(self, stop: Stop, beat: Callable[[], None]) -> dict[str, Any]:
        """Updates until the end, or until `stop`.

        Raises:
            ActorDied: in lockstep; what was done since the last checkpoint is void.
            LearnerDied: if another learner did; so it is then.
        """
        progress = self._progress
        every = max(1, self._updates // RECORDS)
        self._learner.stopwatch.begin()
        try:
            while progress.updates < self._end:
                batch = self._gather(stop)
                if batch is None:
                    return self._interrupted()
                values = self._learner.update(
                    batch, progress.updates, self._feed.look_ahead, self._feed.idle()
                )
                progress.updates += 1
                progress.steps += self._settings.steps_per_update
                progress.frames += self._settings.frames_per_update(self._spec)
                self._feed.publish(progress.updates, self._learner.weights())
                last = progress.updates == self._end
                self._evaluator.offer(
                    progress.updates, progress.frames, last, self._learner.weights
                )
                self._evaluator.watch()
                if progress.updates % every == 0 or last:
                    self._record(values)
                if progress.updates % self._settings.learner.checkpoint_updates == 0 or last:
                    self._checkpoint()
                beat()
                self._learner.stopwatch.lap("publishing")
            self._clock.stop()  # what is still to be evaluated is no training
            self._part(stop)
            if not self._evaluator.finish(stop):
                return self._interrupted()
        except Diverged as error:
            kept = checkpoints.numbers(self._folder)
            where = f"that of update {kept[-1]:,}" if kept else "none yet"
            raise Diverged(f"{error} The last good checkpoint is {where}.") from error
        except (EnvironmentFault, CodeError, ActorsLost):
            self._keep()
            raise
        except LearnerDied:
            if self._followers is not None:  # it can say who
                self._followers.check(within_s=1.0)
            raise
        finally:
            self._evaluator.close()
            if self._followers is not None:
                self._followers.close()
            self._feed.close()
            self._count()
            self._records.close()
        return self._summary()

    def _gather(self, stop: Stop) -> Batch | None:
        """The next update's unrolls side by side; None if `stop` said so."""
        progress = self._progress
        stopwatch = self._learner.stopwatch
        gathered = self._feed.gather(progress.updates, stop, stopwatch)
        reports: list[Told] | None = [gathered[1]] if gathered else None
        if self._followers is not None:
            told = gathered[1] if gathered else None
            idle = self._waiting(stop, self._feed.watch)
            reports = meet(self._followers.group, told, idle)
            stopwatch.lap("together")
        if gathered is None or reports is None:
            self._part(stop)
            return None
        self._traffic = [told.traffic for told in reports[1:]]
        self._seconds = collections.Counter()
        for told in reports:
            self._seconds.update(told.seconds)
            progress.count_replayed(told.replayed)
            for lag, episodes, task in told.unrolls:
                progress.count_trajectory(lag, episodes, self._tasks[task])
        return gathered[0]

    def _waiting(self, stop: Stop, watch: Callable[[], None] = lambda: None) -> Callable[[], None]:
        """What to do while other learners are waited for."""
        begun = time.monotonic()

        def idle() -> None:
            watch()
            if stop() and time.monotonic() - begun > PATIENCE_S:
                self._keep()
                raise Interrupted(self._where())

        return idle

    def _part(self, stop: Stop) -> None:
        """The end of updates in this session."""
        if self._followers is not None:
            self._traffic = part(self._followers.group, self._feed, self._waiting(stop))[1:]

    def _count(self) -> None:
        """Brings the counters of this session into the run's."""
        progress = self._progress
        for name, before in self._before.items():
            counted = [traffic[name] for traffic in (self._feed.traffic(), *self._traffic)]
            longest = name == "actor_recovery_seconds_max"
            setattr(progress, name, max(before, *counted) if longest else before + sum(counted))
        progress.wall_seconds = self._clock.seconds()

    def _record(self, values: dict[str, float]) -> None:
        self._count()
        stages = self._learner.stopwatch.seconds
        recent = self._recent.since(self._progress, self._seconds, stages)
        record = self._progress.summary() | values | recent | self._evaluator.summary()
        self._records.write(self._progress.updates, record)
        self._report(record | {"frames_total": self._settings.frames})

    def _checkpoint(self) -> None:
        self._count()
        progress = self._progress
        checkpoints.save(self._folder, progress.updates, self._learner.arrays(), progress.state())

    def _keep(self) -> None:
        """A checkpoint of where it is, but not in lockstep: what follows the last boundary is
        computed again to the same bits, which from here it could not be."""
        self._feed.end()
        if not self._settings.deterministic:
            self._checkpoint()

    def _interrupted(self) -> dict[str, Any]:
        self._keep()
        raise Interrupted(self._where())

    def _where(self) -> str:
        kept = checkpoints.numbers(self._folder)
        where = f"update {kept[-1]:,}" if kept else "the beginning"
        return (
            f"stopped at update {self._progress.updates:,} of {self._updates:,}; to go on from "
            f"{where}, give the same command with --out {self._folder} --resume."
        )

    def _summary(self) -> dict[str, Any]:
        settings = self._settings
        more: dict[str, Any] = {"hidden_tasks": self._hidden} if self._hidden else {}
        if self._learner.agent.replaced:
            more["learned_loss_replaces"] = self._learner.agent.replaced
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
            | more
        )
