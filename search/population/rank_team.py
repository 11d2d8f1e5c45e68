"""A team of MPI ranks: rank 0 gives out tasks and works itself; every rank learns all scores.

    rank 0 --ticket (a task's number, 4 bytes)--> rank r     while there are tasks
           <--12 bytes a member, the statistics--
           --OVER-->
           ==all scores, 8 bytes a member==>      every rank, which then makes the update itself

Nobody sends parameters. Tasks that took longest the last time are given out first; a rank
has one task in reserve until few are left, so that it need not wait for rank 0, which
looks at its mail while its own episodes run.

A rank that dies is noticed by every other (platform/ranks.py). The survivors come together
at the turn of the one that got furthest, and put their finished tasks on one heap; what is
missing is given out again.
"""

import collections
import struct
import time
from collections.abc import Callable

import numpy as np

from veldt.platform import checkpoints
from veldt.platform.errors import Interrupted, RankLost
from veldt.platform.ranks import Ranks
from veldt.search.population.evolution import Evolution, Turn
from veldt.search.population.team import ROW, Step, assemble, encode, pack, packed_size, unpack
from veldt.search.problems.problem import Scores
from veldt.search.strategies.noise import WHOLE, Share

TICKET, RESULT, STOP = 11, 12, 13
OVER = -1
NAP_S = 0.0002  # between looks at the mail, when there is nothing else to do
NUMBER = struct.Struct("<i")
POSITION = struct.Struct("<qqi")  # turn, whether its scores are known, finished tasks
FINISHED = struct.Struct("<ii")  # task, bytes
SHARDED = 2_000_000  # numbers that are redrawn for one update; more are drawn by parts


