"""The learner's end of ZeroMQ between it and its actors.

A ROUTER in a thread of the learner's process answers the DEALER of each actor.
Actors pull: `ready`, or a delivery that asks for more, is answered with `work` as soon
as there is a ticket, so an actor holds at most one and a slow learner slows its actors
instead of filling memory. Sockets belong to one thread each; the learner's own thread meets the
serving one at a queue and at a lock.
"""

import contextlib
import dataclasses
import logging
import os
import queue
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

import zmq

from veldt.platform import wire
from veldt.platform.channels.addresses import ipc_address
from veldt.platform.channels.arrivals import Arrays, Arrival, Traffic
from veldt.platform.channels.connections import Connections
from veldt.platform.channels.door import Door, Entrance, OpenDoor
from veldt.platform.channels.questions import ANSWERS, Answers, Question
from veldt.platform.channels.reception import OF_HOSTS, Desk, Reception
from veldt.platform.channels.storage import Storage
from veldt.platform.errors import InputError, RunFailed, WireError
from veldt.platform.tickets import Place, Tickets

logger = logging.getLogger(__name__)

POLL_MS = 200
# Messages of one peer that may lie here unread: an actor has one ticket, and says at most that it
# is there, that it is ready, an unroll and a fault before it waits for an answer.
MOST_UNREAD = 4
MOST_UNSENT = 8  # answers that a peer did not fetch; what comes beyond them is not sent


