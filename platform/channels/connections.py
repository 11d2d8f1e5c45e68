"""What ZeroMQ says of a socket's connections, to count those that come to nothing.

Its limits of what a message may be are kept by hanging up: nobody is told of a message that is too
long, only that a connection is over.
"""

import contextlib
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

    def heard(self, frames: "Sequence[zmq.Frame]") -> None:
        """A message that was what it should be: its connection will end well."""
        self.look()  # another may have had its number a moment ago
        with contextlib.suppress(zmq.ZMQError):  # a system that does not say where it came from
            self._handshakes.heard(frames[0].get(zmq.SRCFD))

    def close(self) -> None:
        """Nothing is counted any more."""
        if not self._router.closed:
            self._router.disable_monitor()
        self.monitor.close(linger=0)


class Handshakes:
    """Counts the connections that end before anything right was heard on them.

    ZeroMQ tells of most that a handshake failed, and why, but not whose; of who speaks another
    protocol altogether, or sends what is too long, only that he came and went.

    Args:
        refused: Called for each, once.
    """

    EVENTS = (
        zmq.EVENT_ACCEPTED
        | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        | zmq.EVENT_DISCONNECTED
    )

    def __init__(self, refused: Callable[[], None]) -> None:
        self._refused = refused
        self._silent: set[int] = set()  # connections by their numbers, of all addresses
        self._failed = 0  # of which it was told already, but not yet that they ended

    def heard(self, number: int) -> None:
        """Something right, on this connection."""
        self._silent.discard(number)

    def take(self, message: Mapping[str, Any]) -> None:
        """Something happened to a connection, as pyzmq's monitor says it."""
        number = message["value"]
        match message["event"]:
            case zmq.EVENT_ACCEPTED:
                self._silent.add(number)
            case zmq.EVENT_DISCONNECTED if number in self._silent:
                self._silent.remove(number)
                if self._failed:
                    self._failed -= 1
                else:
                    self._refused()
            case zmq.EVENT_DISCONNECTED:
                pass
            case _:
                self._failed += 1
                self._refused()
        self._failed = min(self._failed, len(self._silent))
