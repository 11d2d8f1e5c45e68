"""Tickets: who may make which unroll, under which weights.

A run of U updates of N unrolls each needs exactly U * N unrolls; each has a
number, and its ticket is the permission to make it. Unroll `u` is meant for
update `u // N`, and its ticket is given out once the newest weights are at most `max_lag`
updates older than that. This one rule bounds what is in flight (to `(max_lag + 1) * N`
unrolls), and with it the memory; no unroll is made that no update will use, so none has to be
thrown away. Actors are credited so many unrolls among them: with N of them in an update, A
actors are all busy if there are A + N, which is `max_lag` >= A / N.

One that is slow holds one of these, and nobody waits for it: what it makes is used when it
comes, with the lag that it has then. `strict` also holds the tickets of others back, until no
unroll used in the order of arrival can have a lag beyond `max_lag`; all then wait for the slowest.

In lockstep, unroll `u` belongs to actor `u % actors`, is made with the weights of
exactly `max_lag` updates before, and unrolls are used in the order of their numbers:
the same seed then gives the same bits, whatever the speed of the processes. The
run is cut into segments (from checkpoint to checkpoint) at whose start every
actor begins new episodes under the newest weights, which makes resuming exact.
"""

import dataclasses
import heapq


@dataclasses.dataclass(frozen=True)
class Place:
    """Which learner this is, of several that learn together.

    Each has its own book, its own actors and its own part of every update. What they number
    themselves has one number among all: chance is drawn for that, as if there were one learner.
    """

    learner: int = 0
    learners: int = 1

    def number(self, own: int) -> int:
        """An actor's or an unroll's number among those of all learners."""
        return own * self.learners + self.learner


@dataclasses.dataclass(frozen=True)
class Ticket:
    """The permission to make one unroll."""

    number: int
    version: int
    fresh: bool  # begin new episodes


class Tickets:
    """The book of one session of a run; pure, no clock and no sockets."""

    def __init__(
        self,
        *,
        actors: int,
        batch: int,
        done: int,
        updates: int,
        max_lag: int,
        segment: int | None = None,
        strict: bool = True,
    ) -> None:
        """
        Args:
            actors: How many actors there are.
            batch: N, unrolls in an update.
            done: Updates done before this session.
            updates: U, updates in the whole run.
            max_lag: Updates by which the weights of an unroll may be older than its update.
            strict: Whether they may not where an actor is slower than the others either.
            segment: Updates between two checkpoints, for lockstep; None is free running.
        """
        self.actors, self.batch, self.updates = actors, batch, updates
        self.max_lag, self.segment, self.strict = max_lag, segment, strict
        self.version = done
        self._first = done * batch
        self._next = [self._first] if segment is None else self._starts()
        self._returned: list[list[int]] = [[] for _ in self._next]
        self._held: dict[int, Ticket] = {}
        self._seen: set[int] = set()

    def _starts(self) -> list[int]:
        """The first number of each actor, in lockstep."""
        return [self._first + (actor - self._first) % self.actors for actor in range(self.actors)]

    def request(self, actor: int) -> Ticket | None:
        """The next ticket for `actor`, or None while there is none to give."""
        lane = 0 if self.segment is None else actor
        returned = self._returned[lane]
        number = returned[0] if returned else self._next[lane]
        version = self._version(number)
        if number >= self.updates * self.batch or version > self._oldest():
            return None
        if returned:
            heapq.heappop(returned)
        else:
            self._next[lane] += 1 if self.segment is None else self.actors
        fresh = actor not in self._seen or self._opens_segment(number)
        self._seen.add(actor)
        ticket = Ticket(number, self.version if self.segment is None else version, fresh)
        self._held[actor] = ticket
        return ticket

    def _oldest(self) -> int:
        """The oldest weights that count; in lockstep the order bounds the lag already."""
        counted = self.versions() if self.strict and self.segment is None else set()
        return min({self.version} | counted)

    def _version(self, number: int) -> int:
        """The oldest weights that unroll `number` may be made with."""
        update = number // self.batch
        if self.segment is None:
            return update - self.max_lag
        return max(update - self.max_lag, update - update % self.segment)

    def _opens_segment(self, number: int) -> bool:
        if self.segment is None:
            return False
        update = number // self.batch
        start = (update - update % self.segment) * self.batch
        return number - self.actors < start

    def holds(self, actor: int, number: int, version: int) -> bool:
        """Whether `actor` is at work on this unroll, with these weights."""
        held = self._held.get(actor)
        return held is not None and (held.number, held.version) == (number, version)

    def delivered(self, actor: int, number: int, version: int) -> bool:
        """Takes the ticket back; False if `actor` does not hold it."""
        if not self.holds(actor, number, version):
            return False
        del self._held[actor]
        return True

    def lost(self, actor: int) -> int:
        """`actor` is gone: its ticket is given out again. Returns how many unrolls were lost."""
        self._seen.discard(actor)
        held = self._held.pop(actor, None)
        if held is None:
            return 0
        lane = 0 if self.segment is None else actor
        heapq.heappush(self._returned[lane], held.number)
        return 1

    def versions(self) -> set[int]:
        """Of the weights that unrolls under way are made with."""
        return {ticket.version for ticket in self._held.values()}

    def holders(self) -> set[int]:
        """The actors with an unroll under way."""
        return set(self._held)
