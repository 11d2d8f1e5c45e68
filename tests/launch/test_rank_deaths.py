"""Searches over settings whose ranks are killed, and which go on without them."""

import contextlib
import json
import random
import signal
import time

import psutil
import pytest

from veldt.launch import mpi
from veldt.search import journal

RECIPE = """
[[stages]]
method = "random"
trials = 8

[space]
"optimizer.learning_rate" = {kind = "log", low = 1e-3, high = 3e-2}
"agent.discount" = {kind = "choice", values = [0.9, 0.97]}

[train]
frames = 1200
environment = {id = "CartPole-v1"}
agent = {name = "impala", network = {hidden = [16]}}
actors = {count = 1, environments = 8, unroll_length = 10}
deterministic = true
learner = {batch = 1, checkpoint_updates = 5}

[scheduler]
name = "halving"
trials = 8
rungs = 3
eta = 2

[evaluation]
episodes = 4

[heldout]
finalists = 2
validations = 2
evaluation = {episodes = 4}
"""
SAME = ("trials", "best_trial", "best_score", "best_settings", "heldout_mean_return", "steps")
SAME += ("fingerprint", "failed_trials", "failed_attempts", "validation_mean_return")

pytestmark = pytest.mark.skipif(
    not mpi.can_survive(), reason="this MPI ends a job when a rank dies"
)


@pytest.fixture
def recipe(veldt):
    path = veldt.folder / "halving.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, command_line):
    line = command_line(tmp_path_factory.mktemp("undisturbed"))
    (line.folder / "halving.toml").write_text(RECIPE)
    yield line.summary("search", "halving.toml", "--out", "s"), log(line.folder / "s")
    line.close()


def events(folder):
    with contextlib.suppress(journal.InputError):
        return journal.read(folder / "study.sqlite")
    return []


def log(folder):
    """What a study came to: every segment once, with its score."""
    found = events(folder)
    results = [event.body for event in found if event.kind == "result"]
    assert len({body["segment"] for body in results}) == len(results), "doubled"
    segments = {e.body["number"]: e.body for e in found if e.kind == "segment"}
    return sorted(
        (s["purpose"], s["trial"], s["replicate"], s["begin"], s["end"], body["score"])
        for body in results
        for s in [segments[body["segment"]]]
    )


def ranks_of(process):
    """Rank -> process, of a running `mpirun`."""
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "search" in child.cmdline():
                rank = child.environ().get("OMPI_COMM_WORLD_RANK")
                if rank is not None and child.name() not in ("veldt-zygote", "veldt-trial"):
                    found[int(rank)] = child
    return found


@pytest.mark.parametrize(
    ("victims", "sessions"),
    # The third's rank 2 coordinates, after 1 and 0 died, when it is killed.
    [
        pytest.param([0], 2, marks=pytest.mark.slow),
        pytest.param([2], 1, marks=pytest.mark.slow),
        ([1, 0, 2], 3),
    ],
)
def test_ranks_die_and_the_rest_end_the_same(veldt, recipe, undisturbed, until, victims, sessions):
    line = [*mpi.command(4, survive=True), *mpi.itself(["search", str(recipe), "--json"])]
    process = veldt.start_line([*line, "--out", "s"])
    folder, chance = veldt.folder / "s", random.Random(sum(victims))
    until(lambda: len(ranks_of(process)) == 4)
    processes = ranks_of(process)
    for count, victim in enumerate(victims):
        until(lambda count=count: sum(e.kind == "result" for e in events(folder)) > 1 + 3 * count)
        time.sleep(chance.uniform(0.0, 0.3))
        processes[victim].send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    summary = json.loads(out)
    expected, expected_log = undisturbed
    assert log(folder) == expected_log
    assert {name: summary[name] for name in SAME} == {name: expected[name] for name in SAME}
    assert summary["lost_ranks"] == len(victims) and summary["ranks"] == 4 - len(victims)
    assert sum(e.kind == "session" for e in events(folder)) == sessions


MANY = RECIPE.replace("trials = 8", "trials = 56") + "\n[trial]\nretries = 1000\n"


def children(process):
    """Trials under way, and what they started."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.name() in ("veldt-trial", "veldt-zygote", "veldt-actor"):
                found.append(child)
    return found


def sessions(folder):
    """How often a coordinator has begun."""
    return sum(event.kind == "session" for event in events(folder))


def strike(process, chance, ranks):
    """Kills somebody: a rank, as many as are left to, or what a trial is made of."""
    with contextlib.suppress(psutil.Error):
        living = ranks_of(process)
        if ranks and len(living) > 1 and chance.random() < 0.4:
            victim = living[chance.choice(sorted(living))]
        else:
            victim = chance.choice(children(process) or [None])
        if victim is not None:
            victim.send_signal(signal.SIGKILL)
            return 1
    return 0


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("survive", [True, False])
def test_a_hundred_and_fifty_kills(veldt, until, survive):
    """Of studies of about a hundred segments, until so many were killed."""
    (veldt.folder / "many.toml").write_text(MANY)
    expected = veldt.summary("search", "many.toml", "--out", "calm", "--workers", 2)
    expected_log = log(veldt.folder / "calm")
    assert len(expected_log) > 100
    chance, kills, studies, restarts = random.Random(1), 0, 0, 0
    while kills < 150:
        studies += 1
        folder = veldt.folder / f"storm-{studies}"
        arguments = ["search", "many.toml", "--json", "--resume", "--out", folder.name]
        while True:
            line = [*mpi.command(4, survive=survive), *mpi.itself(arguments)]
            process = veldt.start_line(line)
            # A rank that dies while MPI starts is nobody's to survive.
            before = sessions(folder)
            until(lambda before=before, folder=folder: sessions(folder) > before)
            while process.poll() is None:
                time.sleep(chance.uniform(0.3, 2.0))
                kills += strike(process, chance, ranks=True)
            _, err = process.communicate(timeout=200)
            if survive or (folder / "summary.json").exists():
                break
            restarts += 1
        assert process.returncode == 0 or not survive, err
        summary = json.loads((folder / "summary.json").read_text())
        assert log(folder) == expected_log
        for name in set(SAME) - {"failed_attempts"}:
            assert summary[name] == expected[name], name
    print(f"survive={survive}: {kills} kills in {studies} studies, {restarts} restarts")
