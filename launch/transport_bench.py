"""How fast unrolls come from actors to a learner, way by way, against a copy in memory.

Actors deliver the same unroll again and again through the channels of a training. The learner
reads each as a training does, which is a copy into memory of its own, and lets it go. A gigabyte
is 10^9 bytes of the unroll, however often it was copied.

    memcpy   as many processes at once as there are actors, their rates' sum; each copies unrolls,
             from as many places to as many as are under way at once: again and again from one to
             another they would never leave the processor's cache
    shm      memory that both share
    ipc      a socket of this host
    tcp      the loopback interface
    curve    the same, encrypted
"""

import contextlib
import itertools
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rich.table
from numpy.typing import NDArray

from veldt.launch.console import Console, number
from veldt.platform.channels import certificates
from veldt.platform.channels.actor_end import ActorChannel
from veldt.platform.channels.arrivals import Arrays, Arrival
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
POLL_S = 0.01
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
        rates = {"memcpy": _copy(seconds, zygote)}
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


def unroll() -> Arrays:
    """What weighs in an Atari unroll."""
    random = np.random.default_rng(0)
    return {
        "observation": random.integers(0, 256, (STEPS + 1, ENVIRONMENTS, *FRAME), np.uint8),
        "stack_older": random.integers(0, 256, (ENVIRONMENTS, *OLDER), np.uint8),
        "behaviour_policy": np.zeros((STEPS, ENVIRONMENTS, 18), np.float32),
        "reward": np.zeros((STEPS, ENVIRONMENTS), np.float32),
    }


def _copy(seconds: float, zygote: Zygote) -> float:
    """Bytes a second of all processes together, once each is at it and warm."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "done")
        file.write_bytes(bytes(8 * ACTORS))
        done = _counts(file)
        children = [
            zygote.spawn(f"{__name__}:copy", {"done": str(file), "process": process})
            for process in range(ACTORS)
        ]
        try:
            while not done.all():
                if any(child.poll() is not None for child in children):
                    raise RunFailed("memcpy: a process that copies died.")
                time.sleep(POLL_S)
            time.sleep(WARM_UP_S)
            before, begun = int(done.sum()), time.perf_counter()
            time.sleep(seconds)
            return (int(done.sum()) - before) / (time.perf_counter() - begun)
        finally:
            for child in children:
                child.signal(signal.SIGKILL)
                child.wait(SILENCE_S)


def _counts(file: Path) -> NDArray[np.int64]:
    """The bytes that each process has copied, in memory that all share."""
    return np.memmap(file, np.int64, "r+", shape=(ACTORS,))


def copy(argument: dict[str, Any]) -> None:
    """A process that copies until it is killed."""
    done, places = _counts(Path(argument["done"])), [unroll() for _ in range(2 * UNDER_WAY)]
    for source, target in itertools.cycle(zip(places[::2], places[1::2], strict=True)):
        done[argument["process"]] += _read(source, target)


def _read(arrays: Arrays, place: Arrays) -> int:
    """Copies arrays to where as large ones are; bytes."""
    for name, array in arrays.items():
        np.copyto(place[name], array)
    return sum(array.nbytes for array in arrays.values())


def take_in(arrival: Arrival, place: Arrays) -> int:
    """Reads what arrived and lets it go; bytes."""
    size = _read(arrival.arrays, place)
    arrival.release()
    return size


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
        place, done, begun = unroll(), 0, 0.0
        ready_s = time.perf_counter() + WARM_UP_S
        version = 0
        while True:
            learner.publish(version, {})
            version += 1
            arrival = learner.receive(SILENCE_S)
            if arrival is None:
                raise RunFailed(f"{way}: no unroll came for {SILENCE_S:g} s.")
            size = take_in(arrival, place)
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
        channel.deliver(work[0], arrays, [], {}, more=True)
    channel.close()
