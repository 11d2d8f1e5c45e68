"""The crew: the workers a coordinator gives jobs to, in this process and on other ranks.

coordinator (rank 0)  --{"job"}-->       worker rank --fork--> trial process
                      --{"pause"}-->
                      <--{"reported"}--
                      <--{"outcome"}--
                      --{"stop"}-->
                      <--{"stopped"}--

A hand does one job at a time: a supervisor of this process, or one that sits on another rank.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from veldt.platform.ranks import POLL_S as RANK_POLL_S
from veldt.platform.ranks import OneRank, Ranks
from veldt.search.supervisor import Supervisor
from veldt.search.trial import Heard, Job, Outcome, Reported

POLL_S = 0.05
STOP_S = 20.0  # more than a trial is given to write its checkpoint
FEW = 8  # ranks up to which the coordinator's works too


class Crew(Protocol):
    """Workers, by number."""

    size: int
    ranks: int  # processes of the search, the coordinator's included

    def idle(self) -> list[int]:
        """The workers without a job."""

    def start(self, worker: int, job: Job) -> None:
        """Gives an idle worker a job."""

    def pause(self, worker: int) -> None:
        """Has a worker's job end at its next checkpoint, with a score."""

    def poll(self, timeout_s: float) -> Heard | None:
        """What some job came to, or reports on its way; None after `timeout_s`."""

    def stop(self) -> None:
        """Has every job end where it can go on later, and lets the workers go."""


class Hands:
    """Supervisors of this process, and those of the other ranks.

    Args:
        supervisors: Of this process; their workers are numbered first.
        ranks: This one is 0; a worker sits on each of the others.
    """

    def __init__(self, supervisors: Sequence[Supervisor], ranks: Ranks | None = None) -> None:
        self._supervisors = list(supervisors)
        self._ranks: Ranks = ranks or OneRank()
        self.ranks = self._ranks.size
        self._own = len(self._supervisors)
        self.size = self._own + self.ranks - 1
        self._busy: set[int] = set()  # remote workers

    def idle(self) -> list[int]:
        own = [i for i, supervisor in enumerate(self._supervisors) if not supervisor.busy]
        return own + [i for i in range(self._own, self.size) if i not in self._busy]

    def _rank(self, worker: int) -> int:
        return worker - self._own + 1

    def start(self, worker: int, job: Job) -> None:
        if worker < self._own:
            self._supervisors[worker].start(job)
            return
        self._busy.add(worker)
        self._ranks.send(self._rank(worker), {"job": job.plain()})

    def pause(self, worker: int) -> None:
        if worker < self._own:
            self._supervisors[worker].pause()
        else:
            self._ranks.send(self._rank(worker), {"pause": True})

    def poll(self, timeout_s: float) -> Heard | None:
        deadline = time.monotonic() + timeout_s
        while True:
            for supervisor in self._supervisors:
                if (heard := supervisor.poll()) is not None:
                    return heard
            wait = max(0.0, min(RANK_POLL_S, deadline - time.monotonic()))
            if (received := self._ranks.receive(wait)) is not None:
                source, message = received
                if "reported" in message:
                    return Reported(**message["reported"])
                self._busy.discard(source - 1 + self._own)
                return Outcome(**message["outcome"])
            if time.monotonic() >= deadline:
                return None

    def stop(self) -> None:
        workers = set(range(1, self.ranks))
        for rank in workers:
            self._ranks.send(rank, {"stop": True})
        for supervisor in self._supervisors:
            supervisor.interrupt()
        for supervisor in self._supervisors:
            supervisor.stop()
        # What is under way is received too, or MPI would wait for it for ever.
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
            received = ranks.receive(RANK_POLL_S)
            if received is not None:
                _, message = received
                if "stop" in message:
                    break
                if "pause" in message:
                    supervisor.pause()
                else:
                    supervisor.start(Job(**message["job"]))
            if stop():
                supervisor.interrupt()
            heard = supervisor.poll()
            if isinstance(heard, Outcome):
                ranks.send(0, {"outcome": heard.plain()})
            elif heard is not None:
                ranks.send(0, {"reported": heard.plain()})
    finally:
        supervisor.stop()
    ranks.send(0, {"stopped": True})
