"""What a strategy is: a searcher over flat vectors that thinks in generations.

    strategy = build(settings, start, key)
    population = strategy.ask()
    scores = [score(population.candidate(member)) for member in range(population.size)]
    strategy.tell(scores)

Pure: no clock, no chance but its key's, nothing global. `candidate` rebuilds a member
from the state and the key alone, so that every rank of a search can hold the whole
strategy and only scores need to travel; `tell` gives the same bits on each of them.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.strategies.noise import WHOLE, Share
from veldt.search.vectors import State, Vector


@dataclasses.dataclass(frozen=True)
class Population:
    """The members of one generation."""

    size: int
    candidate: Callable[[int], Vector]
    """member, from 0 -> its parameters [n]; valid until the next `tell`"""


class Strategy(Protocol):
    """The contract; higher scores are better."""

    unrolls: int
    """generations that one life of a member spans; 1 for all that know nothing of lives"""

    def ask(self) -> Population:
        """The generation to be scored; the same until `tell`."""

    def tell(self, scores: Vector, share: Share = WHOLE) -> None:
        """The scores [size] in the members' order, NaN for those that failed.

        If `share.reduce` raises, nothing has changed and the same `tell` can be made again.
        """

    @property
    def centre(self) -> Vector:
        """The parameters [n] it would answer with now."""

    def state(self) -> State:
        """All it is but its settings and its key: equal states go on equally."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Becomes what `state` was taken from."""


class Builder(Protocol):
    """What the catalogue holds: a class with its settings."""

    Settings: type[Settings]

    def __call__(self, settings: Any, start: Vector, key: Key) -> Strategy: ...


def digest(state: Mapping[str, NDArray[Any]]) -> str:
    """A fingerprint of a state, down to the last bit."""
    hasher = hashlib.blake2b(digest_size=16)
    for name, array in sorted(state.items()):
        array = np.ascontiguousarray(array)
        hasher.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return hasher.hexdigest()
