"""Several learners that learn as one: real processes, killed for real."""

import json
import os
import signal

import numpy as np
import pytest
from process_family import family

from veldt.platform import checkpoints, records

FOUR = (
    *("--set", "deterministic=true", "--set", "actors.count=4", "--set", "learner.batch=4"),
    *("--set", "actors.environments=2", "--set", "actors.unroll_length=10"),
)
UPDATES_20 = ("--set", "frames=1600")  # of 4 * 2 * 10 steps
TASKS = 'environment = {tasks = [{id = "CartPole-v0"}, {id = "CartPole-v1"}]}\nframes = 1600\n'
AGENTS = {
    "sum": (),
    "mean": ("--set", "agent.reduction=mean", "--set", "optimizer.learning_rate=0.1"),
    "adam": ("--set", "optimizer.name=adam", "--set", "learner.max_lag=3"),
    "popart": (
        *("--set", "agent.network.popart=0.05", "--set", "agent.network.normalise=true"),
        *("--set", "agent.network.share_torso=false"),
    ),
}


def count(learners):
    return "--set", f"learner.count={learners}"


def weights(folder):
    number, arrays, _ = checkpoints.load(folder)
    return number, arrays


def learners(process):
    """The followers of a running training, by what they are called."""
    return family(process, "veldt-followers")


@pytest.mark.parametrize(
    "name",
    ["sum", "popart", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mean", "adam"))],
)
def test_learners_on_parts_are_one_on_the_whole(veldt, name):
    recipe, found = "cartpole", {}
    if name == "popart":
        recipe = "tasks.toml"
        (veldt.folder / recipe).write_text(TASKS)
    for learners in (1, 2, 4) if name == "sum" else (1, 2):
        line = ("train", recipe, *FOUR, *UPDATES_20, *AGENTS[name], *count(learners))
        out = f"{learners}"
        summary = veldt.summary(*line, "--out", out)
        assert summary["trajectories_dropped"] == summary["learner_restarts"] == 0
        counted = [summary[word] for word in ("steps", "episodes", "mean_return")]
        found[learners] = counted, *weights(veldt.folder / out)
    alone, number, whole = found.pop(1)
    assert number == 20
    for counted, number, arrays in found.values():
        assert counted == alone and number == 20
        for part, array in arrays.items():
            scale = max(1.0, float(np.abs(whole[part]).max()))
            np.testing.assert_allclose(array, whole[part], rtol=0, atol=1e-6 * scale)


def test_a_killed_learner_costs_nothing_but_time(veldt, until):
    longer = (
        *("train", "cartpole", *FOUR, *count(2), "--set", "learner.checkpoint_updates=25"),
        *("--set", "frames=12000"),
    )
    veldt.summary(*longer, "--out", "whole")
    process = veldt.start(*longer, "--out", "hurt", "--json")
    hurt = veldt.folder / "hurt"
    until(lambda: checkpoints.numbers(hurt))
    os.kill(learners(process)[0].pid, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "learner 1 ended (killed by SIGKILL" in err
    summary = json.loads(out)
    assert summary["learner_restarts"] == 1 and summary["actor_restarts"] == 0
    one, other = weights(hurt), weights(veldt.folder / "whole")
    assert one[0] == other[0]
    assert all(array.tobytes() == other[1][name].tobytes() for name, array in one[1].items())


@pytest.mark.slow
def test_they_stop_together_and_go_on(veldt, until):
    run = veldt.folder / "run"
    line = (
        *("train", "cartpole", "--out", "run", *count(2), "--set", "frames=100000"),
        *("--set", "agent.name=ppo"),
    )
    process = veldt.start(*line)
    until(lambda: (run / "metrics.jsonl").exists() and len(records.read(run)) > 20)
    all_of_them = family(process)
    assert len(learners(process)) == 1
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "--out run --resume" in err and "Traceback" not in err
    until(lambda: not any(child.is_running() for child in all_of_them))
    summary = veldt.summary(*line, "--resume")
    assert summary["steps"] >= 100000 and summary["sessions"] == 2
    assert summary["actor_restarts"] == summary["learner_restarts"] == 0


def test_when_the_first_is_killed_all_end(veldt, until):
    run = veldt.folder / "run"
    process = veldt.start("train", "cartpole", "--out", "run", *count(2))
    until(lambda: (run / "metrics.jsonl").exists() and len(records.read(run)) > 5)
    all_of_them = family(process)
    assert len(all_of_them) == 5  # a follower, and of each learner a zygote and an actor
    process.send_signal(signal.SIGKILL)
    until(lambda: not any(child.is_running() for child in all_of_them))


def test_what_ails_the_actors_of_another_learner_is_said(veldt):
    done = veldt(
        *("train", "cartpole", "--out", "run", *count(2)),
        *("--set", "environment.id=faulty_environments:NaNReward-v0"),
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "NaNReward" in done.stderr and "reward" in done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("actors.count=3",), "actors.count is 3, which 2 learners cannot share"),
        (("learner.batch=3",), "batch is 3, which 2 learners cannot share"),
        (("learner.device=cuda:0",), "a GPU of its own"),
        (("learner.device=cuda",), "CUDA devices"),
    ],
)
def test_what_cannot_be_shared_is_said_at_once(veldt, settings, words):
    done = veldt("train", "cartpole", "--out", "run", *count(2), "--set", *settings)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert not (veldt.folder / "run").exists()
