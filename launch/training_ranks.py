"""A training under `mpirun`: which rank does what, and how they come together.

    the first learner.count ranks    learn as one (agents/rank_learners.py); the first of all leads
    the others                       share the actors, as hosts of them (agents/host.py); where
                                     there are none, each learner starts its own

A rank that is on its learner's machine uses memory and sockets of that machine. One that is not
comes in at a door, with keys that are made for this once.
"""

import concurrent.futures
import dataclasses
import json
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from veldt.launch.cluster import Stop, serve_learner
from veldt.launch.ranks import on_ranks
from veldt.platform.channels import certificates
from veldt.platform.channels.door import Door, Entrance
from veldt.platform.errors import InputError, Interrupted, RunFailed
from veldt.platform.machine import identity
from veldt.platform.ranks import Ranks
from veldt.platform.tickets import Place

if TYPE_CHECKING:
    from veldt.agents.followers import Team
    from veldt.agents.settings import TrainSettings

PATIENCE_S = 60.0  # of a rank, with a learner that is silent
POLL_S = 0.2

Train = Callable[["Door | None", "Team | None", Stop], None]


def train_on_ranks(data: dict[str, Any], train: Train) -> None:
    """Trains on all ranks of this job.

    Args:
        data: A training's settings.
        train: What the first rank does.
    """
    on_ranks(lambda ranks, stop: _as_rank(ranks, stop, data, train))


def _as_rank(ranks: Ranks, stop: Stop, data: dict[str, Any], train: Train) -> None:
    if ranks.size == 1:
        train(None, None, stop)
        return
    words: dict[str, Any] = {"machine": identity(), "host": socket.gethostname(), "learners": 0}
    trouble: InputError | None = None
    if ranks.rank == 0:
        try:
            words["learners"] = checked(data, ranks.size)
        except InputError as error:
            trouble = error
    job = Job(ranks, [json.loads(said) for said in ranks.gather(json.dumps(words).encode())])
    if trouble is not None:
        raise trouble
    if not job.learners:
        return
    learning = ranks.first(job.learners)
    if learning is None:
        _act(ranks, stop)
    elif ranks.rank:
        from veldt.agents.rank_learners import follow_leader

        follow_leader(learning, job.near(), lambda settings: job.door(settings))
    else:
        _lead(job, learning, stop, data, train)


def checked(data: dict[str, Any], size: int) -> int:
    """The number of learners.

    Raises:
        InputError: if so many ranks cannot share the work.
    """
    from veldt.agents.settings import TrainSettings

    settings = TrainSettings.parse(data)
    learners, actors = settings.learner.count, settings.actors.count
    if size < learners:
        raise InputError(
            f"learner.count is {learners}, but there are {size} ranks: start at least {learners}."
        )
    if size - learners > actors:
        raise InputError(
            f"{size} ranks are {learners} to learn and {size - learners} to run actors, but "
            f"actors.count is {actors}: start at most {actors + learners} ranks, or set "
            "actors.count."
        )
    return learners


def shares(actors: int, learners: int, hosts: int) -> list[dict[int, int]]:
    """For each host of actors, how many of which learner's it runs: in turn, learner after
    learner, so that a host serves as few of them as may be."""
    found: list[dict[int, int]] = [{} for _ in range(hosts)]
    for number in range(actors):
        host, learner = number * hosts // actors, number // (actors // learners)
        found[host][learner] = found[host].get(learner, 0) + 1
    return found


@dataclasses.dataclass
class Job:
    """What each rank knows of all of them."""

    ranks: Ranks
    words: list[dict[str, Any]]
    opened: bool = False
    """this learner's door"""

    @property
    def learners(self) -> int:
        return int(self.words[0]["learners"])

    def near(self) -> Place:
        """Which this learner is of those on its machine."""
        machines = [word["machine"] for word in self.words[: self.learners]]
        own = machines[self.ranks.rank]
        return Place(machines[: self.ranks.rank].count(own), machines.count(own))

    def door(self, settings: "TrainSettings") -> Door | None:
        """This learner's, for the ranks that have actors for it; None: it starts them itself."""
        learner, hosts = self.ranks.rank, self.ranks.size - self.learners
        if not hosts:
            return None
        count = shares(settings.actors.count, self.learners, hosts)
        own = certificates.make()
        guest = certificates.make(own.public)
        mine = self.words[learner]
        ranks = [self.learners + host for host in range(hosts) if learner in count[host]]
        far = [rank for rank in ranks if self.words[rank]["machine"] != mine["machine"]]

        def tell(entrance: Entrance) -> None:
            self.opened = True
            for rank in ranks:
                share = count[rank - self.learners]
                where: dict[str, Any] = {"address": entrance.here, "run": entrance.run}
                if rank in far:
                    port = urlsplit(entrance.elsewhere).port
                    where = {"address": f"tcp://{mine['host']}:{port}", "key": guest.plain()}
                self.ranks.send(rank, where | {"count": share[learner], "of": len(share)})

        address = "tcp://0.0.0.0:0" if far else ""
        return Door(address, own if far else None, guest.public.__eq__, opened=tell)


def _lead(job: Job, learning: Ranks, stop: Stop, data: dict[str, Any], train: Train) -> None:
    """Trains, and tells the other ranks if there is nothing for them to do."""
    from veldt.agents.rank_learners import RankGroup, RankTeam
    from veldt.agents.settings import TrainSettings

    team = RankTeam(RankGroup(learning), job.near()) if job.learners > 1 else None
    try:
        train(job.door(TrainSettings.parse(data)), team, stop)
    except InputError as error:
        if team is not None and team.begun:  # the others wait
            raise RunFailed(str(error)) from error
        _dismiss(job, team)
        raise
    except Interrupted as error:
        if team is not None and team.group.waiting:
            raise RunFailed(str(error)) from error
        _dismiss(job, team)
        raise
    _dismiss(job, team)


def _dismiss(job: Job, team: Any) -> None:
    if team is not None:
        team.dismiss()
    if not job.opened:
        for rank in range(job.learners, job.ranks.size):
            job.ranks.send(rank, {})


def _act(ranks: Ranks, stop: Stop) -> None:
    """Runs this rank's share of the actors, once its learners say which."""
    messages: list[dict[str, Any]] = []
    while not messages or len(messages) < messages[0]["of"]:
        if stop():
            return
        if (got := ranks.receive(POLL_S)) is not None:
            if not got[1]:
                return
            messages.append(got[1])
    failed = threading.Event()

    def serve(message: dict[str, Any]) -> None:
        key = message.get("key")
        try:
            serve_learner(
                message["address"],
                None if key is None else certificates.Certificate(**key),
                message["count"],
                PATIENCE_S,
                None,
                lambda: stop() or failed.is_set(),
                message.get("run", ""),
            )
        except BaseException:
            failed.set()
            raise

    try:
        with concurrent.futures.ThreadPoolExecutor(len(messages)) as pool:
            for done in [pool.submit(serve, message) for message in messages]:
                done.result()
    except InputError as error:  # not what all ranks were asked, but what is wrong with this one
        raise RunFailed(str(error)) from error
