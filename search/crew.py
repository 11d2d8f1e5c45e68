"""The crew: the workers a coordinator gives jobs to, in this process or on other ranks.

coordinator (rank 0)  --{"job"}-->      worker rank --fork--> trial process
                      <--{"outcome"}--
                      --{"stop"}-->
                      <--{"stopped"}--
"""

from collections.abc import Callable
from typing import Protocol

from veldt.platform.ranks import OneRank, Ranks
from veldt.search.supervisor import Supervisor
from veldt.search.trial import Job, Outcome

POLL_S = 0.05
STOP_S = 20.0  # more than a trial is given to write its checkpoint


class Crew(Protocol):
    """Workers, by number."""

    size: int
    ranks: int  # processes of the search, the coordinator's included

    def idle(self) -> list[int]:
        """The workers without a job."""

    def start(self, worker: int, job: Job) -> None:
        """Gives an idle worker a job."""

    def poll(self, timeout_s: float) -> Outcome | None:
        """The outcome of some job, or None after `timeout_s`."""

    def stop(self) -> None:
        """Has every job end where it can go on later, and lets the workers go."""


class LocalCrew:
    """One worker: this process supervises the trials itself."""

    size = 1
    ranks = 1

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def idle(self) -> list[int]:
        return [] if self._supervisor.busy else [0]

    def start(self, worker: int, job: Job) -> None:
        self._supervisor.start(job)

    def poll(self, timeout_s: float) -> Outcome | None:
        outcome = self._supervisor.poll()
        if outcome is None:
            OneRank().receive(timeout_s)
        return outcome

    def stop(self) -> None:
        self._supervisor.stop()


class RankCrew:
    """Every rank but this one is a worker."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self.ranks = ranks.size
        self.size = ranks.size - 1
        self._busy: set[int] = set()

    def idle(self) -> list[int]:
        return [rank for rank in range(1, self._ranks.size) if rank not in self._busy]

    def start(self, worker: int, job: Job) -> None:
        self._busy.add(worker)
        self._ranks.send(worker, {"job": job.plain()})

    def poll(self, timeout_s: float) -> Outcome | None:
        received = self._ranks.receive(timeout_s)
        if received is None:
            return None
        source, message = received
        self._busy.discard(source)
        return Outcome(**message["outcome"])

    def stop(self) -> None:
        workers = set(range(1, self._ranks.size))
        for rank in workers:
            self._ranks.send(rank, {"stop": True})
        # Outcomes under way are received too, or MPI would wait for them for ever.
        while workers and (received := self._ranks.receive(STOP_S)) is not None:
            source, message = received
            workers -= {source} if "stopped" in message else set()


def work(ranks: Ranks, supervisor: Supervisor, stop: Callable[[], bool]) -> None:
    """The life of a worker's rank: jobs in, outcomes out, until told to stop.

    Args:
        ranks: Rank 0 is the coordinator's.
        supervisor: Has the jobs done.
        stop: Once it says True, the job under way is told to write a checkpoint and end: a
            launcher that is interrupted leaves no time to wait for the coordinator's word.
    """
    try:
        while True:
            received = ranks.receive(POLL_S)
            if received is not None:
                _, message = received
                if "stop" in message:
                    break
                supervisor.start(Job(**message["job"]))
            if stop():
                supervisor.interrupt()
            outcome = supervisor.poll()
            if outcome is not None:
                ranks.send(0, {"outcome": outcome.plain()})
    finally:
        supervisor.stop()
    ranks.send(0, {"stopped": True})
