"""Observations of several parts as one row of bytes: images, numbers and words side by side.

So that an observation is one array on its way, whatever an environment shows. Images are
uint8 [C, H, W]; numbers float32, what is discrete one-hot; words the numbers of the buckets
that they hash into, int32, followed by zeros.

The channel of words is the IMPALA paper's (Espeholt et al. 2018, D.1): split at blanks, 1000
buckets. The hash is blake2b's, the same in every process. An observation has room for so many
words (`environment.options.max_words`); a text that has more is cut, which is said once.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from veldt.platform.envs.vector import Observations, Part

BUCKETS = 1000
MOST_WORDS = 32  # that are shown of a text, if nothing else is said
ALIGNMENT = 4

log = logging.getLogger("veldt")

Look = Callable[[Any], Any]  # from the whole observation to the part's
Leaf = tuple[str, spaces.Space[Any], Look]
Writer = Callable[[NDArray[np.generic], Any], None]


def packed(
    space: spaces.Space[Any], max_words: int = MOST_WORDS
) -> tuple[Observations, Writer] | None:
    """How such a space is shown, and written into a row; None if it needs no packing.

    Packed is what has words in it, and images that are shown together with other things.

    Args:
        space: Of the environment's observations.
        max_words: Of each text; further ones are not shown, and the first time it is said.
    """
    leaves = list(_leaves(space))
    kinds = {_kind(leaf) for _, leaf, _ in leaves}
    if "words" not in kinds and not ("image" in kinds and len(leaves) > 1):
        return None
    if not all(_fixed(leaf) for _, leaf, _ in leaves):
        return None
    parts: list[Part] = []
    writers: list[tuple[Part, Look, Callable[[Any], Any]]] = []
    at = 0
    for name, leaf, look in leaves:
        part, encode = _part(name, leaf, at, max_words)
        at += -(-part.size // ALIGNMENT) * ALIGNMENT
        parts.append(part)
        writers.append((part, look, encode))

    def write(row: NDArray[np.generic], seen: Any) -> None:
        row[...] = 0
        for part, look, encode in writers:
            array = np.asarray(encode(look(seen)))
            if array.shape != part.shape:
                raise ValueError(f"its {part.name} is {array.shape}, its space says {part.shape}")
            if part.dtype == "float32" and not np.isfinite(array).all():
                raise ValueError(f"its {part.name} is not finite")
            cell = row[part.offset : part.offset + part.size]
            cell[...] = np.ascontiguousarray(array, part.dtype).reshape(-1).view(np.uint8)

    return Observations((at,), "uint8", tuple(parts)), write


def sole_box(space: spaces.Space[Any]) -> tuple[spaces.Box, Look] | None:
    """The box that is all that a Dict or Tuple holds, and the way to it; None if there is more."""
    leaves = list(_leaves(space)) if isinstance(space, spaces.Dict | spaces.Tuple) else []
    if len(leaves) != 1:
        return None
    _, leaf, look = leaves[0]
    return (leaf, look) if isinstance(leaf, spaces.Box) else None


def hash_words(text: str, most: int = MOST_WORDS) -> NDArray[np.int32]:
    """The buckets of a text's words, from 1; an empty text is one word. [most]."""
    found = np.zeros(most, np.int32)
    for i, word in enumerate((text.split() or [""])[:most]):
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        found[i] = 1 + int.from_bytes(digest) % BUCKETS
    return found


def _reader(name: str, most: int) -> Callable[[str], NDArray[np.int32]]:
    """Hashes texts, and says once that one was cut."""
    whole = True

    def read(text: str) -> NDArray[np.int32]:
        nonlocal whole
        if whole and (count := len(text.split())) > most:
            whole = False
            log.warning(
                "observations: the text %r has %d words, of which %d are shown, as of any other "
                "from here on; environment.options.max_words=%d shows them all.",
                *(name, count, most, count),
            )
        return hash_words(text, most)

    return read


def _leaves(space: spaces.Space[Any], name: str = "", look: Look = lambda x: x) -> Iterator[Leaf]:
    """The parts of a space, by name, and the way to each."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        items: Sequence[tuple[Any, spaces.Space[Any]]] = (
            list(space.spaces.items())
            if isinstance(space, spaces.Dict)
            else list(enumerate(space.spaces))
        )
        for key, part in items:
            inner = f"{name}.{key}" if name else str(key)
            yield from _leaves(part, inner, _inside(look, key))
    else:
        yield name or "observation", space, look


def _inside(look: Look, key: Any) -> Look:
    return lambda x: look(x)[key]


def _kind(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.Box):
        image = space.dtype == np.uint8 and len(space.shape) == 3
        return "image" if image else "numbers"
    return "words" if isinstance(space, spaces.Text) or _is_text(space) else "numbers"


def _is_text(space: spaces.Space[Any]) -> bool:
    """Whether a space of somebody else's is one of texts, as MiniGrid's missions are."""
    known = type(space).__module__.startswith("gymnasium.")
    return not known and isinstance(space.sample(), str)


def _fixed(space: spaces.Space[Any]) -> bool:
    if _kind(space) == "words":
        return True
    try:
        return isinstance(spaces.flatten_space(space), spaces.Box)
    except (NotImplementedError, ValueError):
        return False


def _part(
    name: str, space: spaces.Space[Any], offset: int, max_words: int
) -> tuple[Part, Callable[[Any], Any]]:
    match _kind(space):
        case "words":
            words = Part(name, "words", (max_words,), "int32", offset)
            return words, _reader(name, max_words)
        case "image":
            assert isinstance(space, spaces.Box)  # noqa: S101 (so says _kind)
            shape = space.shape
            axes = (2, 0, 1) if shape[2] in (1, 3, 4) else (0, 1, 2)
            turned = (shape[axes[0]], shape[axes[1]], shape[axes[2]])
            return Part(name, "image", turned, "uint8", offset), (
                lambda seen: np.asarray(seen).transpose(axes)
            )
        case _:
            count = int(spaces.flatdim(space))
            return Part(name, "numbers", (count,), "float32", offset), (
                lambda seen: spaces.flatten(space, seen)
            )
