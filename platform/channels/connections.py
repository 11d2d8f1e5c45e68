"""What ZeroMQ says of a socket's connections, to count those that come to nothing.

Its limits of what a message may be are kept by hanging up: nobody is told of a message that is too
long, only that a connection is over.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zmq
import zmq.utils.monitor


class Connections:
    """Those of a socket that is bound after this is made.

    Args:
        router: The socket.
        refused: Called for each that ended before anything right was heard on it.
    """

    def __init__(self, router: "zmq.Socket[bytes]", refused: Callable[[], None]) -> None:
        self._router = router
        self.monitor = router.get_monitor_socket(Handshakes.EVENTS)
        """to be polled; what it has is for `look`"""
        self._handshakes = Handshakes(refused)

    def look(self) -> None:
        """Counts who was turned away."""
        while self.monitor.poll(0):
            self._handshakes.take(zmq.utils.monitor.recv_monitor_message(self.monitor))

    def right(self, frames: "Sequence[zmq.Frame]") -> None:
        """A message was what it should be; one that ends now, ends well."""
        self.look()  # it may have come to this number a moment ago
        self._handshakes.right(frames[0].get(zmq.SRCFD))

    def close(self) -> None:
        """Nothing is counted any more."""
        if not self._router.closed:
            self._router.disable_monitor()
        self.monitor.close(linger=0)


@dataclasses.dataclass
class _Endpoint:
    """The connections to one address."""

    pending: list[int] = dataclasses.field(default_factory=list)
    """by their numbers, in the order they came, until their handshake is over"""
    failed: int = 0
    """of which it was told already, but not yet that they ended"""
    silent: set[int] = dataclasses.field(default_factory=set)
    """on which nothing right was heard yet"""


class Handshakes:
    """Counts the connections that end before they were let in, or before they said anything right.

    ZeroMQ tells of most that a handshake failed, and why; of who speaks another protocol
    altogether only that he came and went. Of a success it does not tell whose: most likely it is
    his who came last.

    Args:
        refused: Called for each.
    """

    EVENTS = (
        zmq.EVENT_ACCEPTED
        | zmq.EVENT_HANDSHAKE_SUCCEEDED
        | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        | zmq.EVENT_DISCONNECTED
    )

    def __init__(self, refused: Callable[[], None]) -> None:
        self._refused = refused
        self._at: dict[bytes, _Endpoint] = {}

    def right(self, number: int) -> None:
        """Something was heard on a connection that can be understood."""
        for endpoint in self._at.values():
            endpoint.silent.discard(number)

    def take(self, message: Mapping[str, Any]) -> None:
        """Something happened to a connection, as pyzmq's monitor says it."""
        at = self._at.setdefault(message["endpoint"], _Endpoint())
        number = message["value"]
        match message["event"]:
            case zmq.EVENT_ACCEPTED:
                at.pending.append(number)
                at.silent.add(number)
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                del at.pending[-1:]
            case zmq.EVENT_DISCONNECTED if number in at.pending:
                at.pending.remove(number)
                at.silent.discard(number)
                if at.failed:
                    at.failed -= 1
                else:
                    self._refused()
            case zmq.EVENT_DISCONNECTED:
                if number in at.silent:
                    at.silent.remove(number)
                    self._refused()
            case _:
                at.failed += 1
                self._refused()
        at.failed = min(at.failed, len(at.pending))
