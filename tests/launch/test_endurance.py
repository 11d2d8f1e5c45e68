"""Long runs: what is held does not grow, and any number of kills leaves the bits as they are."""

import contextlib
import random

import numpy as np
import psutil
import pytest

from veldt.platform import checkpoints, records

pytestmark = pytest.mark.slow


def held(process):
    """Bytes that a training's processes hold for themselves."""
    family = [psutil.Process(process.pid)]
    family += family[0].children(recursive=True)
    return sum(each.memory_full_info().uss for each in family)


def newest(run, name):
    return max((record.get(name, 0) for record in records.read(run)), default=0)


@pytest.mark.timeout(1200)
def test_memory_does_not_grow(veldt, until):
    """Two million steps of CartPole: less than a megabyte in each hundred thousand."""
    process = veldt.start("train", "cartpole", "--out", "run", "--set", "frames=2000000")
    run, points = veldt.folder / "run", []
    until(lambda: (run / "metrics.jsonl").exists())
    while process.poll() is None:
        now = newest(run, "steps")
        if now > 200_000:
            with contextlib.suppress(psutil.Error):  # it ends
                points.append((now, held(process)))
        until(lambda now=now: process.poll() is not None or newest(run, "steps") > now)
    assert process.returncode == 0 and len(points) > 50
    slope, _ = np.polyfit(*np.array(points).T, 1)
    assert slope * 1e5 < 1e6


@pytest.mark.timeout(600)
@pytest.mark.parametrize("learners", [1, 2])
def test_five_kills_leave_the_bits_as_they_are(veldt, until, learners):
    line = (
        *("train", "cartpole", "--set", "frames=100000", "--set", "deterministic=true"),
        *("--set", "learner.checkpoint_updates=20", "--set", f"learner.count={learners}"),
    )
    veldt.summary(*line, "--out", "whole")
    hurt, moments = veldt.folder / "hurt", random.Random(learners)
    for kill in range(5):
        target = (kill + moments.random()) * 70  # of 391 updates
        process = veldt.start(*line, "--out", "hurt", "--resume")
        until(lambda: hurt.exists() and (hurt / "metrics.jsonl").exists())
        until(lambda target=target: newest(hurt, "update") > target)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        psutil.wait_procs(family, 20)
        assert not (hurt / "summary.json").exists()
    assert veldt.summary(*line, "--out", "hurt", "--resume")["sessions"] == 6
    (number, arrays, _), (last, whole, _) = map(checkpoints.load, (hurt, veldt.folder / "whole"))
    assert number == last
    assert {n: a.tobytes() for n, a in arrays.items()} == {
        n: a.tobytes() for n, a in whole.items()
    }
