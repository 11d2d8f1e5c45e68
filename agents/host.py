"""A host of actors: it starts them for a learner elsewhere, and looks after them.

    learner  <--join, expect, beat--  this process  --starts, watches-->  actors
    learner  <------------------------ unrolls -------------------------  actors

It comes and goes as it likes. When the learner is silent, its actors are ended, and it waits
for the learner to be there again.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from veldt.agents.actor_pool import MODULE, PRELOAD, ActorPool
from veldt.agents.build import environment_spec
from veldt.agents.settings import TrainSettings
from veldt.platform.channels.certificates import Certificate
from veldt.platform.channels.host_end import HostChannel, LearnerLost
from veldt.platform.zygote import Zygote

BEAT_S = 1.0
WATCH_S = 0.1


def serve(
    address: str,
    certificate: Certificate | None,
    count: int,
    *,
    patience_s: float,
    log: Path,
    stop: Callable[[], bool],
    announce: Callable[[str], None] = lambda text: None,
    run: str = "",
) -> None:
    """Runs `count` actors until the learner's run is over, or `stop` says True.

    Args:
        address: Of the learner, "tcp://host:port", or of one on this machine its own.
        certificate: Of this host; None: in clear.
        count: Actors.
        patience_s: How long to wait for a learner, at first and when it is silent.
        log: The file that the actors' errors go to.
        stop: Asked often.
        announce: Called with what happens.
        run: The learner's word, of one on this machine; see `HostChannel`.

    Raises:
        InputError: if the learner turns this host away, or cannot be served from here.
        EnvironmentFault, ActorsLost: if the actors come to grief here.
        LearnerLost: if no learner answered for `patience_s`.
    """
    with contextlib.closing(Zygote([MODULE, PRELOAD])) as zygote:
        channel = HostChannel(address, certificate, run)
        try:
            while not (stop() or channel.stopped):
                actors = channel.join(count, patience_s, lambda: not stop())
                if not actors:
                    break
                settings = TrainSettings.parse(channel.settings)
                environment_spec(settings)  # what is missing here is said here
                numbers = ", ".join(str(actor) for actor in actors)
                announce(f"actors {numbers} play {settings.environment.label} for {address}")
                pool: ActorPool | None = None
                try:
                    pool = ActorPool(
                        zygote,
                        channel,
                        actors,
                        settings.actors.environments,
                        settings.actors.silence_s,
                        restart=True,
                        log=log,
                        certificate=certificate,
                    )
                    _tend(pool, channel, stop)
                except LearnerLost as lost:
                    announce(f"{lost} Waiting for it, {patience_s:g} s at most.")
                finally:
                    if pool is not None:
                        pool.stop()
        finally:
            channel.leave()
            channel.close()


def _tend(pool: ActorPool, channel: HostChannel, stop: Callable[[], bool]) -> None:
    """Keeps the actors alive, and says so."""
    beaten_s = 0.0
    while not (stop() or channel.stopped):
        if time.monotonic() - beaten_s >= BEAT_S:
            for actor in channel.beat():
                pool.heard_from(actor)
            beaten_s = time.monotonic()
        pool.watch()
        time.sleep(WATCH_S)
