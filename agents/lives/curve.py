"""Curves of lives: what an agent gets as it learns.

Legend: L lives, U updates.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from veldt.platform.envs.vector import Episode


class Curve:
    """Returns of the episodes that ended, update by update.

    Where episodes end by what agents do, the mean reward of a step says nothing of how well: it
    is 1 in CartPole and -1 in Acrobot, for the best and the worst.
    """

    def __init__(self, lives: int) -> None:
        self._rows: list[NDArray[np.float64]] = []
        self._running = np.zeros(lives)  # return so far of the episode that is under way
        self._sums, self._counts = np.zeros((2, lives))

    def begin(self) -> None:
        """Episodes begin; what was under way is of no account."""
        self._running[:] = 0.0

    def take(self, reward: NDArray[np.float32], episodes: Sequence[Episode]) -> None:
        """A step of all lives, and the episodes that it ended."""
        self._running += reward
        for episode in episodes:
            self._sums[episode.environment] += episode.episode_return
            self._counts[episode.environment] += 1
            self._running[episode.environment] = 0.0

    def update(self) -> None:
        """The lives come to an update."""
        ended = self._counts > 0
        self._rows.append(np.where(ended, self._sums / np.maximum(self._counts, 1), np.nan))
        self._sums, self._counts = np.zeros((2, len(ended)))

    def rows(self) -> NDArray[np.float64]:
        """Mean return of the episodes that ended since the update before, [L, U].

        Where none did, that of the last before; before the first ended, that of the first; in a
        life in which none ended, what its only episode had come to.
        """
        found = np.stack(self._rows, 1)
        for u in range(1, found.shape[1]):
            found[:, u] = np.where(np.isnan(found[:, u]), found[:, u - 1], found[:, u])
        for u in range(found.shape[1] - 2, -1, -1):
            found[:, u] = np.where(np.isnan(found[:, u]), found[:, u + 1], found[:, u])
        return np.where(np.isnan(found), self._running[:, None], found)
