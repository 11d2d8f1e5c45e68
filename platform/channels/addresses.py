"""Addresses of one host, and what its ZeroMQ can do."""

import secrets
import sys
from typing import Any

import zmq

POLL_MS = 2000


def ipc_address(token: str) -> str:
    """Of this host alone; on Linux a name that is no file, so that nothing is left of it."""
    return f"ipc://@veldt-{token}" if sys.platform == "linux" else f"ipc:///tmp/veldt-{token}"


def features() -> dict[str, Any]:
    """What the ZeroMQ of this machine is: versions, and whether it has "ipc" and "curve".

    "ipc" is tried: a message is sent.

    Raises:
        zmq.ZMQError: if the socket cannot be made.
    """
    address = ipc_address(secrets.token_hex(16))
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
            "ipc": bool(receiver.poll(POLL_MS)),
            "curve": zmq.has("curve"),
        }
