"""The actors' processes: started, watched, started again."""

import dataclasses
import logging
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from veldt.platform.channels.certificates import Certificate
from veldt.platform.errors import ActorDied, ActorsLost
from veldt.platform.whereabouts import Board
from veldt.platform.zygote import Child, Zygote, exit_reason

logger = logging.getLogger(__name__)

MODULE = "veldt.agents.actor"
PRELOAD = "veldt.platform.envs.gymnasium_vector"
ABSENCE_S = 1.0  # a longer time between two watches is the learner's own
GIVE_UP_AFTER = 3  # deaths of one actor with no unroll in between


class Register(Protocol):
    """What a pool's actors report to: a learner's channel, or that of a host elsewhere."""

    address: str
    run: str

    def expect(self, actor: int, incarnation: int) -> None: ...

    def waiting(self) -> set[int]: ...

    def check(self) -> None: ...


class ActorPool:
    """Keeps actors alive.

    Args:
        zygote: Forks them.
        channel: Where they report to.
        actors: Their numbers, with the incarnation that each had before; -1: none.
        environments: B, in each.
        silence_s: After so long without an unroll, an actor that does not wait is killed.
        restart: Start another in the place of one that died.
        log: The file their errors go to.
        certificate: With which they come to a learner elsewhere.
    """

    def __init__(
        self,
        zygote: Zygote,
        channel: Register,
        actors: Mapping[int, int],
        environments: int,
        silence_s: float,
        restart: bool,
        log: Path,
        certificate: Certificate | None = None,
    ) -> None:
        self.restarts = 0
        self.hung = 0  # that were killed for their silence
        self.slowest_recovery_s = 0.0  # from finding an actor dead to its next unroll
        self._zygote, self._channel = zygote, channel
        self._silence_s, self._restart, self._log = silence_s, restart, log
        self._certificate = certificate
        self._watched = time.monotonic()
        self._incarnation = dict(actors)
        self._heard: dict[int, float] = {}
        self._deaths = dict.fromkeys(actors, 0)
        self._died: dict[int, float] = {}
        self._children: dict[int, Child] = {}
        self._board = Board(len(actors), environments)
        self.own = frozenset(actors)
        self._places = {actor: place for place, actor in enumerate(actors)}
        try:
            for actor in actors:
                self._children[actor] = self._start(actor)
        except BaseException:
            self.stop(0.0)
            raise

    def _start(self, actor: int) -> Child:
        self._incarnation[actor] += 1
        self._heard[actor] = time.monotonic()
        self._channel.expect(actor, self._incarnation[actor])
        argument = {
            "address": self._channel.address,
            "run": self._channel.run,
            "actor": actor,
            "incarnation": self._incarnation[actor],
            "certificate": self._certificate.plain() if self._certificate else None,
            "page": dataclasses.asdict(self._board.page(self._places[actor])),
        }
        return self._zygote.spawn(f"{MODULE}:main", argument, self._log)

    def heard_from(self, actor: int, incarnation: int | None = None) -> None:
        """An unroll of an actor arrived; one of a process before it says nothing of this one, nor
        does one of an actor that is not of this pool."""
        if actor not in self._children or incarnation not in (None, self._incarnation[actor]):
            return
        self._heard[actor] = time.monotonic()
        self._deaths[actor] = 0
        if actor in self._died:
            recovery_s = self._heard[actor] - self._died.pop(actor)
            self.slowest_recovery_s = max(self.slowest_recovery_s, recovery_s)

    def watch(self) -> None:
        """Starts those again that died, and kills those that hang.

        Raises:
            EnvironmentFault, CodeError: if one ended with a reason that another would meet too.
            ActorsLost: if one dies again and again without making an unroll.
            ActorDied: if one died and `restart` is False.
        """
        waiting, now = self._channel.waiting(), time.monotonic()
        absent = now - self._watched if now - self._watched > ABSENCE_S else 0.0
        self._watched = now
        for actor, child in list(self._children.items()):
            # What we did not watch, or they waited for us, is not their silence.
            self._heard[actor] = now if actor in waiting else self._heard[actor] + absent
            status = child.poll()
            if status is None and now - self._heard[actor] > self._silence_s:
                self._tell_of(actor)
                child.signal(signal.SIGKILL)
                status = child.wait(5.0)
            if status is not None:
                self._replace(actor, status)

    def _tell_of(self, actor: int) -> None:
        """Says where an actor hangs, while there is somebody to say it of."""
        self.hung += 1
        page = self._board.read(self._places[actor])
        logger.warning(
            "actor %d hangs %s: nothing came from it for %g s; it is killed",
            *(actor, "somewhere" if page is None else page.say(), self._silence_s),
        )

    def _replace(self, actor: int, status: int) -> None:
        self._channel.check()  # one that ended for a reason has said it
        self._deaths[actor] += 1
        if self._deaths[actor] >= GIVE_UP_AFTER:
            raise ActorsLost(
                f"actor {actor} ended {GIVE_UP_AFTER} times without making an unroll "
                f"({exit_reason(status)}). Its last words are in {self._log}:\n{self._tail()}"
            )
        if not self._restart:
            raise ActorDied(f"actor {actor} ended ({exit_reason(status)})")
        self.restarts += 1
        self._died.setdefault(actor, time.monotonic())
        self._children[actor] = self._start(actor)

    def _tail(self, lines: int = 12) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, grace_s: float = 2.0) -> None:
        """Waits for the actors to end, then kills those that did not; for after the channel."""
        deadline = time.monotonic() + grace_s
        for child in self._children.values():
            if child.wait(max(0.0, deadline - time.monotonic())) is None:
                child.signal(signal.SIGKILL)
        self._board.close()
