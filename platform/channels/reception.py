"""Where the other hosts of actors are received: what they say, and what they are answered.

Part of a learner's channel: everything here happens under its lock, in its thread.
"""

import dataclasses
import hmac
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from veldt.platform import wire
from veldt.platform.channels.arrivals import Traffic
from veldt.platform.channels.hosts import MOST, Host, Hosts
from veldt.platform.runs import code_version

logger = logging.getLogger(__name__)

OF_HOSTS = (wire.Join, wire.Expect, wire.Beat, wire.Leave)


@dataclasses.dataclass(frozen=True)
class Desk:
    """What a reception may do with its channel."""

    send: Callable[[bytes, list[Any]], None]
    forget: Callable[[int, bool], None]
    """(actor, whether its process is gone): its unroll is not waited for any more"""
    answer_all: Callable[[], None]
    """Something may be there for those that wait"""
    waiting: Callable[[], Collection[int]]


class Reception:
    """One learner's.

    Args:
        taken: Actors 0 to `taken` - 1 are the learner's own.
        run: The channel's word, which whoever joins from this host was told.
        settings: What each actor is told to do.
        incarnations: The channel's, of each actor.
        traffic: Where is counted.
        desk: The channel's.
        plays: As `Hosts`.
    """

    def __init__(
        self,
        taken: int,
        run: str,
        settings: dict[str, Any],
        incarnations: dict[int, int],
        traffic: Traffic,
        desk: Desk,
        plays: Sequence[str],
    ) -> None:
        self.hosts = Hosts(taken, plays)
        self._run, self._settings = run, settings
        self._incarnations, self._traffic, self._desk = incarnations, traffic, desk

    def take(self, identity: bytes, header: Any, known: bool) -> None:
        """What another host of actors says.

        Args:
            identity: Of its socket.
            header: One of `OF_HOSTS`.
            known: Whether it came through the door.
        """
        host = self.hosts.heard(identity, time.monotonic())
        match header:
            case wire.Join(run=run) if known or hmac.compare_digest(
                run.encode(), self._run.encode()
            ):
                self._admit(identity, header)
                return
            case wire.Expect(actor=actor, incarnation=incarnation) if (
                host is not None
                and actor in host.actors
                and incarnation > self._incarnations.get(actor, -1)
            ):
                self._incarnations[actor] = incarnation
                self._desk.forget(actor, True)
                self._desk.answer_all()
            case wire.Beat() if host is not None:
                pass
            case wire.Leave() if host is not None:
                self.lose(identity, "it ended")
                return
            case _:  # it does not wait for an answer for ever, and joins again
                self._traffic.rejected += 1
                return
        waiting = [actor for actor in self._desk.waiting() if actor in host.actors]
        delivered, host.delivered = sorted(host.delivered), set()
        self._desk.send(identity, wire.pack(wire.Heard(delivered=delivered, waiting=waiting)))

    def _admit(self, identity: bytes, join: wire.Join) -> None:
        if join.version != (own := str(code_version()["veldt"])):
            self._refuse(
                identity, f"it runs veldt {own}, and {join.host} {join.version}; install the same."
            )
            return
        if self.hosts.actors(beside=identity) + join.count > MOST:
            self._refuse(
                identity, f"it has room for {MOST:,} actors, which are too few for these."
            )
            return
        before = self.hosts.leave(identity)
        if before is None:
            logger.info("%s joins with %d actors", join.host, join.count)
        else:  # it lost patience with us and ended its actors; their numbers may now be others
            for actor in before.actors:
                self._desk.forget(actor, False)
            self._desk.answer_all()
        here = bool(join.run)
        host = self.hosts.join(identity, join.host, join.count, time.monotonic(), here)
        joined = wire.Joined(
            run=self._run,
            settings=self._settings,
            actors=[(actor, self._incarnations.get(actor, -1)) for actor in sorted(host.actors)],
        )
        self._desk.send(identity, wire.pack(joined))

    def _refuse(self, identity: bytes, reason: str) -> None:
        self._desk.send(identity, wire.pack(wire.Refusal(reason=reason)))
        self._traffic.rejected += 1

    def fault(self, actor: int, reason: str, traceback: str) -> bool:
        """What was wrong with an actor of another host is its host's to deal with, since it need
        not be so here; False for an actor of the learner's own."""
        if (owner := self.hosts.of(actor)) is None:
            return False
        self._desk.send(owner[0], wire.pack(wire.Refusal(reason=reason, traceback=traceback)))
        self.lose(owner[0], reason)
        return True

    def delivered(self, actor: int) -> None:
        """To be told its host with the next beat."""
        if (owner := self.hosts.of(actor)) is not None:
            owner[1].delivered.add(actor)

    def is_near(self, actor: int) -> bool:
        """Whether an actor is on the learner's host."""
        owner: tuple[bytes, Host] | None = self.hosts.of(actor)
        return owner is None or owner[1].here

    def look(self) -> None:
        """Those that are not heard any more are gone; a task may be nobody's."""
        now_s = time.monotonic()
        for identity in self.hosts.silent(now_s):
            self.lose(identity, "it is not heard any more")
        if tasks := self.hosts.lacking(now_s):
            logger.warning(
                "no actor plays %s: start more than the %d that are there",
                ", ".join(tasks),
                self.hosts.present,
            )

    def lose(self, identity: bytes, reason: str) -> None:
        """A host is gone, and its actors with it."""
        host = self.hosts.leave(identity)
        if host is None:
            return
        logger.warning("the actors of %s are gone: %s", host.name, reason)
        self._traffic.hosts_lost += 1
        for actor in host.actors:
            # Whatever process still is that actor is not to be listened to.
            self._incarnations[actor] = self._incarnations.get(actor, -1) + 1
            self._desk.forget(actor, False)
        self._desk.answer_all()
