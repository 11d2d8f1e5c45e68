"""Central inference: the same trajectories, wherever the network that acts is."""

import os
import signal

import pytest
from process_family import all_gone, family

from veldt.platform import checkpoints, records

CENTRAL = ("--set", "actors.inference=central")
DETERMINISTIC = ("--set", "deterministic=true", "--set", "learner.checkpoint_updates=20")
MEMORY = ("--set", "agent.network.core=lstm", "--set", "agent.network.core_size=8")
TCP = ("--set", "actors.transport=tcp")
TWO = ("--set", "learner.count=2")
GROUPS = ("--set", "actors.groups=2")


def weights(folder):
    number, arrays, _ = checkpoints.load(folder)
    return number, {name: array.tobytes() for name, array in arrays.items()}


def actors(process):
    return family(process, "veldt-actor")


@pytest.mark.parametrize(
    "settings", [MEMORY, (*TCP, *TWO, *GROUPS)], ids=["lstm", "tcp-two-learners"]
)
def test_the_bits_are_those_of_the_actors(veldt, settings):
    line = ("train", "cartpole", "--set", "frames=10000", *DETERMINISTIC, *settings)
    veldt.summary(*line, "--out", "actor")
    veldt.summary(*line, "--out", "central", *CENTRAL)
    assert weights(veldt.folder / "central") == weights(veldt.folder / "actor")


def test_images_in_one_batch(veldt):
    summary = veldt.summary(
        *("train", "atari/paper", "--out", "run", *CENTRAL, "--set", "actors.environments=2"),
        *("--set", "frames=6400", "--set", "actors.count=3", "--set", "learner.batch=3"),
        *("--set", "learner.max_lag=1", "--set", "agent.network.torso=shallow", *GROUPS),
    )
    assert summary["steps"] >= 1600 and summary["trajectories_dropped"] <= 3
    assert summary["policy_lag_max"] <= 1
    records_ = records.read(veldt.folder / "run")
    assert records_[-1]["actor_inference_share"] > 0


@pytest.mark.slow
def test_actors_are_killed_and_the_run_is_stopped(veldt, until):
    line = ("train", "cartpole", "--out", "run", *CENTRAL, "--set", "frames=100000")
    process, run = veldt.start(*line), veldt.folder / "run"
    until(lambda: (run / "metrics.jsonl").exists() and len(records.read(run)) > 20)
    before = {actor.pid for actor in actors(process)}
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len({actor.pid for actor in actors(process)} - before) == 1)
    at = len(records.read(run))
    until(lambda: len(records.read(run)) > at + 10)
    children = family(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "--resume" in err and "Traceback" not in err
    assert all_gone(children)
    assert not (run / "actors.log").read_text()
    summary = veldt.summary(*line, "--resume")
    assert summary["steps"] >= 100000 and summary["actor_restarts"] == 1
