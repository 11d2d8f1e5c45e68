"""Which actor of a learner's host may put its unroll into which slot, and until when it is there.

free --offer--> an actor's --keep--> an unroll's, until it is used --> free
                   `--forget--> free
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from veldt.platform import wire
from veldt.platform.channels import slots
from veldt.platform.errors import WireError

Release = Callable[[], None]


class Storage:
    """The learner's book of its slots; made when the first unroll says how large they have to be.

    Args:
        count: Slots. What finds none travels by socket.
        question: Bytes of a question, for which there is room behind each unroll.
    """

    def __init__(self, count: int, question: int = 0) -> None:
        self._count, self._question = count, question
        self._slots: slots.Slots | None = None
        self._tried = False
        self._of: dict[int, int] = {}  # actor -> the slot offered; -1: there was none
        self._lock = threading.Lock()  # release is called from the learner's thread

    def offer(self, actor: int) -> dict[str, Any]:
        """What `Work` says of the slot that the actor may use, if there is one."""
        with self._lock:
            if actor in self._of and self._slots is not None:  # it asks twice
                self._slots.give_back(self._of[actor])
            slot = self._of[actor] = -1 if self._slots is None else self._slots.take()
            if self._slots is None or slot < 0:
                return {}
            return {
                "slot": slot,
                "memory": self._slots.path,
                "slot_bytes": self._slots.bytes,
                "question_bytes": self._slots.question,
            }

    def is_of(self, actor: int, slot: int) -> bool:
        """Whether the actor was offered this slot; -1 is nobody's and everybody's."""
        with self._lock:
            return slot == -1 or self._of.get(actor) == slot

    def view(self, header: wire.Delivery | wire.Ask) -> memoryview:
        """The bytes of a slot that an actor has, with what it says is there.

        Raises:
            WireError: if none has it.
        """
        with self._lock:
            if self._slots is None or header.slot not in self._of.values():
                raise WireError(f"{header.kind}: nobody was given slot {header.slot}.")
            return self._slots.view(header.slot, header.kind == "ask")

    def keep(self, delivery: wire.Delivery, arrays: Mapping[str, NDArray[Any]]) -> Release:
        """An unroll is there; what is to be called when it is used up."""
        with self._lock:
            if delivery.actor not in self._of:  # of another host, or by socket anyway
                return lambda: None
            slot = self._of.pop(delivery.actor)
            if not self._tried:
                self._tried = True
                self._slots = slots.make(self._count, wire.size_of(arrays), self._question)
            if slot >= 0 and delivery.slot >= 0:
                return lambda: self._give_back(slot)
        self._give_back(slot)  # it did not fit
        return lambda: None

    def forget(self, actor: int, gone: bool) -> None:
        """An actor's unroll is not waited for any more.

        Args:
            gone: Whether its process is; one that lives may still write, and so its slot is
                nobody's from now on: what would have had it goes by socket.
        """
        with self._lock:
            slot = self._of.pop(actor, -1)
        if gone:
            self._give_back(slot)

    def _give_back(self, slot: int) -> None:
        with self._lock:
            if self._slots is not None:
                self._slots.give_back(slot)

    def close(self) -> None:
        """Nothing is offered any more."""
        with self._lock:
            if self._slots is not None:
                self._slots.close()
