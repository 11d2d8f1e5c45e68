"""`veldt search` of a population: in process and under mpirun, undisturbed and disturbed."""

import json
import random
import signal
import time

import psutil
import pytest

from veldt.launch import mpi
from veldt.platform.records import read

RECIPE = """
description = "For tests."
generations = {generations}
{top}

[strategy]
method = "ars"
directions = 4
top = 2
step_size = 0.2
noise = 0.1

[problem]
kind = "rough"
seconds = {seconds}
{problem}

[evaluation]
episodes = 6
every = 5
"""
SAME = ("fingerprint", "best_score", "evaluation_mean_return", "episodes", "steps", "generations")


@pytest.fixture
def recipe(veldt):
    def write(generations=12, seconds=0.0, top="", problem=""):
        path = veldt.folder / "rough.toml"
        path.write_text(
            RECIPE.format(generations=generations, seconds=seconds, top=top, problem=problem)
        )
        return path

    return write


def same(summary):
    return {name: summary[name] for name in SAME}


def ranks_of(process):
    """Rank -> process, of a running `mpirun`."""
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            environment = child.environ()
        except psutil.Error:
            continue
        if "OMPI_COMM_WORLD_RANK" in environment and "search" in child.cmdline():
            found[int(environment["OMPI_COMM_WORLD_RANK"])] = child
    return found


def generations(folder):
    return [line["generation"] for line in read(folder) if line["kind"] == "metrics"]


def test_the_same_bits_in_process_and_on_1_2_3_and_4_ranks(veldt, recipe):
    path = recipe()
    alone = veldt.summary("search", path, "--out", "alone")
    assert alone["ranks"] == 1
    for size in (1, 2, 3, 4):
        summary = veldt.summary("search", path, "--out", f"ranks-{size}", ranks=size)
        assert same(summary) == same(alone)
        assert summary["ranks"] == size
        lines, expected = read(veldt.folder / f"ranks-{size}"), read(veldt.folder / "alone")
        for line, other in zip(lines, expected, strict=True):
            assert line.get("fingerprint") == other.get("fingerprint")
            assert line["update"] == other["update"]


def test_sums_that_are_made_in_parts_have_the_same_bits(veldt, recipe):
    path = recipe(generations=3)
    large = ("--set", "problem.dimensions=300000")  # times 8 members: drawn by parts
    alone = veldt.summary("search", path, *large, "--out", "alone")
    summary = veldt.summary("search", path, *large, "--out", "ranks", ranks=3)
    assert same(summary) == same(alone)


def survivors(veldt, path, victims, out, until, pause):
    """A search on 6 ranks of which some are killed, one after another."""
    line = [*mpi.command(6, survive=True), *mpi.itself(["search", str(path), "--json"])]
    process = veldt.start_line([*line, "--out", out])
    try:
        until(lambda: len(generations(veldt.folder / out)) > 1)
        processes = ranks_of(process)
        for victim in victims:
            pause()
            processes[victim].send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["lost_ranks"] == len(victims), err
    return summary


def dies_on_the_way(veldt, recipe, until, runs):
    path = recipe(generations=60, seconds=0.003)
    alone = veldt.summary("search", path, "--out", "alone")
    for run in range(runs):
        chance = random.Random(run)
        victims = [0, *chance.sample(range(1, 6), 2)]
        chance.shuffle(victims)
        summary = survivors(
            veldt,
            path,
            victims,
            f"run-{run}",
            until,
            lambda chance=chance: time.sleep(chance.uniform(0.0, 0.2)),
        )
        assert same(summary) == same(alone), victims
        assert summary["ranks"] == 3
        lines, expected = read(veldt.folder / f"run-{run}"), read(veldt.folder / "alone")
        assert [x["update"] for x in lines] == [x["update"] for x in expected]


@pytest.mark.skipif(not mpi.can_survive(), reason="this MPI ends a job when a rank dies")
def test_three_of_six_ranks_die_rank_0_among_them_and_the_rest_end_the_same(veldt, recipe, until):
    dies_on_the_way(veldt, recipe, until, 2)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not mpi.can_survive(), reason="this MPI ends a job when a rank dies")
def test_twenty_times_three_of_six_ranks_die(veldt, recipe, until):
    dies_on_the_way(veldt, recipe, until, 20)


