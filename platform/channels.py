"""ZeroMQ between one learner and its actors.

A ROUTER in a thread of the learner's process answers the DEALER of each actor.
Actors pull: `ready` is answered with `work` as soon as there is a ticket, so an
actor holds at most one and a slow learner slows its actors instead of filling
memory. Sockets belong to one thread each; the learner's own thread meets the
serving one at a queue and at a lock.
"""

import contextlib
import dataclasses
import queue
import secrets
import sys
import threading
from collections.abc import Callable
from typing import Any, Literal

import zmq
from numpy.typing import NDArray

from veldt.platform import wire
from veldt.platform.errors import EnvironmentFault, RunFailed, WireError
from veldt.platform.tickets import Tickets

MAX_MESSAGE_BYTES = 1 << 30
POLL_MS = 200

Arrays = dict[str, NDArray[Any]]


@dataclasses.dataclass
class Traffic:
    """What the channel counted."""

    delivered: int = 0
    dropped: int = 0  # unrolls that were begun and will never be used
    rejected: int = 0  # messages that were not ours or from actors given up


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A delivery as it came: its header and its arrays, views of the message."""

    header: wire.Delivery
    arrays: Arrays


class LearnerChannel:
    """The learner's end: gives out tickets and weights, takes in unrolls.

    Args:
        tickets: The book; from here on only this channel touches it.
        settings: What each actor is told to do, as plain JSON.
        transport: "ipc" on one host, or "tcp" on the loopback interface.
    """

    def __init__(
        self, tickets: Tickets, settings: dict[str, Any], transport: Literal["ipc", "tcp"]
    ) -> None:
        # Names this session, and is what its actors are known by; nothing is drawn from it.
        self.run = secrets.token_hex(16)
        self.traffic = Traffic()
        self.arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self.faults: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._tickets, self._settings = tickets, settings
        self._incarnations: dict[int, int] = {}
        self._members: dict[int, bytes] = {}  # actor -> the identity whose hello was right
        self._waiting: dict[int, tuple[bytes, int]] = {}  # actor -> identity, version it holds
        self._weights: dict[int, wire.Body] = {}
        self._lock = threading.Lock()
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.set(zmq.LINGER, 0)
        self._router.set(zmq.ROUTER_MANDATORY, 1)
        self._router.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        if transport == "tcp":
            port = self._router.bind_to_random_port("tcp://127.0.0.1")
            self.address = f"tcp://127.0.0.1:{port}"
        else:
            self.address = _ipc_address(self.run)
            self._router.bind(self.address)
        self._bell = self._context.socket(zmq.PAIR)
        self._bell.bind("inproc://bell")
        self._closing = threading.Event()
        self._died: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="veldt-channel", daemon=True)
        self._thread.start()

    def publish(self, version: int, arrays: Arrays) -> None:
        """Offers the weights of `version`; those too old for any ticket are let go."""
        body = wire.Body(arrays)
        with self._lock:
            self._weights[version] = body
            for old in [v for v in self._weights if v < version - self._tickets.max_lag]:
                del self._weights[old]
            self._tickets.version = version
        self._ring()

    def expect(self, actor: int, incarnation: int) -> None:
        """From now on `actor` is its `incarnation`-th process; what an older one held is lost."""
        with self._lock:
            self._incarnations[actor] = incarnation
            self._members.pop(actor, None)
            self._waiting.pop(actor, None)
            self.traffic.dropped += self._tickets.lost(actor)
        self._ring()

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
            EnvironmentFault: if an actor met something that starting it again would not mend.
            RunFailed: if the channel itself broke.
        """
        if self._died is not None:
            raise RunFailed(f"the learner's channel broke: {self._died!r}.") from self._died
        with contextlib.suppress(queue.Empty):
            raise EnvironmentFault(self.faults.get_nowait())

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
        self._context.term()

    def _ring(self) -> None:
        with contextlib.suppress(zmq.Again):  # a bell that rings already need not ring twice
            self._bell.send(b"", zmq.NOBLOCK)

    def _serve(self) -> None:
        bell = self._context.socket(zmq.PAIR)
        bell.connect("inproc://bell")
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(bell, zmq.POLLIN)
        try:
            while not self._closing.is_set():
                ready = dict(poller.poll(POLL_MS))
                if bell in ready:
                    bell.recv()
                    with self._lock:
                        for actor in sorted(self._waiting):
                            self._answer(actor)
                if self._router in ready:
                    identity, *frames = self._router.recv_multipart()
                    self._take(identity, frames)
            for identity, _ in self._waiting.values():
                self._send(identity, wire.pack(wire.Stop()))
        except BaseException as error:  # handed to the learner's thread, which raises it
            self._died = error
        finally:
            bell.close(linger=0)
            self._router.close(linger=0 if self._died else POLL_MS)

    def _take(self, identity: bytes, frames: list[bytes]) -> None:
        try:
            header, arrays = wire.unpack(frames)
        except WireError:
            self.traffic.rejected += 1
            return
        with self._lock:
            actor = getattr(header, "actor", -1)
            if isinstance(header, wire.Hello) and self._expected(header):
                self._members[actor] = identity
                self._send(identity, wire.pack(wire.Welcome(settings=self._settings)))
                return
            if self._members.get(actor) != identity:
                self.traffic.rejected += 1
                self._send(identity, wire.pack(wire.Stop()))
                return
            match header:
                case wire.Ready(version=version):
                    self._waiting[actor] = (identity, version)
                    self._answer(actor)
                case wire.Delivery(number=number) if self._tickets.delivered(actor, number):
                    self.traffic.delivered += 1
                    self.arrivals.put(Arrival(header, arrays))
                case wire.Fault(reason=reason):
                    self.faults.put(reason)
                    self._send(identity, wire.pack(wire.Stop()))
                case _:
                    self.traffic.rejected += 1

    def _expected(self, hello: wire.Hello) -> bool:
        return hello.run == self.run and self._incarnations.get(hello.actor) == hello.incarnation

    def _answer(self, actor: int) -> None:
        """Gives a waiting actor its ticket, if there is one; holds the lock."""
        ticket = self._tickets.request(actor) if self._weights else None
        if ticket is None:
            return
        identity, held = self._waiting.pop(actor)
        work = wire.Work(number=ticket.number, version=ticket.version, fresh=ticket.fresh)
        body = wire.EMPTY if held == ticket.version else self._weights[ticket.version]
        self._send(identity, wire.pack(work, body))

    def _send(self, identity: bytes, frames: list[Any]) -> None:
        # An actor that died is noticed by whoever started it, not here.
        with contextlib.suppress(zmq.ZMQError):
            self._router.send_multipart([identity, *frames], copy=False)


