"""The end of ZeroMQ at a host whose actors work for a learner elsewhere; see hosts.py."""

import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import zmq
import zmq.utils.monitor

from veldt.platform import wire
from veldt.platform.channels.certificates import Certificate
from veldt.platform.channels.door import use
from veldt.platform.channels.hosts import SILENCE_S
from veldt.platform.errors import CodeError, EnvironmentFault, InputError, RunFailed, WireError
from veldt.platform.runs import code_version

POLL_MS = 200


class LearnerLost(RunFailed):
    """The learner does not answer."""


class HostChannel:
    """A host's end; what a pool of actors reports to.

    Args:
        address: Of the learner, "tcp://host:port".
        certificate: Of this host; None: in clear.
        run: The learner's word, of one on this machine; it asks for no key then.
    """

    def __init__(self, address: str, certificate: Certificate | None, run: str = "") -> None:
        self.address = address
        self.run, self.settings = run, dict[str, Any]()
        self._word = run
        self.stopped = False
        """the learner said that the run is over"""
        self._waiting: set[int] = set()
        self._delivered: set[int] = set()
        self._context = zmq.Context()
        self._dealer = self._context.socket(zmq.DEALER)
        self._dealer.set(zmq.LINGER, 500)
        self._dealer.set(zmq.IDENTITY, f"host-{secrets.token_hex(16)}".encode())
        self._dealer.set(zmq.MAXMSGSIZE, 1 << 24)
        use(self._dealer, certificate)
        self._monitor = self._dealer.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        )
        try:
            self._dealer.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise InputError(f"--connect {address}: {error}; e.g. tcp://learner:5555.") from None

    def join(self, count: int, patience_s: float, alive: Callable[[], bool]) -> Mapping[int, int]:
        """Offers `count` actors until a learner answers.

        Returns:
            The numbers of the actors to run, with the incarnation that each had before; none
            once `alive` says False or the run is over.

        Raises:
            InputError: if the learner turns this host away.
            LearnerLost: if none answers for `patience_s`.
        """
        join = self._offer(count)
        deadline = time.monotonic() + patience_s
        while alive() and not self.stopped:
            with contextlib.suppress(LearnerLost):
                reply = self._ask(join, min(SILENCE_S, patience_s), alive)
                if isinstance(reply, wire.Joined):
                    self.run, self.settings = reply.run, reply.settings
                    self._waiting, self._delivered = set(), set()
                    return dict(reply.actors)
            if time.monotonic() > deadline:
                raise LearnerLost(
                    f"no learner answered at {self.address} for {patience_s:g} s; "
                    "is `veldt learner` running there, and is the port open?"
                )
        return {}

    def _offer(self, count: int) -> wire.Join:
        version = str(code_version()["veldt"])
        return wire.Join(host=socket.gethostname(), version=version, count=count, run=self._word)

    def offer(self, count: int) -> None:
        """Says what `join` says; does not wait for an answer."""
        self._dealer.send_multipart(wire.pack(self._offer(count)))

    def expect(self, actor: int, incarnation: int) -> None:
        """Tells the learner which process of `actor` comes next.

        Raises:
            LearnerLost: if it does not answer, or has forgotten this host.
        """
        self._ask(wire.Expect(actor=actor, incarnation=incarnation))

    def beat(self) -> set[int]:
        """Says that this host is alive; the actors that delivered since the last time.

        Raises:
            LearnerLost: as `expect`.
        """
        self._ask(wire.Beat())
        delivered, self._delivered = self._delivered, set()
        return delivered

    def waiting(self) -> set[int]:
        """The actors that wait for the learner, as of the last beat."""
        return self._waiting

    def check(self) -> None:
        """Nothing to be said here: a refusal is raised where it is read."""

    def leave(self) -> None:
        """Takes leave; does not wait for an answer."""
        with contextlib.suppress(zmq.ZMQError):
            self._dealer.send_multipart(wire.pack(wire.Leave()), zmq.NOBLOCK)

    def close(self) -> None:
        self._dealer.disable_monitor()
        self._monitor.close(linger=0)
        self._dealer.close()
        self._context.term()

    def _ask(
        self,
        message: Any,
        timeout_s: float = SILENCE_S,
        alive: Callable[[], bool] = lambda: True,
    ) -> Any:
        """Sends a message and waits for its answer."""
        with contextlib.suppress(zmq.Again):
            self._dealer.send_multipart(wire.pack(message), zmq.NOBLOCK)
        deadline = time.monotonic() + timeout_s
        while alive() and not self.stopped:
            self._look_at_handshakes()
            if self._dealer.poll(POLL_MS):
                try:
                    answer, _ = wire.unpack(self._dealer.recv_multipart())
                except WireError:
                    continue
                if self._taken(answer, message):
                    return answer
            if time.monotonic() > deadline:
                raise LearnerLost(f"the learner at {self.address} does not answer.")
        return None

    def _taken(self, answer: Any, message: Any) -> bool:
        """Takes in what came; whether it is the answer that was waited for."""
        match answer:
            case wire.Stop():
                self.stopped = True
            case wire.Refusal(reason=reason, traceback=traceback):
                if isinstance(message, wire.Join):
                    raise InputError(f"the learner at {self.address} says: {reason}")
                raise CodeError(reason, traceback) if traceback else EnvironmentFault(reason)
            case wire.Heard() if not isinstance(message, wire.Join):
                self._waiting = set(answer.waiting)
                self._delivered |= set(answer.delivered)
                return True
            case wire.Joined():
                return isinstance(message, wire.Join)
        return False

    def _look_at_handshakes(self) -> None:
        while self._monitor.poll(0):
            event = zmq.utils.monitor.recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                raise InputError(
                    f"the learner at {self.address} turned this key away: is it among its allowed "
                    "ones (DIR/allowed), and made for it?"
                )
            raise InputError(
                f"the learner at {self.address} and this host do not speak alike: give --key FILE "
                "where it has --keys DIR, and --insecure where it has --insecure."
            )