@pytest.mark.slow
def test_mpirun_itself_is_killed_five_times_and_resumed(veldt, recipe, until):
    path = recipe(generations=40, seconds=0.004, top="checkpoint_seconds = 0.0")
    alone = veldt.summary("search", path, "--out", "alone")
    folder, before = veldt.folder / "killed", -1
    for _ in range(5):
        process = veldt.start("search", path, "--out", folder, "--resume", ranks=2)
        until(lambda b=before: max(generations(folder), default=-1) > b + 1)
        ranks = ranks_of(process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = max(generations(folder))
        # Nobody tells them, and they end all the same.
        until(lambda r=ranks: not any(rank.is_running() for rank in r.values()))
    assert before < 40
    summary = veldt.summary("search", path, "--out", folder, "--resume", ranks=3)
    assert same(summary) == same(alone)
    lines, expected = read(folder), read(veldt.folder / "alone")
    assert [x["update"] for x in lines] == [x["update"] for x in expected]


@pytest.mark.parametrize("ranks", [(), ("--ranks", 3)])
def test_ctrl_c_saves_and_says_how_to_go_on(veldt, recipe, until, ranks):
    path = recipe(generations=400, seconds=0.002)
    process = veldt.start("search", path, "--out", "stopped", *ranks)
    until(lambda: len(generations(veldt.folder / "stopped")) > 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "--resume goes on" in err
    assert "Traceback" not in err
    count = len(generations(veldt.folder / "stopped"))
    assert not (veldt.folder / "stopped" / "summary.json").exists()
    process = veldt.start("search", path, "--out", "stopped", "--resume")
    until(lambda: len(generations(veldt.folder / "stopped")) > count)


def test_restarts_go_on_by_themselves(veldt, recipe, until):
    path = recipe(generations=40, seconds=0.004)
    alone = veldt.summary("search", path, "--out", "alone")
    line = ("search", path, "--out", "again", "--ranks", 2, "--restarts", 3, "--json")
    process = veldt.start(*line)
    for count in (3, 8):
        until(lambda c=count: len(generations(veldt.folder / "again")) > c)
        launcher = psutil.Process(process.pid).children()[0]
        launcher.send_signal(signal.SIGKILL)
        until(lambda gone=launcher: not gone.is_running())
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert same(json.loads(out)) == same(alone)
    assert "restart(s) left" in err


def test_a_member_that_kills_every_rank_is_no_success(veldt, recipe):
    path = recipe(problem='fault = "killed"')
    done = veldt("search", path, "--out", "dead", "--ranks", 2)
    assert done.returncode == 1, done.stderr
    assert not (veldt.folder / "dead" / "summary.json").exists()


@pytest.mark.parametrize("ranks", [None, 2])
def test_a_rank_that_raises_ends_it_with_traceback_and_key(veldt, recipe, ranks):
    path = recipe(problem='fault = "raises"')
    begun = time.monotonic()
    done = veldt("search", path, "--out", "raised", ranks=ranks)
    assert done.returncode == 1, done.stderr
    assert time.monotonic() - begun < 60
    assert "ArithmeticError: member 3 is unwell" in done.stderr
    assert "generation 2, member 3 (seed 0, key " in done.stderr
    forgiving = recipe(problem='fault = "raises"', top='errors = "fail"')
    summary = veldt.summary("search", forgiving, "--out", "forgiven", ranks=ranks)
    assert summary["failed_evaluations"] == 10


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["strategy.top=5"], "top = 5 directions cannot be kept of directions = 4"),
        (["strategy.method=arss"], "Did you mean 'ars'?"),
        (["problem.kind=ruogh"], "Did you mean 'rough'?"),
        (["strategy.directions=0"], "strategy.directions"),
        (["evaluation.stop_at_threshold=true"], "stop_at_threshold needs a threshold"),
        (["strategy.directions=1", "strategy.top=1"], "3 ranks for 2 members"),
    ],
)
def test_wrong_input_is_refused_before_anything_starts(veldt, recipe, assignments, words):
    sets = [item for assignment in assignments for item in ("--set", assignment)]
    done = veldt("search", recipe(), "--out", "wrong", *sets, ranks=3)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count(words) == 1
    assert "Traceback" not in done.stderr
    assert not (veldt.folder / "wrong" / "metrics.jsonl").exists()


def test_folders_are_not_mixed_up(veldt, recipe):
    path = recipe()
    veldt.summary("search", path, "--out", "run", ranks=2)
    done = veldt("search", path, "--out", "run", ranks=2)
    assert done.returncode == 2
    assert "--resume" in done.stderr
    done = veldt("search", path, "--out", "run", "--resume", "--set", "problem.dimensions=7")
    assert done.returncode == 2
    assert "problem.dimensions: 6 -> 7" in done.stderr
    assert veldt.summary("search", path, "--out", "run", "--resume", ranks=2)["ranks"] == 2


def test_a_damaged_checkpoint_is_no_hang(veldt, recipe):
    veldt.summary("search", recipe(), "--out", "run")
    (veldt.folder / "run" / "summary.json").unlink()
    for file in (veldt.folder / "run" / "checkpoints").glob("*/state.json"):
        file.write_text("{")
    done = veldt("search", recipe(), "--out", "run", "--resume", ranks=2)
    assert done.returncode == 2
    assert "no whole checkpoint is left" in done.stderr


def test_more_ranks_than_cores_do_not_wait_busily(veldt, recipe, until):
    # Everybody sleeps in the environment: what processor time there is, is waiting.
    process = veldt.start("search", recipe(400, 0.01), "--out", "idle", ranks=4)
    until(lambda: len(generations(veldt.folder / "idle")) > 2)
    ranks = list(ranks_of(process).values())
    assert len(ranks) == 4
    before = [sum(rank.cpu_times()[:2]) for rank in ranks]
    count = len(generations(veldt.folder / "idle"))
    until(lambda: len(generations(veldt.folder / "idle")) > count + 40)
    used = [sum(rank.cpu_times()[:2]) - b for rank, b in zip(ranks, before, strict=True)]
    assert max(used) < 0.5 * 40 * 8 / 4 * 0.025  # of the time that 40 generations take at least
