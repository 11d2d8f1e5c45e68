"""What is said of the mean of independent numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def standard_error(values: NDArray[np.floating[Any]]) -> float | None:
    """Of the mean of independent values, [N]; None of fewer than two.

    Where all are equal it is 0, and not what rounding leaves of it; where one is not finite, NaN.
    """
    if len(values) < 2:
        return None
    if not np.isfinite(values).all():
        return float("nan")
    if values.min() == values.max():
        return 0.0
    return float(values.std(ddof=1)) / float(len(values) ** 0.5)
