"""Mirrored pairs: members 2k and 2k + 1 are the centre plus and minus one perturbation.

Brockhoff et al. 2010, "Mirrored Sampling and Sequential Selection for Evolution
Strategies", PPSN XI; the same as antithetic sampling.
"""

from collections.abc import Callable

from veldt.platform.keys import Key
from veldt.search.strategies import noise
from veldt.search.strategies.noise import Share
from veldt.search.strategies.strategy import Population
from veldt.search.vectors import Vector


class MirroredPairs:
    """The perturbations of every generation, each rebuilt from its key when it is needed.

    Args:
        key: Pair k of generation g draws from `key.child("noise", g, k)`.
        pairs: In a generation.
    """

    def __init__(self, key: Key, pairs: int) -> None:
        self._key, self._pairs = key, pairs

    def draw(self, generation: int, pair: int, dimensions: int) -> Vector:
        """The perturbation [n] of a pair, standard normal."""
        return noise.normal(self._key.child("noise", generation, pair), dimensions)

    def population(self, centre: Vector, scale: float | Vector, generation: int) -> Population:
        """Members around `centre` [n]; `scale` is the perturbation's size, a number or [n]."""
        return mirrored(
            centre, scale, lambda pair: self.draw(generation, pair, len(centre)), self._pairs
        )

    def weighted_sum(
        self, weights: Vector, generation: int, dimensions: int, share: Share
    ) -> Vector:
        """sum_k weights[k] epsilon_k, exact (noise.py)."""
        return noise.weighted_sum(
            weights, lambda pair: self.draw(generation, pair, dimensions), dimensions, share
        )


def mirrored(
    centre: Vector, scale: float | Vector, draw: Callable[[int], Vector], pairs: int
) -> Population:
    """Members centre +- scale epsilon_k, all of them [n], epsilon_k = draw(k)."""

    def candidate(member: int) -> Vector:
        pair, second = divmod(member, 2)
        step = scale * draw(pair)
        return centre - step if second else centre + step

    return Population(2 * pairs, candidate)
