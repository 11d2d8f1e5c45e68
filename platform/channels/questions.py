"""What actors ask, where they are told what to do, and how answers get out to them.

actor --ask--> serving thread --Question, a queue--> whoever answers
      <------- serving thread <--Answers, a socket-- he
"""

import dataclasses

import zmq

from veldt.platform import wire
from veldt.platform.channels.arrivals import Arrays

ANSWERS = "inproc://answers"


@dataclasses.dataclass(frozen=True)
class Question:
    """What an actor sees, where it is told what to do."""

    identity: bytes
    header: wire.Ask
    arrays: Arrays


class Answers:
    """Where answers go in; belongs to the thread that enters it."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self._socket = context.socket(zmq.PAIR)

    def __enter__(self) -> "Answers":
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(ANSWERS)
        return self

    def send(self, identity: bytes, arrays: Arrays) -> None:
        """To whoever asked."""
        frames = wire.pack(wire.Answer(), wire.Body(arrays))
        self._socket.send_multipart([identity, *frames], copy=False)

    def __exit__(self, *_: object) -> None:
        self._socket.close()
