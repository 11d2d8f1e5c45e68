"""A crew in virtual time: studies replayed on what trainings were once seen to do.

Syne Tune's idea (Salinas et al. 2022): a study of months is planned by the same coordinator in
seconds, with the same order of events as if it had been waited for.
"""

import dataclasses
import heapq
from collections.abc import Sequence
from typing import Protocol

from veldt.search.crew import News, Task
from veldt.search.trial import GivenUp, Heard, Job, Outcome, Reported


@dataclasses.dataclass(frozen=True)
class Played:
    """A job as it would have gone."""

    seconds: float
    outcome: Outcome
    reports: Sequence[tuple[float, Reported]] = ()
    """(seconds from its beginning, what it said)"""


class Landscape(Protocol):
    """What is known of trainings."""

    def play(self, job: Job) -> Played:
        """What becomes of a job."""

    def paused(self, job: Job, reported: Reported) -> Outcome:
        """What becomes of it if it is paused after a report."""


class Simulator:
    """The crew.

    Args:
        landscape: What is known.
        workers: How many there are.
    """

    ranks, lost = 1, 0

    def __init__(self, landscape: Landscape, workers: int) -> None:
        self._landscape, self.size = landscape, workers
        self.seconds = 0.0
        """of virtual time"""
        self.busy_seconds = 0.0
        """of all workers"""
        self._jobs: dict[int, Job] = {}
        self._last: dict[int, Reported] = {}
        self._begun: dict[int, float] = {}
        self._queue: list[tuple[float, int, int, int, Heard]] = []
        self._order = 0

    def idle(self) -> list[int]:
        return [worker for worker in range(self.size) if worker not in self._jobs]

    @property
    def under_way(self) -> dict[int, Task]:
        return {worker: job.task for worker, job in self._jobs.items()}

    def start(self, worker: int, job: Job) -> None:
        played = self._landscape.play(job)
        self._jobs[worker], self._begun[worker] = job, self.seconds
        for after, reported in played.reports if job.listen else ():
            self._push(after, worker, reported)
        self._push(played.seconds, worker, played.outcome)

    def _push(self, after: float, worker: int, heard: Heard) -> None:
        self._order += 1
        job = self._jobs[worker]
        if isinstance(heard, Outcome):
            heard = dataclasses.replace(heard, attempt=job.attempt)
        heapq.heappush(
            self._queue, (self.seconds + after, self._order, worker, job.segment, heard)
        )

    def pause(self, worker: int) -> None:
        job, reported = self._jobs[worker], self._last[worker]
        outcome = self._landscape.paused(job, reported)
        self._queue = [item for item in self._queue if item[2] != worker]
        heapq.heapify(self._queue)
        self._push(0.0, worker, outcome)

    def give_up(self, worker: int) -> None:
        job = self._jobs[worker]
        self._queue = [item for item in self._queue if item[2] != worker]
        heapq.heapify(self._queue)
        self._push(0.0, worker, GivenUp(job.segment))

    def poll(self, timeout_s: float) -> News | None:
        if not self._queue or timeout_s == 0.0:  # time passes only while somebody waits
            return None
        self.seconds, _, worker, _, heard = heapq.heappop(self._queue)
        if not isinstance(heard, Reported):
            self.busy_seconds += self.seconds - self._begun.pop(worker)
            del self._jobs[worker]
            self._last.pop(worker, None)
        else:
            self._last[worker] = heard
        return worker, heard

    def stop(self) -> None:
        pass

    @property
    def utilisation(self) -> float:
        """Of the workers, so far."""
        return self.busy_seconds / (self.size * self.seconds) if self.seconds else 0.0
