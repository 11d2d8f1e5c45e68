"""The crew: the workers a coordinator gives jobs to, in this process and on other ranks.

coordinator (rank 0)  --{"job"}-->       worker rank --fork--> trial process
                      --{"pause"}, {"give_up"}-->
                      <--{"reported"}--
                      <--{"outcome"}--
                      --{"stop"}-->
                      <--{"stopped"}--

A hand does one job at a time: a supervisor of this process, or one that sits on another rank.
It keeps its number when ranks die. Then the survivors meet, and each says what it is at: the
coordinator learns which jobs came to nothing, and if it was rank 0 that died, the lowest of
the others knows all that a coordinator knows beside the log.
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from veldt.platform.errors import RankLost
from veldt.platform.ranks import POLL_S as RANK_POLL_S
from veldt.platform.ranks import Message, OneRank, Ranks
from veldt.search.supervisor import Supervisor
from veldt.search.trial import GivenUp, Heard, Job, Outcome, Reported

POLL_S = 0.05
STOP_S = 20.0  # more than a trial is given to write its checkpoint
FEW = 8  # ranks up to which the coordinator's works too

Result = TypeVar("Result")
Task = tuple[str, int, int]  # study, segment, attempt


@dataclasses.dataclass(frozen=True)
class Lost:
    """Workers died with their ranks."""

    workers: list[int]
    undone: dict[int, int]
    """worker -> segment that nobody is at any more"""


News = tuple[int, Heard] | Lost
"""What a worker says, or what is to be said of several."""


class Crew(Protocol):
    """Workers, by number."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def ranks(self) -> int:
        """Processes of the search, the coordinator's included."""

    @property
    def lost(self) -> int:
        """Ranks that died so far."""

    @property
    def under_way(self) -> dict[int, Task]:
        """worker -> what it is at."""

    def idle(self) -> list[int]:
        """The workers without a job."""

    def start(self, worker: int, job: Job) -> None:
        """Gives an idle worker a job."""

    def pause(self, worker: int) -> None:
        """Has a worker's job end at its next checkpoint, with a score."""

    def give_up(self, worker: int) -> None:
        """Has a worker's job end at once, with a checkpoint to go on from."""

    def poll(self, timeout_s: float) -> News | None:
        """What some job came to, or reports on its way; None after `timeout_s`."""

    def stop(self) -> None:
        """Has every job end where it can go on later, and lets the workers go."""


