"""The best centre of a population search, played again: for figures, or to be looked at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veldt.platform import checkpoints
from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.platform.means import standard_error
from veldt.platform.runs import read_settings
from veldt.search.population.evolution import Evolution
from veldt.search.population.settings import PopulationSettings
from veldt.search.problems.problem import Score

Frames = Iterator[NDArray[np.uint8]]  # each [height, width, 3]


class Best:
    """What a search has come to so far: the centre whose evaluation was best.

    Args:
        folder: Of the search, finished or not.

    Raises:
        InputError: if it holds none, or none that has been evaluated.
    """

    def __init__(self, folder: Path) -> None:
        settings = PopulationSettings.parse(read_settings(folder))
        self._evolution = Evolution(settings)
        found = checkpoints.load(folder)
        if found is None:
            raise InputError(f"{folder}: has no checkpoint yet.")
        _, arrays, plain = found
        self._evolution.restore(arrays, plain)
        self.problem = self._evolution.problem
        self.generation = self._evolution.counters.generation
        self.candidate = self._evolution.strategy.centre
        if self._evolution.chosen:
            self.candidate = self._evolution.choose()
            self.generation = self._evolution.counters.chosen_generation or 0

    def evaluate(self, episodes: int, key: Key) -> dict[str, Any]:
        """Plays whole episodes under the protocol of reports; episode e draws from child e."""
        block, scores = self.problem.test_block, list[Score]()
        for first in range(0, episodes, block):
            numbers = range(first, min(episodes, first + block))
            keys = [key.child("episode", e) for e in numbers]
            scores += self.problem.test(self.candidate, keys, lambda: None)
        returns = np.array([score.fitness for score in scores])
        return {
            "generation": self.generation,
            "episodes": len(returns),
            "steps": sum(score.steps for score in scores),
            "mean_return": float(returns.mean()),
            "standard_error": standard_error(returns),
            "median_return": float(np.median(returns)),
            "min_return": float(returns.min()),
            "max_return": float(returns.max()),
            "returns": returns.tolist(),
        }

    def film(self, key: Key) -> tuple[Frames, float]:
        """The frames of one episode as it is played, and how many make a second.

        Raises:
            InputError: if the problem has nothing to be seen.
        """
        film = getattr(self.problem, "film", None)
        if film is None:
            raise InputError("this problem has no episodes that could be filmed.")
        frames: Frames
        frames, rate = film(self.candidate, key)
        return frames, rate

    def close(self) -> None:
        self._evolution.close()