class RankTeam:
    """The ranks of a search.

    Args:
        ranks: All of them.
        stop: Asked often, on every rank; one that is told to stops them all.
    """

    def __init__(self, ranks: Ranks, stop: Callable[[], bool]) -> None:
        self._ranks, self._stop = ranks, stop
        self.received = 0  # bytes, the statistics apart
        self.received_statistics = 0  # bytes
        self._asked = False  # whether this rank has asked rank 0 to stop
        self._turn = -1
        self._finished: dict[int, bytes] = {}  # task -> its scores, as far as this rank knows
        self._scores: Scores | None = None  # the turn's, once all are in
        self._steps: dict[str, list[int]] = {}  # purpose -> those of its tasks, the last time

    @property
    def rank(self) -> int:
        return self._ranks.rank

    @property
    def size(self) -> int:
        return self._ranks.size

    def score(self, turn: Turn, meanwhile: Step) -> Scores:
        if self._turn != turn.number:
            self._turn, self._finished, self._scores = turn.number, {}, None
        if self._scores is None:
            if self.rank == 0:
                self._coordinate(turn, meanwhile)
            else:
                self._work(turn)
            self._scores = self._everybody(turn)
        return self._scores

    def _coordinate(self, turn: Turn, meanwhile: Step) -> None:
        """Has all tasks finished."""
        steps = self._steps.get(turn.purpose, [])
        missing = [task for task in range(turn.tasks) if task not in self._finished]
        if len(steps) == turn.tasks:
            missing.sort(key=lambda task: -steps[task])
        waiting = collections.deque(missing)
        given: list[collections.deque[int]] = [collections.deque() for _ in range(self.size)]

        def give(rank: int) -> None:
            reserve = 1 if len(waiting) > self.size else 0
            while waiting and len(given[rank]) < 1 + reserve:
                given[rank].append(waiting.popleft())
                self._ranks.post(rank, TICKET, NUMBER.pack(given[rank][-1]))

        def serve() -> bool:
            found = self._ranks.take(RESULT)
            if found is not None:
                rank, data = found
                self._count(turn, len(data))
                self._finished[given[rank].popleft()] = data
                give(rank)
            return found is not None

        def tick() -> None:
            if self._stop() or self._ranks.take(STOP) is not None:
                for rank in range(1, self.size):
                    self._ranks.post(rank, STOP, b"")
                raise Interrupted("stopped")
            while serve():
                pass

        for rank in range(1, self.size):
            give(rank)
        meanwhile()
        while waiting or any(given):
            tick()
            if waiting:
                task = waiting.popleft()
                self._finished[task] = encode(turn, turn.run(turn.members(task), tick))
            elif any(given):
                time.sleep(NAP_S)
        for rank in range(1, self.size):
            self._ranks.post(rank, TICKET, NUMBER.pack(OVER))

    def _work(self, turn: Turn) -> None:
        """Does what rank 0 says until it says that the turn is over."""

        def tick() -> None:
            # Only rank 0 ends a turn: a rank that left by itself would leave the others
            # waiting for it in a collective.
            if not self._asked and self._stop():
                self._asked = True
                self._ranks.post(0, STOP, b"")
            if self._ranks.take(STOP) is not None:
                raise Interrupted("stopped by rank 0")

        while True:
            tick()
            found = self._ranks.take(TICKET)
            if found is None:
                time.sleep(NAP_S)
                continue
            (task,) = NUMBER.unpack(found[1])
            self.received += NUMBER.size
            if task == OVER:
                return
            data = encode(turn, turn.run(turn.members(task), tick))
            self._finished[task] = data
            self._ranks.post(0, RESULT, data)

    def _everybody(self, turn: Turn) -> Scores:
        """Rank 0's scores, on every rank."""
        if self.rank == 0:
            results = [self._finished[task] for task in range(turn.tasks)]
            scores = assemble(turn, results)
            self._steps[turn.purpose] = [_steps(turn, task, r) for task, r in enumerate(results)]
            data = pack(scores)
        else:
            data = np.empty(packed_size(turn), np.uint8)
        self._ranks.broadcast(data)
        if self.rank > 0:
            self._count(turn, data.nbytes)
        return unpack(turn, data)

    def _count(self, turn: Turn, size: int) -> None:
        self.received_statistics += 8 * turn.statistics_size
        self.received += size - 8 * turn.statistics_size

    def share(self, dimensions: int, members: int) -> Share:
        if dimensions * members <= SHARDED:
            return WHOLE
        return Share(self.rank, self.size, self._ranks.total)

    def regroup(self, evolution: Evolution) -> None:
        while True:
            self._ranks.regroup()
            try:
                self._meet(evolution)
                return
            except RankLost:
                continue

    def _meet(self, evolution: Evolution) -> None:
        number = evolution.counters.turns
        if self._turn != number:
            self._turn, self._finished, self._scores = number, {}, None
        head = POSITION.pack(number, self._scores is not None, len(self._finished))
        tasks = b"".join(
            FINISHED.pack(task, len(data)) + data for task, data in self._finished.items()
        )
        everybody = self._ranks.gather(head + tasks)
        positions = [POSITION.unpack_from(data)[:2] for data in everybody]
        furthest = max(positions)
        leader = positions.index(furthest)
        if min(positions)[0] < furthest[0]:
            # Some rank has made an update that another has not: it gives its state away.
            state = checkpoints.pack(*evolution.state()) if self.rank == leader else b""
            state = self._ranks.gather(state)[leader]
            if number < furthest[0]:
                evolution.restore(*checkpoints.unpack(state))
                self._turn, self._finished, self._scores = furthest[0], {}, None
        for data, position in zip(everybody, positions, strict=True):
            if position[0] == furthest[0]:
                self._finished |= _finished(data)
        # The scores of a turn are known to a rank whose update was cut short; the others
        # put them together again, since rank 0 may have died with the only whole heap.
        if furthest[1]:
            scores = self._scores
            mine = pack(scores).tobytes() if scores and self.rank == leader else b""
            whole = np.frombuffer(self._ranks.gather(mine)[leader], np.uint8)
            self._scores = unpack(evolution.turn(), whole)


def _finished(data: bytes) -> dict[int, bytes]:
    """The tasks that a rank has finished, from what it brought to the meeting."""
    found, at = {}, POSITION.size
    for _ in range(POSITION.unpack_from(data)[2]):
        task, size = FINISHED.unpack_from(data, at)
        at += FINISHED.size
        found[task] = data[at : at + size]
        at += size
    return found


def _steps(turn: Turn, task: int, data: bytes) -> int:
    """The environment's steps in a task."""
    rows = np.frombuffer(data, ROW, len(turn.members(task)))
    return int(rows["steps"].sum(dtype=np.int64))