@dataclasses.dataclass
class Seat:
    """A worker's rank, as it tells the others: who sits there and what it is at."""

    worker: int
    task: Task | None = None
    outcome: Outcome | GivenUp | None = None
    """of the task; whoever coordinates may not have it"""

    def pack(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> "Seat":
        plain = json.loads(data)
        task, outcome = plain["task"], plain["outcome"]
        return cls(
            plain["worker"],
            (task[0], task[1], task[2]) if task else None,
            _ending(outcome) if outcome else None,
        )


def meet(ranks: Ranks, seat: Seat) -> list[Seat]:
    """The survivors' seats, by their new ranks; every survivor calls it after `RankLost`."""
    while True:
        ranks.regroup()
        with contextlib.suppress(RankLost):
            return [Seat.unpack(data) for data in ranks.gather(seat.pack())]


class Hands:
    """Supervisors of this process, and those of the other ranks.

    Args:
        supervisors: Of this process.
        ranks: This one is 0; a worker sits on each of the others.
        seats: By rank, where this one has become 0 after others died; the first is its own.
    """

    def __init__(
        self,
        supervisors: Sequence[Supervisor],
        ranks: Ranks | None = None,
        seats: Sequence[Seat] | None = None,
    ) -> None:
        self._ranks: Ranks = ranks or OneRank()
        self._news: list[News] = []
        self._tasks: dict[int, Task] = {}  # worker -> what it is at
        if seats is None:
            seats = [Seat(rank) for rank in range(self._ranks.size)]
        self._seat = seats[0]
        self._own = {seats[0].worker + i: hand for i, hand in enumerate(supervisors)}
        self._remote = _places(seats)
        for seat in seats:
            if seat.task is not None:
                self._tasks[seat.worker] = seat.task
                self._told(seat)

    def _told(self, seat: Seat) -> None:
        """A worker's job may be over; it is the worker's until `poll` says so."""
        if seat.outcome is not None:
            self._news.append((seat.worker, seat.outcome))

    @property
    def ranks(self) -> int:
        return self._ranks.size

    @property
    def lost(self) -> int:
        return self._ranks.lost

    @property
    def size(self) -> int:
        return len(self._working) + len(self._remote)

    @property
    def _working(self) -> list[int]:
        """The own workers that get jobs."""
        return list(self._own) if self._ranks.size <= FEW else []

    @property
    def under_way(self) -> dict[int, Task]:
        return dict(self._tasks)

    def idle(self) -> list[int]:
        there = [*self._working, *self._remote]
        return sorted(worker for worker in there if worker not in self._tasks)

    def start(self, worker: int, job: Job) -> None:
        self._tasks[worker] = job.task
        if worker in self._own:
            self._own[worker].start(job)
        elif not self._send(worker, {"job": job.plain()}):
            self._news.append(Lost([], {worker: self._tasks.pop(worker)[1]}))

    def pause(self, worker: int) -> None:
        if worker in self._own:
            self._own[worker].pause()
        else:
            self._send(worker, {"pause": True})

    def give_up(self, worker: int) -> None:
        if worker in self._own:
            self._own[worker].give_up()
        else:
            self._send(worker, {"give_up": True})

    def _send(self, worker: int, message: Message) -> bool:
        """Whether the worker was alive a moment ago; of those that die now `_regroup` tells."""
        if worker not in self._remote:
            return False
        try:
            self._ranks.send(self._remote[worker], message)
        except RankLost:
            self._regroup()
        return True

    def poll(self, timeout_s: float) -> News | None:
        deadline = time.monotonic() + timeout_s
        while True:
            if self._news:
                news = self._news.pop(0)
                return news if isinstance(news, Lost) else self._heard(*news)
            for worker, supervisor in self._own.items():
                if (heard := supervisor.poll()) is not None:
                    return self._heard(worker, heard)
            wait = max(0.0, min(RANK_POLL_S, deadline - time.monotonic()))
            try:
                received = self._ranks.receive(wait)
            except RankLost:
                self._regroup()
                continue
            if received is not None:
                _, message = received
                worker = message["worker"]
                if "reported" in message:
                    return worker, Reported(**message["reported"])
                return self._heard(worker, _ending(message["outcome"]))
            if time.monotonic() >= deadline:
                return None

    def _heard(self, worker: int, heard: Heard) -> News:
        if not isinstance(heard, Reported):
            self._tasks.pop(worker, None)
        return worker, heard

    def _regroup(self) -> None:
        seats = meet(self._ranks, self._seat)
        dead = sorted(set(self._remote) - {seat.worker for seat in seats})
        self._remote = _places(seats)
        at = {seat.worker: seat for seat in seats}
        undone = {}
        for worker, task in list(self._tasks.items()):
            if worker in self._own:
                continue
            if worker in at and at[worker].task == task:
                self._told(at[worker])
            else:  # it died, or the job never came there
                undone[worker] = self._tasks.pop(worker)[1]
        self._news.append(Lost(dead, undone))

    def stop(self) -> None:
        for supervisor in self._own.values():
            supervisor.interrupt()
        for supervisor in self._own.values():
            supervisor.stop()
        while True:
            try:
                self._dismiss()
                return
            except RankLost:
                self._regroup()

    def _dismiss(self) -> None:
        workers = set(self._remote.values())
        for rank in workers:
            self._ranks.send(rank, {"stop": True})
        # What is under way is received too, or MPI would wait for it for ever.
        while workers and (received := self._ranks.receive(STOP_S)) is not None:
            source, message = received
            workers -= {source} if "stopped" in message else set()
        goodbye(self._ranks)


def lead(
    ranks: Ranks,
    supervisors: Sequence[Supervisor],
    stop: Callable[[], bool],
    coordinate: Callable[[Hands, bool], Result],
) -> Result | None:
    """Coordinates on rank 0, works on the others; what came of it on rank 0, else None.

    Args:
        ranks: The processes at hand.
        supervisors: Of this rank; stopped at the end.
        stop: Asked often, on every rank.
        coordinate: Given the crew, and whether it is another coordinator's, whose rank died.
    """
    seats = None
    if ranks.rank > 0:
        seats = work(ranks, supervisors[0], stop)
        if seats is None:
            return None
    crew = Hands(supervisors, ranks, seats)
    try:
        return coordinate(crew, seats is not None)
    finally:
        crew.stop()


def _ending(plain: dict[str, Any]) -> Outcome | GivenUp:
    return Outcome(**plain) if "score" in plain else GivenUp(**plain)


def _places(seats: Sequence[Seat]) -> dict[int, int]:
    """worker -> rank, of those that are not this one's."""
    return {seat.worker: rank for rank, seat in enumerate(seats) if rank}


def goodbye(ranks: Ranks) -> None:
    """Every rank's last word: one that leaves before the others looks dead to them."""
    try:
        ranks.gather(b"")
    except RankLost:
        ranks.lost = max(ranks.lost, 1)  # all is done; but MPI's own way out would hang


def work(ranks: Ranks, supervisor: Supervisor, stop: Callable[[], bool]) -> list[Seat] | None:
    """The life of a worker's rank: jobs in, outcomes out, until told to stop.

    Args:
        ranks: Rank 0 is the coordinator's.
        supervisor: Has the jobs done; stopped at the end.
        stop: Once it says True, the job under way is told to write a checkpoint and end: a
            launcher that is interrupted leaves no time to wait for the coordinator's word.

    Returns:
        None at the end. If the ranks before this one died it is rank 0 now: everybody's seats,
        and the supervisor is still at its job.
    """
    seat = Seat(ranks.rank)
    try:
        while True:
            try:
                if _serve(ranks, supervisor, seat, stop):
                    break
            except RankLost:
                if stop():  # all are being stopped: this is no death to survive
                    break
                seats = meet(ranks, seat)
                if ranks.rank == 0:
                    return seats
    except BaseException:
        supervisor.stop()
        raise
    supervisor.stop()
    with contextlib.suppress(RankLost):
        ranks.send(0, {"stopped": True})
    goodbye(ranks)
    return None


def _serve(ranks: Ranks, supervisor: Supervisor, seat: Seat, stop: Callable[[], bool]) -> bool:
    """One look at what there is to do; whether it was told to stop."""
    received = ranks.receive(RANK_POLL_S)
    if received is not None:
        _, message = received
        if "stop" in message:
            return True
        if "pause" in message:
            supervisor.pause()
        elif "give_up" in message:
            supervisor.give_up()
        else:
            job = Job(**message["job"])
            seat.task, seat.outcome = job.task, None
            supervisor.start(job)
    if stop():
        supervisor.interrupt()
    heard = supervisor.poll()
    if isinstance(heard, Reported):
        ranks.send(0, {"worker": seat.worker, "reported": heard.plain()})
    elif heard is not None:
        seat.outcome = heard
        ranks.send(0, {"worker": seat.worker, "outcome": heard.plain()})
    return False
