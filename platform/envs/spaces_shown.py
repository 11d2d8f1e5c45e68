"""What a Gymnasium space shows and takes, as the arrays of a vector.

How each kind of space is brought to them is said at `gymnasium_vector.GymnasiumVector`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from veldt.platform.envs.parts import packed, sole_box
from veldt.platform.envs.vector import Actions, Observations, discrete
from veldt.platform.errors import UnsupportedSpace

Writer = Callable[[NDArray[np.generic], Any], None]  # (row of the batch, what was observed)
Translation = Callable[[NDArray[np.generic]], NDArray[np.generic]]  # of actions, [B, ...]


def actions_of(space: spaces.Space[Any]) -> tuple[Actions, Translation]:
    """What the environment takes, and how our actions [B, ...] become its own."""
    name = str(space)
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return discrete(int(space.n), name), lambda action: action.astype(np.int64) + start
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        counts, starts = np.full(space.shape, 2), np.zeros(space.shape, np.int64)
        if isinstance(space, spaces.MultiDiscrete):
            counts, starts = space.nvec, space.start
        shape, dtype = space.shape, space.dtype
        return Actions("multi_discrete", tuple(counts.ravel().tolist()), description=name), (
            lambda action: (action.reshape(-1, *shape) + starts).astype(dtype)
        )
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        low, high, dtype, shape = space.low, space.high, space.dtype, space.shape
        ends = (tuple(low.ravel().tolist()), tuple(high.ravel().tolist()))
        return Actions("box", (), *ends, description=name), (
            lambda action: action.reshape(-1, *shape).astype(dtype).clip(low, high)
        )
    return Actions("other", description=name), lambda action: action


def observations_of(
    name: str, space: spaces.Space[Any], max_words: int
) -> tuple[Observations, Writer]:
    """What the vector shows of this space, and how it is written into a row."""
    if isinstance(space, spaces.Box):
        shape = space.shape
        if space.dtype != np.uint8:
            return Observations(shape, "float32"), _numbers(shape)
        if len(shape) == 3 and shape[2] in (1, 3, 4):
            return Observations((shape[2], *shape[:2]), "uint8"), _bytes(shape, (2, 0, 1))
        return Observations(shape, "uint8"), _bytes(shape, tuple(range(len(shape))))
    if sole := sole_box(space):
        box, look = sole
        shown, write_box = observations_of(name, box, max_words)
        return shown, lambda row, seen: write_box(row, look(seen))
    if several := packed(space, max_words):
        return several
    flat = None if _has_text(space) else spaces.flatten_space(space)
    if not isinstance(flat, spaces.Box):
        raise UnsupportedSpace(
            f"{name}: its observations are {space}, which have no fixed number of numbers. "
            "Wrap the environment so that it shows a Box."
        )
    write = _numbers(flat.shape)
    return Observations(flat.shape, "float32"), (
        lambda row, seen: write(row, spaces.flatten(space, seen))
    )


def _has_text(space: spaces.Space[Any]) -> bool:
    """Whether there is text in it: it flattens to character codes, which mean nothing."""
    if isinstance(space, spaces.Dict | spaces.Tuple | spaces.OneOf):
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return any(_has_text(part) for part in parts)
    return isinstance(space, spaces.Text)


def _numbers(shape: tuple[int, ...]) -> Writer:
    """Writes numbers of any type into a float32 row."""

    def write(row: NDArray[np.generic], seen: Any) -> None:
        array = np.asarray(seen)
        if array.shape != shape:
            raise ValueError(f"its observation is {array.shape}, its space says {shape}")
        if array.dtype == np.float32:
            row[...] = array
        else:
            with np.errstate(over="ignore"):  # becomes inf, which is found out later
                row[...] = array

    return write


def _bytes(shape: tuple[int, ...], axes: tuple[int, ...]) -> Writer:
    """Writes a uint8 array into a row, with its axes in another order."""

    def write(row: NDArray[np.generic], seen: Any) -> None:
        array = np.asarray(seen)
        if array.shape != shape or array.dtype != np.uint8:
            raise ValueError(
                f"its observation is {array.dtype} {array.shape}, its space says uint8 {shape}"
            )
        row[...] = array.transpose(axes)

    return write
