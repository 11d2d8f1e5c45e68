"""A team: whoever scores a turn's tasks. Here the process on its own."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from veldt.platform.errors import Interrupted
from veldt.search.population.evolution import Evolution, Turn
from veldt.search.problems.problem import Score, Scores
from veldt.search.strategies.noise import WHOLE, Share

ROW = np.dtype([("fitness", "<f8"), ("steps", "<u4")])
Step = Callable[[], None]


class Team(Protocol):
    """Scores turns; on every rank of a search there is one."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def score(self, turn: Turn, meanwhile: Step) -> Scores:
        """The turn's scores, on every rank.

        Args:
            turn: The same on all ranks.
            meanwhile: Called once when everybody has work, or soon after.

        Raises:
            RankLost: if a rank died; then `regroup`.
            Interrupted: on every rank, if one of them was told to stop.
        """

    def share(self, dimensions: int, members: int) -> Share:
        """This rank's part in the sums of the strategy's update."""

    def regroup(self, evolution: Evolution) -> None:
        """After `RankLost`: the survivors come together at the furthest of their turns."""


class Alone:
    """This process scores every task itself.

    Args:
        stop: Asked often.
    """

    rank = 0
    size = 1

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop

    def _tick(self) -> None:
        if self._stop():
            raise Interrupted("stopped")

    def score(self, turn: Turn, meanwhile: Step) -> Scores:
        meanwhile()
        rows = []
        for task in range(turn.tasks):
            self._tick()
            rows.append(encode(turn, turn.run(turn.members(task), self._tick)))
        return assemble(turn, rows)

    def share(self, dimensions: int, members: int) -> Share:
        return WHOLE

    def regroup(self, evolution: Evolution) -> None:
        pass


def encode(turn: Turn, scores: Sequence[Score]) -> bytes:
    """A task's scores as they travel: 12 bytes a member, the statistics, the carried rows."""
    rows = np.zeros(len(scores), ROW)
    statistics = np.zeros(turn.statistics_size, np.int64)
    carry = np.zeros((len(scores), turn.carry_size))
    for i, score in enumerate(scores):
        rows[i] = score.fitness, score.steps
        if score.statistics is not None:
            statistics += score.statistics
        if score.carry is not None:
            carry[i] = score.carry
    return rows.tobytes() + statistics.tobytes() + carry.tobytes()


def assemble(turn: Turn, results: Sequence[bytes]) -> Scores:
    """The turn's scores from those of its tasks, in the tasks' order."""
    fitness = np.empty(turn.size)
    carry = np.empty((turn.size, turn.carry_size))
    statistics = np.zeros(turn.statistics_size, np.int64)
    steps = 0
    for task, data in enumerate(results):
        members = turn.members(task)
        rows = np.frombuffer(data, ROW, len(members))
        at = slice(members.start, members.stop)
        fitness[at] = rows["fitness"]
        steps += int(rows["steps"].sum(dtype=np.int64))
        statistics += np.frombuffer(data, np.int64, turn.statistics_size, rows.nbytes)
        rest = np.frombuffer(data, np.float64, offset=rows.nbytes + statistics.nbytes)
        carry[at] = rest.reshape(len(members), turn.carry_size)
    return Scores(fitness, steps, statistics, carry)


def pack(scores: Scores) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A turn's scores as one array of bytes."""
    parts = (scores.fitness, np.int64(scores.steps), scores.statistics, scores.carry)
    return np.frombuffer(b"".join(part.tobytes() for part in parts), np.uint8).copy()


def unpack(turn: Turn, data: np.ndarray[Any, np.dtype[np.uint8]]) -> Scores:
    """What `pack` was given."""
    raw, n, k = data.tobytes(), turn.size, turn.statistics_size
    return Scores(
        fitness=np.frombuffer(raw, np.float64, n),
        steps=int(np.frombuffer(raw, np.int64, 1, 8 * n)[0]),
        statistics=np.frombuffer(raw, np.int64, k, 8 * (n + 1)),
        carry=np.frombuffer(raw, np.float64, offset=8 * (n + 1 + k)).reshape(n, turn.carry_size),
    )


def packed_size(turn: Turn) -> int:
    """Bytes that `pack` makes of the turn's scores."""
    return 8 * (turn.size + 1 + turn.statistics_size + turn.size * turn.carry_size)
