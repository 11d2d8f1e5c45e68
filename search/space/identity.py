"""When two points are one, and what models see of a point.

The key is a digest of what a point comes to, not of how it was decided: two points that bind
the same settings have one key. It is BLAKE2b over canonical JSON, so it is the same in every
process and version of Python.
"""

import hashlib
import json
from collections import Counter
from typing import Any

import numpy as np

from veldt.search.space.tree import Scalar, Tree, value
from veldt.search.space.walk import decisions
from veldt.search.vectors import Vector

GRAMS = 2  # steps of an address that are counted together


def canonical(data: Any) -> str:
    """JSON with sorted names and no spaces; 1.0 and 1 are told apart, as settings do."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key(tree: Tree) -> str:
    """Of a point, 32 hexadecimal digits.

    Raises:
        ValueError: if it is not all decided.
    """
    return hashlib.blake2b(canonical(value(tree)).encode(), digest_size=16).hexdigest()


def words(tree: Tree) -> Counter[str]:
    """What is said of a point: its decisions by their addresses, and what follows upon what.

    The number of a copy and the place in an array count for nothing, so that two networks with
    the same layers in another order look alike, and short runs of addresses tell the order.
    """
    found: Counter[str] = Counter()
    before: list[str] = []
    for address, decision in decisions(tree).items():
        place = ".".join(part for part in address.split(".") if not part.isdigit())
        word = f"{place}={_rounded(decision)}"
        found[word] += 1
        before = [*before, word][-GRAMS:]
        if len(before) == GRAMS:
            found["|".join(before)] += 1
    return found


def features(tree: Tree, width: int = 512) -> Vector:
    """The counts of `words`, hashed into [width]; signs keep collisions apart on average."""
    found = np.zeros(width)
    for word, times in words(tree).items():
        digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
        found[digest % width] += times if digest >> 63 else -times
    return found


def _rounded(decision: Scalar) -> str:
    return f"{decision:.2g}" if isinstance(decision, float) else str(decision)
