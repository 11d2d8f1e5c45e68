"""An actor's end of ZeroMQ between a learner and its actors."""

from collections.abc import Callable
from typing import Any

import zmq
from numpy.typing import NDArray

from veldt.platform import wire
from veldt.platform.channels.certificates import Certificate
from veldt.platform.channels.door import use
from veldt.platform.channels.slots import Slot
from veldt.platform.errors import RunFailed
from veldt.platform.tickets import Place

POLL_MS = 200
LONGEST = 8000  # characters of a reason

Arrays = dict[str, NDArray[Any]]


class ActorChannel:
    """The actor's end: asks for work and delivers it.

    Args:
        address, run, actor, incarnation: As the learner's end named them.
        certificate: Of this host, where the learner is on another; None: in clear.
        alive: Asked several times a second while it waits; False ends the wait.
    """

    def __init__(
        self,
        address: str,
        run: str,
        actor: int,
        incarnation: int,
        certificate: Certificate | None = None,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._alive = alive
        self._slot: Slot | None = None
        self._asked = False  # for the next unroll, with the last one
        self._actor, self._incarnation = actor, incarnation
        self._context = zmq.Context()
        self._dealer = self._context.socket(zmq.DEALER)
        self._dealer.set(zmq.LINGER, 2000)
        self._dealer.set(zmq.IDENTITY, f"{actor}.{incarnation}".encode())
        self._dealer.set(zmq.MAXMSGSIZE, wire.MAX_BYTES)
        use(self._dealer, certificate)
        self._dealer.connect(address)
        self._send(wire.Hello(run=run, actor=actor, incarnation=incarnation))
        header, _ = self._receive()
        if not isinstance(header, wire.Welcome):
            self._dealer.set(zmq.LINGER, 0)
            self.close()
            raise RunFailed("the learner does not know this actor.")
        self.settings, self.place = header.settings, Place(header.learner, header.learners)

    def work(self, version: int) -> tuple[wire.Work, Arrays] | None:
        """The next unroll to make, with weights if others than `version`; None at the end.

        Args:
            version: Of the weights at hand, -1 for none; after `deliver` with `more` those of
                what was delivered.
        """
        if not self._asked:
            actor, incarnation = self._actor, self._incarnation
            self._send(wire.Ready(actor=actor, incarnation=incarnation, version=version))
        self._asked = False
        header, arrays = self._receive()
        return (header, arrays) if isinstance(header, wire.Work) else None

    def ask(self, work: wire.Work, step: int, seen: Arrays) -> Arrays | None:
        """What to do at a step of an unroll; None if nobody will say."""
        place = self._place(work, wire.size_of(seen), question=True)
        header = wire.Ask(
            actor=self._actor,
            incarnation=self._incarnation,
            number=work.number,
            version=work.version,
            step=step,
            slot=-1 if place is None else work.slot,
        )
        sent = place is None
        self._send(header, wire.Body(seen, place, apart=sent), sent)
        answer, arrays = self._receive()
        return arrays if isinstance(answer, wire.Answer) else None

    def deliver(
        self,
        work: wire.Work,
        arrays: Arrays,
        episodes: list[tuple[float, int]],
        seconds: dict[str, float],
        more: bool = False,
    ) -> None:
        """Sends one unroll.

        Args:
            more: Ask for the next one with it: `work` is called next.
        """
        place = self._place(work, wire.size_of(arrays))
        header = wire.Delivery(
            actor=self._actor,
            incarnation=self._incarnation,
            number=work.number,
            version=work.version,
            episodes=episodes,
            seconds=seconds,
            slot=-1 if place is None else work.slot,
            more=more,
        )
        sent, self._asked = place is None, more
        self._send(header, wire.Body(arrays, place, apart=sent), sent)

    def _place(self, work: wire.Work, size: int, question: bool = False) -> NDArray[Any] | None:
        """Where an unroll or a question goes, of memory shared with the learner; None: into the
        message."""
        if work.slot < 0:
            return None
        if self._slot is None or self._slot.path != work.memory:
            self._slot = Slot(work.memory, work.slot_bytes, work.question_bytes)
        return self._slot.buffer(work.slot, size, question)

    def fault(self, reason: str, traceback: str = "", diverged: bool = False) -> None:
        """Says why this actor ends and that another would end the same way; waits to be heard.

        Args:
            reason: For people.
            traceback: Where the code is at fault.
            diverged: Whether the network is.
        """
        fault = wire.Fault(
            actor=self._actor,
            incarnation=self._incarnation,
            reason=reason if len(reason) <= LONGEST else f"{reason[:LONGEST]} ...",
            traceback=traceback if len(traceback) <= LONGEST else f"... {traceback[-LONGEST:]}",
            diverged=diverged,
        )
        self._send(fault)
        self._receive()

    def close(self) -> None:
        self._dealer.close()
        self._context.term()

    def _send(self, header: Any, body: wire.Body = wire.EMPTY, sent: bool = True) -> None:
        self._dealer.send_multipart(wire.pack(header, body, sent), copy=False)

    def _receive(self) -> tuple[Any, Arrays]:
        while not self._dealer.poll(POLL_MS):
            if not self._alive():
                self._dealer.set(zmq.LINGER, 0)
                return wire.Stop(), {}
        header, arrays = wire.unpack(self._dealer.recv_multipart())
        if isinstance(header, wire.Stop):  # what was not sent yet, nobody waits for
            self._dealer.set(zmq.LINGER, 0)
        return header, arrays
