"""Unrolls that stay where they are: memory that a learner shares with the actors of its host.

    learner   Slots   a piece of nameless memory, cut into slots that are taken and given back
    actor     Slot    writes an unroll into the one that came with its ticket
    ZeroMQ            carries the slot's number

The memory has no name in any file system (memfd): whoever is killed, nothing is left of it. An
actor opens it through /proc, as the same user on the same host.
"""

import logging
import mmap
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

PAGE = 4096
SPARE = 1.25  # a slot is so much larger than the first unroll; what does not fit travels whole


class Slots:
    """The learner's end.

    Args:
        count: Slots.
        first: Bytes of an unroll, about.
        question: Bytes of what an actor sees while it makes one, where it asks what to do.

    Raises:
        OSError: if the machine does not have so much memory.
    """

    def __init__(self, count: int, first: int, question: int = 0) -> None:
        self.bytes = -(-int(first * SPARE) // PAGE) * PAGE
        """of a slot, for an unroll"""
        self.question = -(-question // PAGE) * PAGE
        """behind them, for a question"""
        self._whole = self.bytes + self.question
        self._descriptor = os.memfd_create("veldt", os.MFD_CLOEXEC)
        try:
            # Now, rather than as SIGBUS in the middle of a write.
            os.posix_fallocate(self._descriptor, 0, self._whole * count)
            self._memory = mmap.mmap(self._descriptor, self._whole * count)
        except OSError:
            os.close(self._descriptor)
            raise
        self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        self._free = list(range(count))

    def take(self) -> int:
        """A free slot; -1 if there is none."""
        return self._free.pop() if self._free else -1

    def give_back(self, slot: int) -> None:
        """A slot that was taken is free again; -1 is none."""
        if slot >= 0:
            self._free.append(slot)

    def view(self, slot: int, question: bool = False) -> memoryview:
        """Its bytes for an unroll or for a question, read-only."""
        start = slot * self._whole
        ends = (self.bytes, self._whole) if question else (0, self.bytes)
        return memoryview(self._memory)[start + ends[0] : start + ends[1]].toreadonly()

    def close(self) -> None:
        """No more is opened; what is in use stays until it is let go."""
        os.close(self._descriptor)


def make(count: int, first: int, question: int = 0) -> Slots | None:
    """Slots, where this machine can share memory without a name; else None."""
    if sys.platform != "linux":
        return None
    try:
        return Slots(count, first, question)
    except OSError as error:
        logger.warning("no memory to share with the actors (%s): unrolls travel by socket", error)
        return None


class Slot:
    """An actor's end of one slot after another.

    Args:
        path: Of the memory, as the learner says.
        size, question: Of a slot in it, for an unroll and for a question.
    """

    def __init__(self, path: str, size: int, question: int = 0) -> None:
        self.path, self._size, self._question = path, size, question
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._memory = mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)

    def buffer(self, slot: int, size: int, question: bool = False) -> NDArray[Any] | None:
        """The first `size` bytes of what a slot has for an unroll or for a question, to be
        written; None if it does not have so many."""
        if size > (self._question if question else self._size):
            return None
        start = slot * (self._size + self._question) + (self._size if question else 0)
        return np.frombuffer(self._memory, np.uint8, size, start)
