"""Flat vectors, and states as named arrays: what strategies and problems are made of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
State = dict[str, NDArray[Any]]  # numbers are 0-dimensional
