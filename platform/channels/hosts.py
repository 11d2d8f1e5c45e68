"""A learner's book of the other hosts whose actors work for it.

    host process --join, expect, beat, leave--> learner        each answered once
         |
         `-- starts its actors, which talk to the learner themselves

A host vouches for its actors: it starts another process for one that died, and as long as it
is heard, they live. A host that is not heard for `SILENCE_S` is gone and its actors with it:
what they were at work on is given out again. An actor's number says what it plays, so a host is
given those of tasks that few play.
"""

import collections
import dataclasses
import itertools
from collections.abc import Sequence

SILENCE_S = 10.0
SETTLED_S = 10.0  # without a host that came or went: the learner has who there is
MOST = 16_384  # actors of all hosts together


@dataclasses.dataclass
class Host:
    """One that has joined."""

    name: str
    actors: frozenset[int]
    heard_s: float
    here: bool = False  # on the learner's own machine
    delivered: set[int] = dataclasses.field(default_factory=set)


class Hosts:
    """The learner's book; pure, the time is passed in.

    Args:
        taken: Actors 0 to `taken` - 1 are the learner's own.
        plays: The tasks of the first actors; those after them play the same ones, in turn.
    """

    def __init__(self, taken: int, plays: Sequence[str] = ("",)) -> None:
        self._taken, self._plays = taken, plays
        self._hosts: dict[bytes, Host] = {}
        self._changed_s: float | None = None  # None: not known yet
        self._lacking: list[str] = []  # tasks
        self._told: set[str] = set()
        self._count()

    def __len__(self) -> int:
        return len(self._hosts)

    def actors(self, beside: bytes = b"") -> int:
        """How many all hosts have, but for one."""
        return sum(len(h.actors) for identity, h in self._hosts.items() if identity != beside)

    def join(
        self, identity: bytes, name: str, count: int, now_s: float, here: bool = False
    ) -> Host:
        """A host is given, one by one, the lowest number that is free of a task that as few play
        as any, so that tasks keep their shares whoever came and went."""
        self._hosts.pop(identity, None)
        host = Host(name, frozenset(self._free(count)), now_s, here)
        self._hosts[identity] = host
        self._count()
        self._changed_s = now_s
        return host

    def _free(self, count: int) -> list[int]:
        used = {actor for host in self._hosts.values() for actor in host.actors}
        each = len(self._plays)
        free = [
            (number for number in itertools.count(first, each) if number not in used)
            for first in range(self._taken, self._taken + each)
        ]
        lowest, playing, found = [next(numbers) for numbers in free], self._count(), list[int]()
        for _ in range(count):
            number = min(lowest, key=lambda number: (playing[self._task(number)], number))
            found.append(number)
            playing[self._task(number)] += 1
            lowest[lowest.index(number)] = next(free[(number - self._taken) % each])
        return found

    def _task(self, actor: int) -> str:
        return self._plays[actor % len(self._plays)]

    def _count(self) -> collections.Counter[str]:
        """How many actors play each task; notes which have none."""
        theirs = (actor for host in self._hosts.values() for actor in host.actors)
        playing = collections.Counter(map(self._task, itertools.chain(range(self._taken), theirs)))
        self._lacking = [task for task in dict.fromkeys(self._plays) if not playing[task]]
        self._told &= set(self._lacking)
        return playing

    def lacking(self, now_s: float) -> list[str]:
        """Tasks that no actor plays though some are there, once nobody has come or gone for
        `SETTLED_S`; each of them is said once, as long as nobody comes for it."""
        if not self._lacking or set(self._lacking) <= self._told or not self.present:
            return []
        if self._changed_s is None:
            self._changed_s = now_s
        if now_s - self._changed_s < SETTLED_S:
            return []
        self._told.update(self._lacking)
        return list(self._lacking)

    @property
    def present(self) -> int:
        """Actors that are there, the learner's own among them."""
        return self._taken + self.actors()

    def heard(self, identity: bytes, now_s: float) -> Host | None:
        """The host that said something; None if it is not, or no longer, one of ours."""
        host = self._hosts.get(identity)
        if host is not None:
            host.heard_s = now_s
        return host

    def of(self, actor: int) -> tuple[bytes, Host] | None:
        """Whose actor it is; None for the learner's own."""
        return next((item for item in self._hosts.items() if actor in item[1].actors), None)

    def leave(self, identity: bytes) -> Host | None:
        host = self._hosts.pop(identity, None)
        if host is not None:
            self._count()
            self._changed_s = None
        return host

    def silent(self, now_s: float) -> list[bytes]:
        """Those not heard for `SILENCE_S`."""
        return [key for key, host in self._hosts.items() if now_s - host.heard_s > SILENCE_S]

    def identities(self) -> list[bytes]:
        return list(self._hosts)
