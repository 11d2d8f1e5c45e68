"""What an actor is at, written into memory that outlives it: who hangs cannot be asked any more.

    owner   Board          a page for each actor, nameless (memfd): nothing is left of it
    actor   Whereabouts    writes into its page; so do its environments, which know more

A page is what is played, in UTF-8, then int64 [4 + 2 B]: unroll, step of the unroll, which
environment, its episode; the seed of each environment's episode, and the steps of each in it.
"""

import contextlib
import dataclasses
import mmap
import os
import sys
from typing import Protocol, runtime_checkable

NAME = 128  # bytes
HEAD, NUMBER = 4, 8
ELSEWHERE, ALL = -1, -2  # instead of an environment's number
UNROLL, STEP, ENVIRONMENT, EPISODE = range(4)


class Whereabouts:
    """One actor's page.

    Args:
        environments: B.
        memory: Where it lies; None: in memory of its own, which nobody else reads.
    """

    def __init__(self, environments: int, memory: memoryview | None = None) -> None:
        size = page_bytes(environments)
        if memory is None:
            memory = memoryview(bytearray(size))
        self._name = memory[:NAME]
        numbers = memory[NAME:size].cast("q")
        self.at = numbers[:HEAD]
        """to be written by whoever knows"""
        self.seeds = numbers[HEAD : HEAD + environments]
        self.steps = numbers[HEAD + environments :]

    def part(self, first: int, count: int) -> "Whereabouts":
        """For some of the environments, that are stepped beside others: what they are at is not
        told, but how far they are."""
        found = Whereabouts(count)
        found.seeds = self.seeds[first : first + count]
        found.steps = self.steps[first : first + count]
        return found

    def begin(self, environment: str) -> None:
        """An actor begins to play this."""
        self._name[:] = environment.encode()[:NAME].ljust(NAME, b"\0")
        self.at[UNROLL], self.at[ENVIRONMENT] = -1, ELSEWHERE

    def say(self) -> str:
        """For people."""
        environment = bytes(self._name).rstrip(b"\0").decode(errors="replace") or "nothing"
        unroll, step, number, episode = self.at
        if unroll < 0:
            return f"{environment}, before its first unroll"
        if number == ELSEWHERE:
            return f"outside {environment}, at step {step} of unroll {unroll}"
        if number == ALL:
            where = f"in one of the {len(self.seeds)} environments {environment}"
            seeds = ", ".join(str(seed) for seed in self.seeds[:4]) if any(self.seeds) else ""
            more = ", ..." if len(self.seeds) > 4 else ""
            where += f" (seeds {seeds}{more})" if seeds else ""
            return f"{where}, at step {step} of unroll {unroll}"
        return (
            f"in {environment}, environment {number}, episode {episode} (seed "
            f"{self.seeds[number]}), step {self.steps[number]}; step {step} of unroll {unroll}"
        )


@runtime_checkable
class Traced(Protocol):
    """A vector of environments that says where it is."""

    def trace(self, whereabouts: Whereabouts) -> None:
        """From now on it writes there."""


def page_bytes(environments: int) -> int:
    """Of one actor's page."""
    return NAME + NUMBER * (HEAD + 2 * environments)


@dataclasses.dataclass(frozen=True)
class Page:
    """Where an actor finds its page; plain JSON."""

    path: str
    offset: int
    environments: int

    def open(self) -> Whereabouts:
        """For the actor; memory of its own where that cannot be had."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                memory = memoryview(mmap.mmap(descriptor, 0))
            finally:
                os.close(descriptor)
            return Whereabouts(self.environments, memory[self.offset :])
        return Whereabouts(self.environments)


class Board:
    """The owner's end.

    Args:
        actors: How many.
        environments: B, in each.
    """

    def __init__(self, actors: int, environments: int) -> None:
        self._environments, self._size = environments, page_bytes(environments)
        self._path, self._descriptor = "", -1
        self._memory: memoryview | None = None
        if sys.platform == "linux":
            self._descriptor = os.memfd_create("veldt-whereabouts", os.MFD_CLOEXEC)
            os.ftruncate(self._descriptor, max(1, actors) * self._size)
            self._memory = memoryview(mmap.mmap(self._descriptor, 0))
            self._path = f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def page(self, place: int) -> Page:
        """For the actor in this place, counted from 0; it is cleared."""
        if (read := self.read(place)) is not None:
            read.begin("")
        return Page(self._path, place * self._size, self._environments)

    def read(self, place: int) -> Whereabouts | None:
        """What is written there; None where nothing can be."""
        if self._memory is None:
            return None
        return Whereabouts(self._environments, self._memory[place * self._size :])

    def close(self) -> None:
        """No more actors find it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
