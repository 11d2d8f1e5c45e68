"""Fitness shaping: from scores to weights that care less about their scale, or not at all.

Every shaping takes scores in which failures are NaN, higher is better; failures share the
last place.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from veldt.search.vectors import Vector

LARGEST = 1e100
ShapingName = Literal["centred-ranks", "z-score", "raw"]


def mean_ranks(scores: Vector) -> Vector:
    """Ranks from 0, equal scores at the mean of theirs; what is not finite comes first."""
    values = np.where(np.isfinite(scores), scores, -np.inf)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    ranks: Vector = (below + (counts - 1) / 2)[place]
    return ranks


def centred_ranks(scores: Sequence[float | None] | Vector) -> Vector:
    """Ranks spread evenly over [-0.5, 0.5], equal scores at the mean of their ranks.

    Salimans et al. 2017, arXiv:1703.03864, section 2.

    Args:
        scores: None and NaN are failures.
    """
    values = np.array([np.nan if score is None else score for score in scores], np.float64)
    if len(values) < 2:
        return np.zeros(len(values))
    return mean_ranks(values) / (len(values) - 1) - 0.5


def failures_last(scores: Vector) -> Vector:
    """`scores` with failures (NaN) and infinities no better than the worst of the others.

    What is larger than `LARGEST` is cut there, so that its square is a number.
    """
    finite = np.isfinite(scores)
    worst = scores[finite].min(initial=np.inf)
    values = np.where(finite, scores, worst if np.isfinite(worst) else 0.0)
    return values.clip(-LARGEST, LARGEST)


def z_scores(scores: Vector) -> Vector:
    """Scores with mean 0 and deviation 1; zeros where all are equal."""
    values = failures_last(scores)
    deviation = values.std()
    scaled: Vector = (values - values.mean()) / (deviation if deviation > 0.0 else 1.0)
    return scaled


SHAPINGS: dict[str, Callable[[Vector], Vector]] = {
    "centred-ranks": centred_ranks,
    "z-score": z_scores,
    "raw": failures_last,
}
