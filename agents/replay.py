"""Trajectories kept to be learnt from again.

Espeholt et al. 2018, arXiv:1802.01561, section 5.2.2: the last 10,000, first in first out,
drawn uniformly, half of each batch. V-trace corrects for the policies they are of.
"""

import collections
import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from veldt.agents.settings import TrainSettings
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key
from veldt.platform.trajectory import Trajectory


def demand_memory(settings: TrainSettings, spec: EnvironmentSpec) -> None:
    """Raises `SettingsError` if what is to be replayed is more than this machine holds."""
    shown = spec.observations
    each = np.dtype(shown.dtype).itemsize * math.prod(shown.frame)
    actors, kept = settings.actors, settings.learner.replay
    needed = kept * (actors.unroll_length + 1) * actors.environments * each
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise SettingsError(
            f"learner.replay: {kept:,} trajectories are {needed / 1e9:,.1f} GB of observations, "
            f"and this machine has {memory / 1e9:,.1f} GB; keep at most "
            f"{kept * memory // needed:,}."
        )


class Kept(NamedTuple):
    """One of the past."""

    trajectory: Trajectory
    version: int  # of the weights that acted


class Replay:
    """The newest trajectories.

    Args:
        capacity: How many are kept.
        key: Of the draws.
    """

    def __init__(self, capacity: int, key: Key) -> None:
        self._kept: collections.deque[Kept] = collections.deque(maxlen=capacity)
        self._key = key

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, trajectories: Sequence[Kept]) -> None:
        """Keeps these; what is there the longest makes room."""
        self._kept.extend(trajectories)

    def draw(self, count: int, update: int) -> list[Kept]:
        """So many, each any of those kept, with the same ones possible again.

        Args:
            count: How many.
            update: The number of the update they are for, of which chance is made.
        """
        generator = self._key.child("replay", update).generator()
        return [self._kept[i] for i in generator.integers(len(self._kept), size=count)]
