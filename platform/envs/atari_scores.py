"""What people and chance score on the 57 Atari games, and scores measured by them.

The random and human scores are those that DeepMind's publications share since Wang et al.
2016, arXiv:1511.06581 (their no-op starts), as dqn_zoo's score file has them; beside
them, for comparison, the IMPALA paper's own results after 200 M frames (Espeholt et al. 2018,
table C.1). `VERSION` changes with any of these numbers.
"""

import csv
import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Scores:
    """Of one game."""

    random: float
    human: float
    impala_shallow: float
    impala_deep: float

    def normalised(self, score: float) -> float:
        """0 is chance, 1 is a person."""
        return (score - self.random) / (self.human - self.random)


@functools.cache
def table() -> Mapping[str, Scores]:
    """Game -> scores, by the ROM's name."""
    with Path(__file__).with_name("atari57.csv").open() as file:
        return {
            row.pop("game"): Scores(**{name: float(value) for name, value in row.items()})
            for row in csv.DictReader(file)
        }


def scores_of(environment: str) -> Scores | None:
    """Of "atari/GAME"; None for whatever else, and for games that are not of the 57."""
    family, _, game = environment.partition("/")
    return table().get(game) if family == "atari" else None
