"""How fast unrolls come from actors to a learner, way by way, against a copy in memory.

Actors deliver the same unroll again and again through the channels of a training; each is
taken in and let go. A gigabyte is 10^9 bytes of the unroll, however often it was copied.

    memcpy   one process copies unrolls, from as many places to as many as are under way at once;
             again and again from one to another they would never leave the processor's cache
    shm      memory that both share
    ipc      a socket of this host
    tcp      the loopback interface
    curve    the same, encrypted
"""

import contextlib
import itertools
import time
from typing import Any, Literal

import numpy as np
import rich.table

from veldt.launch.console import Console, number
from veldt.platform.channels import certificates
from veldt.platform.channels.actor_end import ActorChannel
from veldt.platform.channels.certificates import Certificate
from veldt.platform.channels.door import Door
from veldt.platform.channels.learner_end import LearnerChannel
from veldt.platform.errors import RunFailed
from veldt.platform.tickets import Tickets
from veldt.platform.zygote import Zygote

STEPS, ENVIRONMENTS, FRAME, OLDER = 20, 16, (1, 84, 84), (3, 84, 84)
ACTORS = 2
UNDER_WAY = 5  # unrolls
WARM_UP_S = 0.5
SILENCE_S = 30.0
LOOPBACK = "tcp://127.0.0.1:0"

# Each way, and the channel's word for it.
WAYS: dict[str, Literal["shared", "ipc", "tcp"]] = {
    "shm": "shared",
    "ipc": "ipc",
    "tcp": "tcp",
    "curve": "tcp",
}


def transport(seconds: float, console: Console) -> dict[str, Any]:
    """Measures each way for `seconds`.

    Returns:
        Gigabytes a second of each, and its ratio to memcpy.
    """
    result: dict[str, Any] = {
        "unroll_bytes": sum(array.nbytes for array in unroll().values()),
        "actors": ACTORS,
        "seconds": seconds,
    }
    with contextlib.closing(Zygote([__name__])) as zygote:
        console.say("a copy in memory ...")
        rates = {"memcpy": _copy(seconds)}
        for way in WAYS:
            console.say(f"{way} ...")
            rates[way] = _deliver(way, seconds, zygote)
    result |= {f"{name}_gbps": rate / 1e9 for name, rate in rates.items()}
    return result | {f"{name}_ratio": rates[name] / rates["memcpy"] for name in WAYS}


def show(result: dict[str, Any], console: Console) -> None:
    table = rich.table.Table(
        title=f"unrolls of {result['unroll_bytes'] / 1e6:.1f} MB", title_justify="left"
    )
    for column in ("", "GB/s", "by memcpy"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("memcpy", number(round(result["memcpy_gbps"], 3)), "1")
    for way in WAYS:
        rate, ratio = result[f"{way}_gbps"], result[f"{way}_ratio"]
        table.add_row(way, number(round(rate, 3)), f"{ratio:.2f}")
    console.say(table)


def unroll() -> dict[str, np.ndarray[Any, Any]]:
    """What weighs in an Atari unroll."""
    random = np.random.default_rng(0)
    return {
        "observation": random.integers(0, 256, (STEPS + 1, ENVIRONMENTS, *FRAME), np.uint8),
        "stack_older": random.integers(0, 256, (ENVIRONMENTS, *OLDER), np.uint8),
        "behaviour_policy": np.zeros((STEPS, ENVIRONMENTS, 18), np.float32),
        "reward": np.zeros((STEPS, ENVIRONMENTS), np.float32),
    }


def _copy(seconds: float) -> float:
    """Bytes a second."""
    places = [unroll()["observation"] for _ in range(2 * UNDER_WAY)]
    pairs, done = itertools.cycle(zip(places[::2], places[1::2], strict=True)), 0
    begun = time.perf_counter()
    while (elapsed := time.perf_counter() - begun) < seconds:
        source, target = next(pairs)
        np.copyto(target, source)
        done += source.nbytes
    return done / elapsed


def _deliver(way: str, seconds: float, zygote: Zygote) -> float:
    """Bytes a second, from the first unroll after the warm-up on."""
    tickets = Tickets(actors=ACTORS, batch=1, done=0, updates=10**9, max_lag=UNDER_WAY - 1)
    own = certificates.make()
    guest = certificates.make(own.public) if way == "curve" else None
    door = Door(LOOPBACK, own, guest.public.__eq__, ACTORS) if guest is not None else None
    learner = LearnerChannel(tickets, {}, WAYS[way], door)
    try:
        for actor in range(ACTORS):
            learner.expect(actor, 0)
            argument = {
                "address": learner.door or learner.address,
                "run": learner.run,
                "actor": actor,
                "certificate": None if guest is None else guest.plain(),
            }
            zygote.spawn(f"{__name__}:deliver", argument)
        size, done, begun = sum(array.nbytes for array in unroll().values()), 0, 0.0
        ready_s = time.perf_counter() + WARM_UP_S
        version = 0
        while True:
            learner.publish(version, {})
            version += 1
            arrival = learner.receive(SILENCE_S)
            if arrival is None:
                raise RunFailed(f"{way}: no unroll came for {SILENCE_S:g} s.")
            arrival.release()
            now_s = time.perf_counter()
            if begun:
                done += size
                if now_s - begun >= seconds:
                    return done / (now_s - begun)
            elif now_s >= ready_s:
                begun = now_s
    finally:
        learner.close()


def deliver(argument: dict[str, Any]) -> None:
    """An actor that has its unroll at hand."""
    keys = argument["certificate"]
    channel = ActorChannel(
        argument["address"],
        argument["run"],
        argument["actor"],
        0,
        None if keys is None else Certificate(**keys),
    )
    arrays = unroll()
    version = -1
    while work := channel.work(version):
        version = work[0].version
        channel.deliver(work[0], arrays, [], {})
    channel.close()
