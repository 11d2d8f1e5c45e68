"""Where actors of other hosts come in to a learner, and who may.

CURVE (certificates.py) encrypts, knows the learner by its key, and turns away during
the handshake whoever's key is not allowed: before anything of theirs is read.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import zmq
import zmq.auth.thread

from veldt.platform.channels.certificates import Certificate
from veldt.platform.errors import InputError

ZAP_DOMAIN = "veldt"


@dataclasses.dataclass(frozen=True)
class Door:
    """Where actors of other hosts come in."""

    address: str
    """"tcp://0.0.0.0:5555"; port 0: any that is free"""
    certificate: Certificate | None = None
    """the learner's; None: in clear, for anybody"""
    allows: Callable[[str], bool] = lambda public: False
    """whether a public key may come in"""
    actors: int = 0
    """that the learner starts itself, beside those that come"""
    opened: Callable[[str], None] = lambda address: None
    """called with the address, once others can come"""


class OpenDoor:
    """A door that a socket listens at.

    Args:
        door: Which.
        context, router: The socket's, and the socket.
        refused: Called for each connection whose key is not allowed.

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
        self._allows, self._refused = door.allows, refused
        self._authenticator: zmq.auth.thread.ThreadAuthenticator | None = None
        if door.certificate is not None:
            # What is set here holds for what is bound after it: this host's actors need no key.
            self._authenticator = zmq.auth.thread.ThreadAuthenticator(context)
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
        door.opened(self.address)

    def let_in(self, frames: "Sequence[zmq.Frame]") -> bool:
        """Whether a message came in with a key, where keys are asked for: the socket's other
        address, for this host's actors, asks for none."""
        if self._authenticator is None:
            return True
        try:
            return bool(frames[0].get("User-Id"))
        except (IndexError, zmq.ZMQError):
            return False

    def callback(self, domain: str, key: bytes) -> bool:
        """Called by the authenticator with a public key, in Z85."""
        allowed = self._allows(key.decode())
        if not allowed:
            self._refused()
        return allowed

    def close(self) -> None:
        if self._authenticator is not None:
            self._authenticator.stop()


def use(dealer: "zmq.Socket[bytes]", certificate: Certificate | None) -> None:
    """Lets a socket that has not connected yet encrypt, and know its learner by its key."""
    if certificate is None:
        return
    dealer.set(zmq.CURVE_SERVERKEY, certificate.learner.encode())
    dealer.set(zmq.CURVE_PUBLICKEY, certificate.public.encode())
    dealer.set(zmq.CURVE_SECRETKEY, certificate.secret.encode())
