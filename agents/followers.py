"""The learners beside the first: processes of their own that learn in step with it.

    leader    meet: what was gathered   update   publish   records, checkpoints, evaluations
    follower  meet: what was gathered   update   publish

A follower keeps nothing that is not the leader's as well. When any of them dies, all go back
to the last checkpoint; when the leader ends, the followers do.
"""

import contextlib
import dataclasses
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from veldt.agents.actor_pool import MODULE as ACTOR
from veldt.agents.actor_pool import PRELOAD
from veldt.agents.build import (
    environment_spec,
    find_device,
    make_agent,
    make_deterministic,
    make_learner,
    use_threads,
)
from veldt.agents.feed import Feed, Told
from veldt.agents.kept_loss import kept
from veldt.agents.learner import Learner
from veldt.agents.learner_group import HostGroup, LearnerGroup
from veldt.agents.settings import TrainSettings
from veldt.agents.stopwatch import Stopwatch
from veldt.platform import checkpoints
from veldt.platform.errors import (
    ActorDied,
    ActorsLost,
    CodeError,
    Diverged,
    EnvironmentFault,
    LearnerDied,
    RunFailed,
)
from veldt.platform.runs import read_settings
from veldt.platform.tickets import Place
from veldt.platform.zygote import Zygote, exit_reason

MODULE = "veldt.agents.followers"
POLL_S = 0.01
MEETING = "meeting"
FAULTS: dict[str, type[RunFailed]] = {
    kind.__name__: kind
    for kind in (ActorDied, ActorsLost, CodeError, Diverged, EnvironmentFault, RunFailed)
}


class Team(Protocol):
    """The other learners, as the first of them sees them."""

    @property
    def group(self) -> LearnerGroup: ...

    @property
    def near(self) -> Place:
        """Which the first is of the learners on its machine."""

    def begin(self, settings: TrainSettings, learner: Learner, done: int, end: int) -> None:
        """All begin with what the first learner has after `done` updates; the `end`-th is the last
        of this session."""

    def check(self, within_s: float = 0.0) -> None:
        """Raises `LearnerDied` if one has ended, or does `within_s`."""

    def close(self) -> None:
        """They end; what they were at is lost."""


class Followers:
    """Processes of this host.

    Args:
        settings: Of the training.
        folder: Of the run.
        zygote: Forks them.
        end: The update that is their last one.

    Raises:
        LearnerDied: if one of them does not come up.
    """

    def __init__(self, settings: TrainSettings, folder: Path, zygote: Zygote, end: int) -> None:
        learners = settings.learner.count
        self._log = folder / "learners.log"
        self._scratch = tempfile.TemporaryDirectory(prefix="veldt-learners-")
        here = Path(self._scratch.name)
        arguments = [
            {
                "folder": str(folder.resolve()),
                "meeting": self._scratch.name,
                "learner": learner,
                "end": end,
            }
            for learner in range(1, learners)
        ]
        self._children = [
            zygote.spawn(f"{MODULE}:main", argument, self._log) for argument in arguments
        ]
        try:
            while not all((here / str(each)).exists() for each in range(1, learners)):
                self.check()
                time.sleep(POLL_S)
            self.near = Place(0, learners)
            device = find_device(settings.learner.device, self.near)
            self.group = HostGroup(self.near, here / MEETING, device)
        except BaseException:
            self._kill()
            raise

    def begin(self, settings: TrainSettings, learner: Learner, done: int, end: int) -> None:
        """They know, and read what it has from the run's folder."""

    def check(self, within_s: float = 0.0) -> None:
        for learner, child in enumerate(self._children, 1):
            if (status := child.wait(within_s)) is not None:
                raise LearnerDied(f"learner {learner} ended ({exit_reason(status)})")

    def close(self) -> None:
        self._kill()
        self.group.close()

    def _kill(self) -> None:
        for child in self._children:
            child.signal(signal.SIGKILL)
        self._scratch.cleanup()


def meet(group: LearnerGroup, told: Told | None, idle: Callable[[], None]) -> list[Told] | None:
    """What all learners gathered for an update; None if one of them has stopped.

    Args:
        group: Of this learner.
        told: What it gathered itself; None: it stops.
        idle: Called while others are waited for.

    Raises:
        LearnerDied: if one of them is gone.
        RunFailed: what a follower came to grief by, of the kind that it was there.
    """
    messages = group.exchange({"told": None if told is None else dataclasses.asdict(told)}, idle)
    for message in messages:
        if "fault" in message:
            kind, *words = message["fault"]
            raise FAULTS[kind](*words)
    reports = [message["told"] for message in messages]
    return None if None in reports else [Told(**report) for report in reports]


def part(group: LearnerGroup, feed: Feed, idle: Callable[[], None]) -> list[dict[str, float]]:
    """The end of a session: all stop their actors, and say what they counted to the last."""
    feed.end()
    return group.exchange(feed.traffic(), idle)


def main(argument: dict[str, Any]) -> None:
    """Runs a follower until the session is over.

    Args:
        argument: folder, of the run; meeting, the folder where the learners meet; learner; end,
            the update that is the last one.
    """
    folder, meeting = Path(argument["folder"]), Path(argument["meeting"])
    settings = kept(TrainSettings.parse(read_settings(folder)), folder)
    place = Place(argument["learner"], settings.learner.count)
    with contextlib.closing(Zygote([ACTOR, PRELOAD])) as zygote:
        device, spec = find_device(settings.learner.device, place), environment_spec(settings)
        use_threads(settings.learner.threads)
        if settings.deterministic and device.type != "cpu":
            make_deterministic()
        agent = make_agent(settings, spec)
        (meeting / str(place.learner)).touch()
        group = HostGroup(place, meeting / MEETING, device)
        learner, done = make_learner(settings, spec, agent, device, group), 0
        if checkpoint := checkpoints.load(folder, lambda n: settings.exact(n, spec)):
            done, arrays, _ = checkpoint
            learner.load(arrays)
        feed = Feed(settings, spec, agent, folder, zygote, done, device, place)
        with contextlib.suppress(LearnerDied, Diverged):  # the leader says what there is to say
            follow(group, learner, feed, done, argument["end"])


def follow(group: LearnerGroup, learner: Learner, feed: Feed, done: int, end: int) -> None:
    """A follower's session, from the `done`-th update to the `end`-th; ends the feed.

    Raises:
        LearnerDied, RankLost: if another learner is gone.
        Diverged, and what the feed raises: the leader knows, and says it.
    """
    try:
        feed.publish(done, learner.weights())
        while done < end:
            batch, told = _gather(group, feed, done, learner.stopwatch)
            if meet(group, told, feed.watch) is None:
                break
            learner.update(batch, done, feed.look_ahead, feed.idle())
            done += 1
            feed.publish(done, learner.weights())
        part(group, feed, lambda: None)
    finally:
        feed.close()


def _gather(group: LearnerGroup, feed: Feed, done: int, stopwatch: Stopwatch) -> Any:
    """Its part of an update; what keeps it from that is the leader's to deal with."""
    try:
        return feed.gather(done, lambda: False, stopwatch)
    except RunFailed as error:
        kind = type(error).__name__
        with contextlib.suppress(LearnerDied):
            fault = [kind, *error.args] if kind in FAULTS else [RunFailed.__name__, str(error)]
            group.exchange({"fault": fault, "told": None})
        raise
