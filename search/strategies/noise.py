"""Perturbations that every rank can rebuild, and sums of them that are exact.

Noise lies on a grid of 2^-16 and is cut at 8 sigma, so that a draw is an integer of at
most 20 bits; weights are rounded to a grid as well. A weighted sum of some thousands of
draws is then a sum of integers below 2^53: float64 holds every partial sum exactly, and
any order, blocking, number of threads or number of ranks gives the same bits.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from veldt.platform.keys import Key
from veldt.search.vectors import Vector

GRID = 2.0**16
CUT = 8.0
FEWEST = 10  # bits of a weight, at least
SMALLEST = 2.0**-900  # weights that are all smaller count as zeros


def normal(key: Key, dimensions: int) -> Vector:
    """Standard normal draws [n] on the grid, from the start of the key's stream."""
    draws = key.generator().standard_normal(dimensions)
    draws *= GRID
    np.rint(draws, out=draws)
    np.clip(draws, -CUT * GRID, CUT * GRID, out=draws)
    draws /= GRID
    return draws


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of a sum that falls to this rank, and how the parts come together."""

    index: int = 0
    count: int = 1
    reduce: Callable[[Vector], Vector] = lambda part: part
    """this rank's part [n] -> the sum of all ranks' parts, in any order"""


WHOLE = Share()


def weighted_sum(
    weights: Vector,
    draw: Callable[[int], Vector],
    dimensions: int,
    share: Share = WHOLE,
    bound: float = CUT,
) -> Vector:
    """sum_i weights[i] draw(i), the same bits in any order of summation.

    Args:
        weights: [k]; rounded to about k 2^-32 of the largest.
        draw: i -> [n] on the grid, `bound` at most in size.
        dimensions: n.
        share: The terms that this rank adds up; `reduce` is called once, or on no rank.
        bound: The largest entry that a draw may have.

    Returns:
        [n].
    """
    largest = float(np.abs(weights).max(initial=0.0))
    if largest < SMALLEST:
        return np.zeros(dimensions)
    # Bits of draws, of weights and of carries together stay below float64's 53.
    taken = math.ceil(math.log2(bound * GRID)) + math.ceil(math.log2(max(2, len(weights))))
    if 52 - taken < FEWEST:
        raise OverflowError(f"{len(weights)} draws of up to {bound:g} leave no bits for weights.")
    scale = 2.0 ** (math.ceil(math.log2(largest)) - (52 - taken))
    integers = np.rint(weights / scale)
    total = np.zeros(dimensions)
    for i in range(share.index, len(weights), share.count):
        if integers[i]:
            total += integers[i] * draw(i)
    return share.reduce(total) * scale
