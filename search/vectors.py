"""Flat vectors, and states as named arrays: what strategies and problems are made of."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
State = dict[str, NDArray[Any]]  # numbers are 0-dimensional


def reloaded(state: State) -> State:
    """A state as it comes back from a file: what conformance suites compare."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **state)
    file.seek(0)
    with np.load(file) as arrays:
        return dict(arrays)
