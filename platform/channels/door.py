"""Where actors of other hosts come in to a learner, and who may.

CURVE (certificates.py) encrypts, knows the learner by its key, and turns away during
the handshake whoever's key is not allowed, or who has none: before anything of theirs is read.
What ZeroMQ says of its connections is listened to, so that all of these are counted.
"""

import dataclasses
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import zmq
import zmq.auth.thread

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

    Raises:
        InputError: if its address cannot be listened at.
    """

    def __init__(
        self,
        door: Door,
        context: "zmq.Context[Any]",
        router: "zmq.Socket[bytes]",
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
        try:
            router.bind(door.address)
        except zmq.ZMQError as error:
            self.close()
            raise InputError(
                f"--listen {door.address}: {error}; e.g. tcp://0.0.0.0:5555."
            ) from None
        self.address = str(router.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\0")

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


class _Marking(zmq.auth.thread.ThreadAuthenticator):
    """Marks all whose key may come in as one user."""

    def __init__(self, context: "zmq.Context[Any]", mark: str) -> None:
        super().__init__(context)
        self._mark = mark

    def curve_user_id(self, client_public_key: bytes) -> str:
        return self._mark


def use(dealer: "zmq.Socket[bytes]", certificate: Certificate | None) -> None:
    """Lets a socket that has not connected yet encrypt, and know its learner by its key."""
    if certificate is None:
        return
    dealer.set(zmq.CURVE_SERVERKEY, certificate.learner.encode())
    dealer.set(zmq.CURVE_PUBLICKEY, certificate.public.encode())
    dealer.set(zmq.CURVE_SECRETKEY, certificate.secret.encode())
