"""Fitness shaping: from scores to weights that do not care about their scale."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def centred_ranks(scores: Sequence[float | None]) -> NDArray[np.float64]:
    """Ranks spread evenly over [-0.5, 0.5], equal scores at the mean of their ranks.

    Salimans et al. 2017, arXiv:1703.03864, section 2.

    Args:
        scores: Higher is better; None and NaN are failures and share the last rank.
    """
    values = np.array([-math.inf if s is None or math.isnan(s) else s for s in scores])
    if len(values) < 2:
        return np.zeros(len(values))
    below = (values[:, None] > values).sum(1)
    equal = (values[:, None] == values).sum(1)
    ranks: NDArray[np.float64] = (below + (equal - 1) / 2) / (len(values) - 1) - 0.5
    return ranks
