"""Actors killed again and again, and strangers that say anything: the learner trains on."""

import os
import signal
import socket

import numpy as np
import pytest
import zmq
from malformed import malformed
from process_family import all_gone, family

from veldt.launch.faults_bench import unaccounted
from veldt.platform import checkpoints

LONG = ("--set", "frames=100000000", "--set", "learner.checkpoint_updates=10")
ONE = ("--set", "actors.count=1")


def actors(process):
    return {child.pid for child in family(process, "veldt-actor")}


def newest(run):
    return max(checkpoints.numbers(run), default=0)


def learns_on(run, until):
    done = newest(run)
    until(lambda: newest(run) >= done + 20, 60.0)


def stop(process):
    """Ends a training as Ctrl-C does; what its last checkpoint says."""
    children = family(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in err, err
    assert all_gone(children)
    return err


@pytest.mark.parametrize(
    "kills", [10, pytest.param(300, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
def test_each_killed_actor_comes_back(veldt, until, kills):
    run = veldt.folder / "run"
    process = veldt.start("train", "catch", "--out", "run", *LONG, *ONE)
    for _ in range(kills):
        learns_on(run, until)  # so that the one before made some unrolls
        (actor,) = actors(process)
        os.kill(actor, signal.SIGKILL)
        until(lambda actor=actor: actors(process) - {actor})
    learns_on(run, until)
    stop(process)
    state = checkpoints.load(run)[2]
    assert state["actor_restarts"] == kills and state["learner_restarts"] == 0
    # The unroll of each that was killed at one, and at the end what waits its turn.
    assert state["actors_ended_at_work"] <= kills
    assert 0 <= state["trajectories_dropped"] - state["actors_ended_at_work"] <= 4
    assert unaccounted(state) == 0


@pytest.mark.parametrize("count", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_flood_of_nonsense_does_not_end_a_training(veldt, until, count):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{found.getsockname()[1]}"
    run = veldt.folder / "run"
    process = veldt.start(
        *("learner", "catch", "--listen", address, "--insecure", "--actors", 1),
        *("--out", "run", *LONG),
    )
    until(lambda: checkpoints.numbers(run))
    random, context = np.random.default_rng(1), zmq.Context()
    with context.socket(zmq.DEALER) as stranger:  # that never reads what it is answered
        stranger.set(zmq.LINGER, 30_000)
        stranger.connect(address)
        for _ in range(count):
            stranger.send_multipart(malformed(random, "x" * 32))
        until(lambda: checkpoints.load(run)[2]["messages_rejected"] == count)
    context.term()
    learns_on(run, until)
    stop(process)
    state = checkpoints.load(run)[2]
    assert state["messages_rejected"] == count and state["actor_restarts"] == 0
    assert unaccounted(state) == 0 and state["trajectories_dropped"] <= 4
