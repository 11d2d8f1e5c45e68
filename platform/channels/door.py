"""Where actors of other hosts come in to a learner, and who may.

CURVE (certificates.py) encrypts, knows the learner by its key, and turns away during
the handshake whoever's key is not allowed, or who has none: before anything of theirs is read.
What ZeroMQ says of its handshakes is listened to, so that all of these are counted.
"""

import dataclasses
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zmq
import zmq.auth.thread
import zmq.utils.monitor

from veldt.platform.channels.certificates import Certificate
from veldt.platform.errors import InputError

ZAP_DOMAIN = "veldt"


@dataclasses.dataclass(frozen=True)
class Entrance:
    """What those have to know who are let in."""

    elsewhere: str
    """the address for other hosts; "": there is none"""
    here: str
    """that for this host"""
    run: str = dataclasses.field(repr=False)
    """the word that is asked for there"""


@dataclasses.dataclass(frozen=True)
class Door:
    """Where hosts of actors come in."""

    address: str
    """"tcp://0.0.0.0:5555"; port 0: any that is free; "": none, they are all on this machine"""
    certificate: Certificate | None = None
    """the learner's; None: in clear, for anybody"""
    allows: Callable[[str], bool] = lambda public: False
    """whether a public key may come in"""
    actors: int = 0
    """that the learner starts itself, beside those that come"""
    opened: Callable[[Entrance], None] = lambda entrance: None
    """called once others can come"""


class OpenDoor:
    """A door that a socket listens at.

    Args:
        door: Which.
        context, router: The socket's, and the socket.
        refused: Called for each connection that did not come to its end of the handshake.

    Raises:
        InputError: if its address cannot be listened at.
    """

    def __init__(
        self,
        door: Door,
        context: "zmq.Context[Any]",
        router: "zmq.Socket[bytes]",
        refused: Callable[[], None],
    ) -> None:
        self._allows = door.allows
        self._authenticator: _Marking | None = None
        # Whoever comes without a key may say that it is any user, but not this one.
        self._mark = secrets.token_hex(16)
        if door.certificate is not None:
            # What is set here holds for what is bound after it: this host's actors need no key.
            self._authenticator = _Marking(context, self._mark)
            self._authenticator.start()
            self._authenticator.configure_curve_callback(ZAP_DOMAIN, self)
            router.set(zmq.ZAP_DOMAIN, ZAP_DOMAIN.encode())
            router.set(zmq.CURVE_SERVER, 1)
            router.set(zmq.CURVE_PUBLICKEY, door.certificate.public.encode())
            router.set(zmq.CURVE_SECRETKEY, door.certificate.secret.encode())
        self._router = router
        self.monitor = router.get_monitor_socket(Handshakes.EVENTS)
        """to be polled; what it has is for `look`"""
        try:
            router.bind(door.address)
        except zmq.ZMQError as error:
            self.close()
            raise InputError(
                f"--listen {door.address}: {error}; e.g. tcp://0.0.0.0:5555."
            ) from None
        self.address = str(router.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\0")
        self._handshakes = Handshakes(self.address.rpartition(":")[2], refused)

    def look(self) -> None:
        """Counts who was turned away."""
        while self.monitor.poll(0):
            self._handshakes.take(zmq.utils.monitor.recv_monitor_message(self.monitor))

    def let_in(self, frames: "Sequence[zmq.Frame]") -> bool:
        """Whether a message came in with a key, where keys are asked for: the socket's other
        address, for this host's actors, asks for none."""
        if self._authenticator is None:
            return True
        try:
            return frames[0].get("User-Id") == self._mark
        except (IndexError, zmq.ZMQError):
            return False

    def callback(self, domain: str, key: bytes) -> bool:
        """Called by the authenticator with a public key, in Z85."""
        return self._allows(key.decode())

    def close(self) -> None:
        """Before its socket is closed."""
        if self._authenticator is not None:
            self._authenticator.stop()
            self._authenticator = None
        if not self._router.closed:
            self._router.disable_monitor()
        self.monitor.close(linger=0)


class _Marking(zmq.auth.thread.ThreadAuthenticator):
    """Marks all whose key may come in as one user."""

    def __init__(self, context: "zmq.Context[Any]", mark: str) -> None:
        super().__init__(context)
        self._mark = mark

    def curve_user_id(self, client_public_key: bytes) -> str:
        return self._mark


class Handshakes:
    """Counts the connections to a port that end before they were let in.

    ZeroMQ tells of most that a handshake failed, and why; of who speaks another protocol
    altogether only that he came and went. Of a success it does not tell whose: most likely it is
    his who came last.

    Args:
        port: The door's; a socket tells of its other addresses too.
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

    def __init__(self, port: str, refused: Callable[[], None]) -> None:
        self._end, self._refused = f":{port}".encode(), refused
        self._pending: list[int] = []  # connections, by their numbers, in the order they came
        self._failed = 0  # of which it was told already, but not yet that they ended

    def take(self, message: Mapping[str, Any]) -> None:
        """Something happened to a connection, as pyzmq's monitor says it."""
        if not message["endpoint"].endswith(self._end):
            return
        number = message["value"]
        match message["event"]:
            case zmq.EVENT_ACCEPTED:
                self._pending.append(number)
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                del self._pending[-1:]
            case zmq.EVENT_DISCONNECTED if number in self._pending:
                self._pending.remove(number)
                if self._failed:
                    self._failed -= 1
                else:
                    self._refused()
            case zmq.EVENT_DISCONNECTED:
                pass
            case _:
                self._failed += 1
                self._refused()
        self._failed = min(self._failed, len(self._pending))


def use(dealer: "zmq.Socket[bytes]", certificate: Certificate | None) -> None:
    """Lets a socket that has not connected yet encrypt, and know its learner by its key."""
    if certificate is None:
        return
    dealer.set(zmq.CURVE_SERVERKEY, certificate.learner.encode())
    dealer.set(zmq.CURVE_PUBLICKEY, certificate.public.encode())
    dealer.set(zmq.CURVE_SECRETKEY, certificate.secret.encode())
