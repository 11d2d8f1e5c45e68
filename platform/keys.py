"""Keys: the only source of randomness.

A key is a seed, and a path of purposes and indices. Equal keys give equal
numbers in every process, on every rank, whatever was drawn before; different
paths give independent streams (NumPy's SeedSequence, into Philox). Streams for
tuning, validation and test are disjoint because their purposes differ.
"""

import dataclasses
import hashlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Key:
    """(seed, purpose, indices...): names one stream of random numbers.

    Example:
        Key(7).child("episode", actor, environment, 0).integer()
    """

    seed: int
    path: tuple[int, ...] = ()

    def child(self, purpose: str, *indices: int) -> "Key":
        """The stream for `purpose` and `indices` below this one."""
        word = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=4).digest(), "big")
        return Key(self.seed, (*self.path, word, *indices))

    def sequence(self) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=self.path)

    def generator(self) -> np.random.Generator:
        """A fresh generator at the start of this key's stream."""
        return np.random.Generator(np.random.Philox(self.sequence()))

    def integer(self) -> int:
        """A Python int in [0, 2**31), for libraries that take a seed of their own."""
        return int(self.sequence().generate_state(1)[0]) >> 1
