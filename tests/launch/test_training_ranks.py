"""A training under real `mpirun`: learners, hosts of actors, and the way between them."""

import concurrent.futures
import json
import shutil
import subprocess
import threading

import numpy as np
import pytest
import torch

from veldt.agents.rank_learners import RankGroup
from veldt.launch import mpi
from veldt.launch.training_ranks import checked, shares
from veldt.platform.errors import InputError

CATCH = (
    *("train", "catch", "--out", "run", "--set", "frames=2000", "--set", "actors.count=2"),
    *("--set", "learner.batch=2"),
)
TWO = ("--set", "learner.count=2")
NEAR, FAR = "for ipc://", "for tcp://"


def test_two_learners_and_their_actors_by_a_host_file(veldt):
    (veldt.folder / "hosts").write_text("localhost slots=3\n")
    line = [mpi.mpirun(), "--hostfile", "hosts", "-n", "3", "--bind-to", "none"]
    line += veldt.line(*CATCH, *TWO, "--json")
    out, said = veldt.start_line(line).communicate(timeout=120)
    assert out, said
    summary = json.loads(out)
    assert summary["frames"] == 2048 and summary["updates"] == 8, said
    assert summary["trajectories_dropped"] == summary["connections_refused"] == 0
    assert "2 learners" in said and said.count("joins with 1 actors") == 2
    assert said.count(NEAR) == 2 and FAR not in said


@pytest.mark.slow
def test_learners_alone_have_actors_of_their_own(veldt):
    done = veldt(*CATCH, *TWO, "--json", ranks=2)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["updates"] == 8 and "joins" not in done.stderr
    # The run is over, which the other rank is told.
    assert veldt.summary(*CATCH, *TWO, "--resume", ranks=2) == summary


def test_a_rank_elsewhere_comes_in_at_the_door_with_a_key(veldt):
    """Elsewhere: in a space of processes of its own, where the memory is not to be had."""
    apart = ["unshare", "--pid", "--fork", "--mount-proc"]
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], check=False).returncode:
        pytest.skip("this machine lets us make no space of processes")
    program = veldt.line(*CATCH, "--json")
    launch = mpi.command(1)
    process = veldt.start_line([*launch, *program, ":", "-n", "1", *apart, *program])
    out, said = process.communicate(timeout=120)
    assert json.loads(out)["updates"] == 8, said
    assert FAR in said and NEAR not in said and "listening at tcp://" in said


def test_what_ranks_cannot_share_is_said_once_and_all_end(veldt):
    done = veldt(*CATCH, ranks=4)
    assert done.returncode != 0 and done.stderr.count("start at most 3 ranks") == 1
    assert "Traceback" not in done.stderr


def test_too_few_ranks_to_learn():
    data = {"environment": {"id": "veldt/Catch-v0"}, "frames": 1, "actors": {"count": 3}}
    with pytest.raises(InputError, match="learner.count is 3, .*start at least 3"):
        checked(data | {"learner": {"count": 3, "batch": 3}}, 2)


@pytest.mark.parametrize(
    ("actors", "learners", "hosts", "expected"),
    [
        (2, 2, 1, [{0: 1, 1: 1}]),
        (8, 2, 2, [{0: 4}, {1: 4}]),
        (8, 2, 3, [{0: 3}, {0: 1, 1: 2}, {1: 2}]),
        (5, 1, 2, [{0: 3}, {0: 2}]),
    ],
)
def test_hosts_share_the_actors(actors, learners, hosts, expected):
    assert shares(actors, learners, hosts) == expected


class Threads:
    """Ranks that are threads of this process."""

    def __init__(self, rank, size, meeting, table):
        self.rank, self.size, self._meeting, self._table = rank, size, meeting, table

    def _all(self, what):
        self._table[self.rank] = what
        self._meeting.wait(20.0)
        found = list(self._table)
        self._meeting.wait(20.0)
        return found

    def gather(self, data, idle=None):
        return self._all(data)

    def total(self, part):
        return sum(self._all(part.copy()))

    def broadcast(self, data):
        data[:] = self._all(data.copy())[0]


def test_what_learners_tell_one_another():
    meeting, table = threading.Barrier(2), [None, None]
    arrays = {"a": np.arange(6.0).reshape(2, 3), "s": np.array(7, np.float32), "e": np.empty(0)}

    def learn(me):
        group = RankGroup(Threads(me, 2, meeting, table))
        told = group.exchange({"me": me})
        tensors = [torch.full((2, 3), 1.0 + me), torch.tensor(0.5 * (me + 1))]
        group.sum(tensors)
        if me == 0:
            group.give(arrays)
            got = arrays
        else:
            got = group.get([(n, a.dtype.name, list(a.shape)) for n, a in arrays.items()])
        return group.place, [each["me"] for each in told], tensors, got

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(learn, (0, 1)))
    for me, (place, told, tensors, got) in enumerate(ends):
        assert (place.learner, place.learners, told) == (me, 2, [0, 1])
        assert (tensors[0] == 3.0).all() and float(tensors[1]) == 1.5
        for name, array in arrays.items():
            np.testing.assert_array_equal(got[name], array)
            assert got[name].dtype == array.dtype and got[name].shape == array.shape