class LearnerChannel:
    """The learner's end: gives out tickets and weights, takes in unrolls.

    Args:
        tickets: The book; from here on only this channel touches it.
        settings: What each actor is told to do, as plain JSON.
        transport: Of this host's actors: "shared" memory, "ipc", or "tcp" on loopback.
        door: For other processes that start actors, beside it; None: nobody else comes in.
        place: Which of several learners it is of.
        central: Whether actors are told what to do, and need no weights.
        check: Raises WireError if what a delivery or a question brings is not what this run's
            actors send.
        limits: What is longer is not even read.
        plays: The tasks of the first actors; those after them play the same ones, in turn.

    Raises:
        InputError: if the door's address cannot be listened at.
    """

    def __init__(
        self,
        tickets: Tickets,
        settings: dict[str, Any],
        transport: Literal["shared", "ipc", "tcp"],
        door: Door | None = None,
        place: Place = Place(),  # noqa: B008
        central: bool = False,
        check: Callable[[wire.Delivery | wire.Ask, Arrays], None] = lambda header, arrays: None,
        limits: wire.Limits = wire.Limits(),  # noqa: B008
        plays: Sequence[str] = ("",),
    ) -> None:
        # Names this session, and is what its actors are known by; nothing is drawn from it. It
        # is no part of an address: addresses of sockets can be read by everybody on a host.
        self._check, self._limits = check, limits
        self.run = secrets.token_hex(16)
        self.traffic = Traffic()
        self.arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._given_up: set[tuple[int, int]] = set()  # (actor, incarnation)
        self.faults: queue.SimpleQueue[RunFailed] = queue.SimpleQueue()
        self.questions: queue.SimpleQueue[Question] = queue.SimpleQueue()
        self._central = central
        self._asking: dict[int, bytes] = {}  # actor -> identity, until it delivers
        self._unanswered: set[bytes] = set()  # who asked what to do
        self._tickets, self._settings, self._place = tickets, settings, place
        self._incarnations: dict[int, int] = {}
        self._members: dict[int, bytes] = {}  # actor -> the identity whose hello was right
        self._waiting: dict[int, tuple[bytes, int]] = {}  # actor -> identity, version it holds
        self._weights: dict[int, wire.Body] = {}
        most = (tickets.max_lag + 1) * tickets.batch  # under way at once
        count = min(most, 2 * (tickets.actors + tickets.batch))
        self._storage = Storage(count, limits.question if central else 0)
        self._shares = transport == "shared"
        self._lock = threading.Lock()
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.set(zmq.LINGER, 0)
        self._router.set(zmq.ROUTER_MANDATORY, 1)
        self._router.set(zmq.MAXMSGSIZE, limits.frame)
        self._router.set(zmq.RCVHWM, MOST_UNREAD)
        self._router.set(zmq.SNDHWM, MOST_UNSENT)
        self._connections = Connections(self._router, self.traffic.refuse)
        if transport == "tcp":
            port = self._router.bind_to_random_port("tcp://127.0.0.1")
            self.address = f"tcp://127.0.0.1:{port}"
        else:
            self.address = ipc_address(secrets.token_hex(16))
            with contextlib.suppress(zmq.ZMQError):  # a system that does not say who it is
                self._router.set(zmq.IPC_FILTER_UID, os.getuid())  # of this user alone
            self._router.bind(self.address)
        self._reception = Reception(
            tickets.actors if door is None else door.actors,
            self.run,
            settings,
            self._incarnations,
            self.traffic,
            Desk(self._send, self._forget, self._answer_all, self._waiting.keys),
            plays,
        )
        self._opened: OpenDoor | None = None
        try:
            if door is not None and door.address:
                self._opened = OpenDoor(door, self._context, self._router)
        except InputError:
            self._connections.close()
            self._router.close(linger=0)
            self._context.term()
            raise
        self.door = "" if self._opened is None else self._opened.address
        """the address at which other hosts come in"""
        self._answers = self._context.socket(zmq.PAIR)
        self._answers.bind(ANSWERS)
        self._bell = self._context.socket(zmq.PAIR)
        self._bell.bind("inproc://bell")
        self._closing = threading.Event()
        self._died: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="veldt-channel", daemon=True)
        self._thread.start()
        if door is not None:
            door.opened(Entrance(self.door, self.address, self.run))

    def publish(self, version: int, arrays: Arrays) -> None:
        """Offers the weights of `version`; those too old for any ticket are let go."""
        body = wire.Body(arrays)
        with self._lock:
            self._weights[version] = body
            for old in [v for v in self._weights if v < version - self._tickets.max_lag]:
                del self._weights[old]
            self._tickets.version = version
        self._ring()

    def answers(self) -> Answers:
        """Where what is asked is answered, by one thread."""
        return Answers(self._context)

    def expect(self, actor: int, incarnation: int) -> None:
        """From now on `actor` is its `incarnation`-th process; what an older one held is lost."""
        with self._lock:
            self._incarnations[actor] = incarnation
            self._forget(actor, True)
        self._ring()

    def _forget(self, actor: int, gone: bool) -> None:
        """What `actor` was at is not waited for; its process may be `gone`. Holds the lock."""
        self._storage.forget(actor, gone)
        self._members.pop(actor, None)
        self._unanswered.discard(self._asking.pop(actor, b""))
        self._waiting.pop(actor, None)
        self.traffic.ended_at_work += actor in self._tickets.holders()
        self.traffic.dropped += self._tickets.lost(actor)

    def hosts(self) -> int:
        """Other hosts whose actors work for this learner now."""
        with self._lock:
            return len(self._reception.hosts)

    def versions(self) -> set[int]:
        """Of the weights that unrolls under way are made with."""
        with self._lock:
            return self._tickets.versions()

    def receive(self, timeout_s: float) -> Arrival | None:
        """The next unroll in the order of arrival, or None after `timeout_s`.

        Raises:
            EnvironmentFault, RunFailed: as `check`.
        """
        self.check()
        try:
            return self.arrivals.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def check(self) -> None:
        """Looks whether the run can go on.

        Raises:
            EnvironmentFault, CodeError: if an actor met what a new one would meet too.
            RunFailed: if the channel itself broke.
        """
        if self._died is not None:
            raise RunFailed(f"the learner's channel broke: {self._died!r}.") from self._died
        with contextlib.suppress(queue.Empty):
            raise self.faults.get_nowait()

    def waiting(self) -> set[int]:
        """The actors that asked for an unroll and got none yet."""
        with self._lock:
            return set(self._waiting)

    def close(self) -> None:
        """Tells the actors to stop and counts what was under way as dropped."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._ring()
        self._thread.join()
        self.traffic.dropped += len(self._tickets.holders()) + self.arrivals.qsize()
        self._bell.close(linger=0)
        self._storage.close()
        self._connections.close()
        if self._opened is not None:
            self._opened.close()
        self._context.term()

    def _ring(self) -> None:
        if not (self._waiting or self._closing.is_set()):
            return
        with contextlib.suppress(zmq.Again):  # a bell that rings already need not ring twice
            self._bell.send(b"", zmq.NOBLOCK)

    def _serve(self) -> None:
        bell = self._context.socket(zmq.PAIR)
        bell.connect("inproc://bell")
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(bell, zmq.POLLIN)
        poller.register(self._answers, zmq.POLLIN)
        poller.register(self._connections.monitor, zmq.POLLIN)
        try:
            while not self._closing.is_set():
                ready = dict(poller.poll(POLL_MS))
                if bell in ready:
                    bell.recv()
                    with self._lock:
                        self._answer_all()
                if self._answers in ready:
                    whom, *answer = self._answers.recv_multipart(copy=False)
                    self._unanswered.discard(whom.bytes)
                    self._send(whom.bytes, answer)
                if self._router in ready:
                    who, *frames = self._router.recv_multipart(copy=False)
                    known = self._opened is not None and self._opened.let_in(frames)
                    if self._take(who.bytes, [frame.buffer for frame in frames], known):
                        self._connections.heard(frames)
                if self._connections.monitor in ready:
                    self._connections.look()
                with self._lock:
                    self._reception.look()
            # Those at work too: they find it once they ask for more.
            for identity in [*self._members.values(), *self._reception.hosts.identities()]:
                self._send(identity, wire.pack(wire.Stop()))
        except BaseException as error:  # handed to the learner's thread, which raises it
            self._died = error
        finally:
            bell.close(linger=0)
            self._answers.close(linger=0)
            self._router.close(linger=0 if self._died else POLL_MS)

    def _take(self, identity: bytes, frames: list[memoryview], known: bool) -> bool:
        """A message from a socket; whether it came from somebody of this run.

        Args:
            known: It came through the door.
        """
        try:
            header, arrays = wire.unpack(frames, self._storage.view, self._limits.head)
        except WireError as error:
            with self._lock:
                self._reject(identity, error)
            return False
        with self._lock:
            if isinstance(header, OF_HOSTS):
                before = identity in self._reception.hosts.identities()
                self._reception.take(identity, header, known)
                return before or identity in self._reception.hosts.identities()
            actor = getattr(header, "actor", -1)
            if isinstance(header, wire.Hello) and self._expected(header, identity):
                self._members[actor] = identity
                place = dataclasses.asdict(self._place)
                self._send(identity, wire.pack(wire.Welcome(settings=self._settings, **place)))
                return True
            own = self._members.get(actor), self._incarnations.get(actor)
            if own != (identity, getattr(header, "incarnation", None)):
                self._reject(identity, WireError(f"{header.kind}: it is not actor {actor}."))
                self._send(identity, wire.pack(wire.Stop()))
                return False
            if isinstance(header, wire.Delivery | wire.Ask):
                try:
                    self._check(header, arrays)
                except WireError as error:
                    self._give_up(actor, identity, error)
                    return False
            match header:
                case wire.Ready(version=version) if actor not in self._tickets.holders():
                    self._waiting[actor] = (identity, version)
                    self._answer(actor)
                case wire.Ask(number=number, version=version) if (
                    self._central
                    and self._storage.is_of(actor, header.slot)
                    and identity not in self._unanswered
                    and self._tickets.holds(actor, number, version)
                ):
                    self._asking[actor] = identity
                    self._unanswered.add(identity)
                    self.questions.put(Question(identity, header, arrays))
                case wire.Delivery(number=number, version=version) if self._storage.is_of(
                    actor, header.slot
                ) and self._tickets.delivered(actor, number, version):
                    self.traffic.delivered += 1
                    self._asking.pop(actor, None)
                    self._reception.delivered(actor)
                    self.arrivals.put(Arrival(header, arrays, self._storage.keep(header, arrays)))
                    if header.more:
                        self._waiting[actor] = (identity, version)
                        self._answer(actor)
                case wire.Fault(reason=reason):
                    self._send(identity, wire.pack(wire.Stop()))
                    if not self._reception.fault(actor, reason, header.traceback):
                        self.faults.put(header.error)
                case wire.Delivery(more=True):  # it would wait for its answer
                    self._give_up(actor, identity, WireError("delivery: of no ticket it has."))
                    return False
                case _:
                    self.traffic.rejected += 1
        return True

    def _reject(self, identity: bytes, error: WireError) -> None:
        """Nobody of this run says so; if an actor does, it is given up. Holds the lock."""
        said = [actor for actor, member in self._members.items() if member == identity]
        if not said:
            self.traffic.rejected += 1
        for actor in said:
            self._give_up(actor, identity, error)

    def _give_up(self, actor: int, identity: bytes, error: WireError) -> None:
        """An actor sends what none of this run would; holds the lock. What it was at is another's,
        and whoever started it sees it end."""
        logger.warning("actor %d is not listened to any more: %s", actor, error)
        self.traffic.rejected += 1
        self._given_up.add((actor, self._incarnations.get(actor, -1)))
        self._forget(actor, False)
        self._send(identity, wire.pack(wire.Stop()))
        self._answer_all()

    def _answer_all(self) -> None:
        """What was given back may be what another actor waits for; holds the lock."""
        for actor in list(self._waiting):  # who waits longest is the first
            self._answer(actor)

    def _expected(self, hello: wire.Hello, identity: bytes) -> bool:
        """Whether an actor says it for the first time: what was heard before can be replayed."""
        right = hello.run == self.run and self._incarnations.get(hello.actor) == hello.incarnation
        known = (hello.actor, hello.incarnation) in self._given_up
        return right and not known and self._members.get(hello.actor, identity) == identity

    def _answer(self, actor: int) -> None:
        """Gives a waiting actor its ticket, if there is one; holds the lock."""
        ticket = self._tickets.request(actor) if self._weights else None
        if ticket is None:
            return
        self.traffic.begun += 1
        identity, held = self._waiting.pop(actor)
        here = self._shares and self._reception.is_near(actor)
        slot = self._storage.offer(actor) if here else {}
        work = wire.Work(number=ticket.number, version=ticket.version, fresh=ticket.fresh, **slot)
        known = self._central or held == ticket.version
        body = wire.EMPTY if known else self._weights[ticket.version]
        self._send(identity, wire.pack(work, body))

    def _send(self, identity: bytes, frames: list[Any]) -> None:
        # An actor that died is noticed by whoever started it, not here. One of ours has one
        # answer outstanding; who does not read what he asked for is not waited for.
        with contextlib.suppress(zmq.ZMQError):
            self._router.send_multipart([identity, *frames], zmq.NOBLOCK, copy=False)
