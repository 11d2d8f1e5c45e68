"""A learner's book of the other hosts whose actors work for it.

    host process --join, expect, beat, leave--> learner        each answered once
         |
         `-- starts its actors, which talk to the learner themselves

A host vouches for its actors: it starts another process for one that died, and as long as it
is heard, they live. A host that is not heard for `SILENCE_S` is gone and its actors with it:
what they were at work on is given out again.
"""

import dataclasses
import itertools

SILENCE_S = 10.0
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
    """

    def __init__(self, taken: int) -> None:
        self._taken = taken
        self._hosts: dict[bytes, Host] = {}

    def __len__(self) -> int:
        return len(self._hosts)

    def actors(self, beside: bytes = b"") -> int:
        """How many all hosts have, but for one."""
        return sum(len(h.actors) for identity, h in self._hosts.items() if identity != beside)

    def join(
        self, identity: bytes, name: str, count: int, now_s: float, here: bool = False
    ) -> Host:
        """A host is given the lowest numbers that are free, so that tasks keep their shares."""
        self._hosts.pop(identity, None)
        used = {actor for host in self._hosts.values() for actor in host.actors}
        free = (number for number in itertools.count(self._taken) if number not in used)
        host = Host(name, frozenset(itertools.islice(free, count)), now_s, here)
        self._hosts[identity] = host
        return host

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
        return self._hosts.pop(identity, None)

    def silent(self, now_s: float) -> list[bytes]:
        """Those not heard for `SILENCE_S`."""
        return [key for key, host in self._hosts.items() if now_s - host.heard_s > SILENCE_S]

    def identities(self) -> list[bytes]:
        return list(self._hosts)