class ActorChannel:
    """The actor's end: asks for work and delivers it.

    Args:
        address, run, actor, incarnation: As the learner's end named them.
        alive: Asked several times a second while it waits; False ends the wait.
    """

    def __init__(
        self,
        address: str,
        run: str,
        actor: int,
        incarnation: int,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._alive = alive
        self._actor, self._incarnation = actor, incarnation
        self._context = zmq.Context()
        self._dealer = self._context.socket(zmq.DEALER)
        self._dealer.set(zmq.LINGER, 2000)
        self._dealer.set(zmq.IDENTITY, f"{actor}.{incarnation}".encode())
        self._dealer.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._dealer.connect(address)
        self._send(wire.Hello(run=run, actor=actor, incarnation=incarnation))
        header, _ = self._receive()
        if not isinstance(header, wire.Welcome):
            self._dealer.set(zmq.LINGER, 0)
            self.close()
            raise RunFailed("the learner does not know this actor.")
        self.settings = header.settings

    def work(self, version: int) -> tuple[wire.Work, Arrays] | None:
        """The next unroll to make, with weights if others than `version`; None at the end.

        Args:
            version: Of the weights at hand, -1 for none.
        """
        self._send(wire.Ready(actor=self._actor, incarnation=self._incarnation, version=version))
        header, arrays = self._receive()
        return (header, arrays) if isinstance(header, wire.Work) else None

    def deliver(
        self,
        work: wire.Work,
        arrays: Arrays,
        episodes: list[tuple[float, int]],
        seconds: dict[str, float],
    ) -> None:
        """Sends one unroll."""
        header = wire.Delivery(
            actor=self._actor,
            incarnation=self._incarnation,
            number=work.number,
            version=work.version,
            episodes=episodes,
            seconds=seconds,
        )
        self._send(header, wire.Body(arrays))

    def fault(self, reason: str) -> None:
        """Says why this actor ends and that another would end the same way; waits to be heard."""
        self._send(wire.Fault(actor=self._actor, incarnation=self._incarnation, reason=reason))
        self._receive()

    def close(self) -> None:
        self._dealer.close()
        self._context.term()

    def _send(self, header: Any, body: wire.Body = wire.EMPTY) -> None:
        self._dealer.send_multipart(wire.pack(header, body), copy=False)

    def _receive(self) -> tuple[Any, Arrays]:
        while not self._dealer.poll(POLL_MS):
            if not self._alive():
                return wire.Stop(), {}
        return wire.unpack(self._dealer.recv_multipart())


def _ipc_address(token: str) -> str:
    """On Linux a name that is no file, so that nothing is left of it however we end."""
    return f"ipc://@veldt-{token}" if sys.platform == "linux" else f"ipc:///tmp/veldt-{token}"


def features() -> dict[str, Any]:
    """What the ZeroMQ of this machine is: versions, and whether it has "ipc" and "curve".

    "ipc" is tried: a message is sent.

    Raises:
        zmq.ZMQError: if the socket cannot be made.
    """
    address = _ipc_address(secrets.token_hex(16))
    with (
        zmq.Context() as context,
        context.socket(zmq.PAIR) as sender,
        context.socket(zmq.PAIR) as receiver,
    ):
        sender.set(zmq.LINGER, 0)
        receiver.bind(address)
        sender.connect(address)
        sender.send(b"")
        return {
            "zmq": zmq.zmq_version(),
            "pyzmq": zmq.pyzmq_version(),
            "ipc": bool(receiver.poll(10 * POLL_MS)),
            "curve": zmq.has("curve"),
        }
