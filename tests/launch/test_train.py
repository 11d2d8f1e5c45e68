"""`veldt train`: what it writes, and what happens when it is disturbed."""

import contextlib
import json
import os
import re
import signal

import psutil
import pytest

from veldt.launch.intervals import interval
from veldt.platform import checkpoints, records
from veldt.platform.keys import Key

SHORT = ("--set", "frames=8000", "--set", "learner.checkpoint_updates=10")  # 32 updates
LOCKSTEP = ("--set", "deterministic=true")


def actors(process):
    """The actors of a running training: children of its zygote."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for zygote in psutil.Process(process.pid).children():
            return zygote.children()
    return []


def updates(folder):
    """The update a running training has got to."""
    return max((r["update"] for r in records.read(folder)), default=0)


def bits(folder):
    number, arrays, state = checkpoints.load(folder)
    returns = state["recent_returns"]
    return number, {name: array.tobytes() for name, array in arrays.items()}, returns


def test_the_summary_and_the_folder(veldt):
    summary = veldt.summary("train", "cartpole", "--out", "run", "--seed", 3, *SHORT)
    assert summary["steps"] == summary["frames"] == 32 * 16 * 16
    assert summary["updates"] == 32 and summary["seed"] == 3
    assert summary["episodes"] > 100 and 8 < summary["mean_return"] < 200
    assert summary["policy_lag_max"] >= summary["policy_lag_mean"] >= 0
    assert summary["trajectories_dropped"] == summary["actor_restarts"] == 0
    assert summary["wall_seconds"] > 0 and summary["steps_per_second"] > 0
    run = veldt.folder / "run"
    assert json.loads((run / "summary.json").read_text()) == summary
    settings = json.loads((run / "settings.json").read_text())
    assert settings["settings"]["seed"] == 3 and settings["code"]["veldt"]
    assert checkpoints.numbers(run) == [30, 32]
    assert records.read(run)[-1]["update"] == 32
    assert next((run / "tensorboard").iterdir()).stat().st_size > 1000


def test_words_without_json(veldt):
    done = veldt("train", "cartpole", "--out", "run", *SHORT)
    assert done.returncode == 0 and done.stderr == ""
    assert "mean_return" in done.stdout and "100%" in done.stdout


def test_lockstep_gives_the_same_bits_whatever_carries_them(veldt):
    veldt.summary("train", "cartpole", "--out", "a", *SHORT, *LOCKSTEP)
    veldt.summary(
        "train", "cartpole", "--out", "b", *SHORT, *LOCKSTEP, "--set", "actors.transport=tcp"
    )
    assert bits(veldt.folder / "a") == bits(veldt.folder / "b")


def test_lockstep_resumes_exactly_after_sigkill(veldt, until):
    memory = ("--set", "agent.network.core=lstm", "--set", "agent.network.core_size=16")
    longer = (
        "--set",
        "frames=40000",
        "--set",
        "learner.checkpoint_updates=20",
        *LOCKSTEP,
        *memory,
    )
    veldt.summary("train", "cartpole", "--out", "whole", *longer)
    process = veldt.start("train", "cartpole", "--out", "killed", *longer)
    killed = veldt.folder / "killed"
    until(lambda: updates(killed) > 50)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    psutil.wait_procs(family, 20)
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family)
    assert not (killed / "summary.json").exists()
    summary = veldt.summary("train", "cartpole", "--out", "killed", "--resume", *longer)
    assert summary["sessions"] == 2
    assert bits(killed) == bits(veldt.folder / "whole")
    lines = [(r["update"], r["mean_return"]) for r in records.read(killed)]
    assert lines == [(r["update"], r["mean_return"]) for r in records.read(veldt.folder / "whole")]


def test_lockstep_with_a_killed_actor_comes_to_the_same_bits(veldt, until):
    longer = ("--set", "frames=40000", "--set", "learner.checkpoint_updates=20", *LOCKSTEP)
    veldt.summary("train", "cartpole", "--out", "whole", *longer)
    process = veldt.start("train", "cartpole", "--out", "hurt", "--json", *longer)
    hurt = veldt.folder / "hurt"
    until(lambda: (hurt / "metrics.jsonl").exists() and updates(hurt) > 50)
    os.kill(until(lambda: actors(process))[0].pid, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["actor_restarts"] == 1
    assert bits(hurt) == bits(veldt.folder / "whole")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_an_interrupted_run_goes_on_where_it_was(veldt, until, number):
    frames = ("--set", "frames=100000")
    process = veldt.start("train", "cartpole", "--out", "run", *frames)
    run = veldt.folder / "run"
    until(lambda: (run / "metrics.jsonl").exists() and updates(run) > 20)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "--out run --resume" in err and "Traceback" not in err
    stopped, _, state = checkpoints.load(run)
    assert f"update {stopped}" in err.replace(",", "")
    assert state["steps"] == stopped * 256
    summary = veldt.summary("train", "cartpole", "--out", "run", "--resume", *frames)
    assert summary["updates"] == 391 and summary["steps"] == 391 * 256
    lines = [r["update"] for r in records.read(run)]
    assert lines == sorted(set(lines)) and lines[-1] == 391


def test_a_killed_actor_comes_back(veldt, until):
    del veldt.environment["OMP_NUM_THREADS"]  # as a user has it
    process = veldt.start("train", "cartpole", "--out", "run", "--set", "frames=200000", "--json")
    run = veldt.folder / "run"
    until(lambda: (run / "metrics.jsonl").exists() and updates(run) > 50)
    before = {actor.pid for actor in actors(process)}
    assert len(before) == 2
    learner = psutil.Process(process.pid)
    (zygote,) = learner.children()
    assert zygote.cmdline() == learner.cmdline()  # forked: torch was not imported again
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len({actor.pid for actor in actors(process)} - before) == 1)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["actor_restarts"] == 1
    assert summary["actor_recovery_seconds_max"] > 0
    assert summary["trajectories_dropped"] <= 1
    assert summary["updates"] == 782 and summary["steps"] == 782 * 256


@pytest.mark.parametrize(
    ("name", "word"), [("NaNReward-v0", "reward"), ("NaNObservation-v0", "observation")]
)
def test_nan_from_an_environment_names_its_place(veldt, name, word):
    environment = f"environment.id=faulty_environments:{name}"
    done = veldt("train", "cartpole", "--out", "run", "--set", environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for part in (name, word, "seed", "step 5"):
        assert part in done.stderr


@pytest.mark.parametrize("inference", ["actor", "central"])
@pytest.mark.parametrize("what", ["reward", "observation"])
def test_nan_that_an_environment_does_not_look_for_itself_is_said_to_be_its_own(
    veldt, what, inference
):
    done = veldt(
        *("train", "cartpole", "--out", "run", "--set", f"environment.id=careless/{what}"),
        *("--set", f"actors.inference={inference}"),
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"careless/{what} cannot be learnt from: " in done.stderr
    assert f"{what} must be finite" in done.stderr and "not listened to" not in done.stderr


@pytest.mark.parametrize("name", ["Killed", "Exits"])
def test_actors_that_always_die_end_the_run(veldt, name):
    done = veldt(
        "train",
        "cartpole",
        "--out",
        "run",
        "--set",
        f"environment.id=faulty_environments:{name}-v0",
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    reason = "SIGKILL" if name == "Killed" else "exit code 7"
    assert "ended 3 times" in done.stderr and reason in done.stderr


def test_an_actor_that_hangs_is_named_and_started_again(veldt):
    done = veldt(
        *("train", "cartpole", "--out", "run", "--json", *SHORT, "--seed", 5),
        *("--set", "environment.id=faulty_environments:Hangs-v0"),
        *("--set", f'environment.options.once="{veldt.folder}/once"'),
        *("--set", "actors.silence_s=1.5"),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["actor_restarts"] >= summary["actors_hung"] >= 1 and summary["updates"] == 32
    said = re.search(
        r"actor (\d) hangs in faulty_environments:Hangs-v0, environment (\d+), episode (\d+) "
        r"\(seed (\d+)\), step 5; step \d+ of unroll (\d+): nothing came from it for 1.5 s",
        done.stderr,
    )
    actor, environment, episode, seed, unroll = map(int, said.groups())
    key = Key(5).child("actor", actor).child("episodes", unroll)
    assert seed == key.child("episode", environment, episode).integer()


def test_a_slow_actor_holds_nobody_up_beyond_the_lag(veldt):
    """It makes a step in the time of twenty of the other: so they play, lag and all."""
    tasks = '[{id="faulty_environments:Slow-v0"}, {id="faulty_environments:Sound-v0"}]'
    (veldt.folder / "two.toml").write_text(
        f"frames = 51_200\nenvironment = {{tasks = {tasks}}}\n"
        "actors = {count = 2, environments = 2, unroll_length = 16}\n"
        "learner = {batch = 1, max_lag = 9}\n"
    )
    summary = veldt.summary("train", "two.toml", "--out", "run")
    slow, sound = (
        summary[f"episodes/faulty_environments:{name}-v0"] for name in ("Slow", "Sound")
    )
    assert sound > 2 * slow > 0 and 5 <= summary["policy_lag_max"] <= 9
    assert summary["actor_restarts"] == summary["trajectories_dropped"] == 0


def test_actors_keep_to_their_cores(veldt, until):
    core = max(os.sched_getaffinity(0))
    line = ("train", "cartpole", "--set", "frames=2000000", "--set")
    process = veldt.start(*line, f"actors.cores=[{core}]", "--out", "run")
    until(lambda: [actor.cpu_affinity() for actor in actors(process)] == [[core]] * 2)
    process.kill()
    done = veldt(*line, "actors.cores=[4095]", "--out", "no")
    assert done.returncode == 1 and "actors.cores: core 4095: Invalid argument." in done.stderr


def test_damaged_checkpoints(veldt):
    longer = ("--set", "frames=10000", *SHORT[2:])
    assert veldt("train", "cartpole", "--out", "run", *longer).returncode == 0
    run = veldt.folder / "run"
    (run / "summary.json").unlink()  # as if it had been killed at the end
    newest = run / "checkpoints" / "000000040" / "arrays.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    done = veldt("train", "cartpole", "--out", "run", "--resume", *longer)
    assert done.returncode == 0 and "damaged" in done.stderr
    (run / "summary.json").unlink()
    for number in checkpoints.numbers(run):
        (run / "checkpoints" / f"{number:09d}" / "state.json").write_text("{}")
    for arguments in (
        ("train", "cartpole", "--out", "run", "--resume", *longer),
        ("evaluate", "run"),
    ):
        done = veldt(*arguments)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert "no whole checkpoint is left" in done.stderr


def test_a_folder_in_use(veldt, until):
    process = veldt.start("train", "cartpole", "--out", "run")
    run = veldt.folder / "run"
    until(lambda: (run / "metrics.jsonl").exists())
    done = veldt("train", "cartpole", "--out", "run", "--resume")
    assert done.returncode == 2 and "another process is at work there" in done.stderr
    assert process.poll() is None


def test_evaluation_is_of_whole_fresh_episodes(veldt):
    veldt.summary("train", "cartpole", "--out", "run", *SHORT)
    first, again = (veldt.summary("evaluate", "run", "--episodes", 150) for _ in range(2))
    assert first == again and first["episodes"] == len(first["returns"]) == 150
    assert json.loads((veldt.folder / "run" / "evaluation.json").read_text()) == first
    assert first["episode_steps"] == first["returns"]  # a step of CartPole is worth 1
    assert first["mean_episode_steps"] == pytest.approx(first["mean_return"])
    assert [first["mean_return_low"], first["mean_return_high"]] == list(
        interval(first["returns"])
    )
    other = veldt.summary("evaluate", "run", "--episodes", 150, "--seed", 1)
    assert other["returns"] != first["returns"]
    greedy = veldt.summary("evaluate", "run", "--episodes", 20, "--policy", "greedy")
    assert greedy["mean_return"] > 0
    shown = veldt("evaluate", "run", "--episodes", 20, "--policy", "greedy").stdout
    assert "95 % interval" in shown and f"{greedy['mean_return_low']:.5g} to" in shown
    for arguments, word in (
        (("evaluate", "nowhere"), "no such file"),
        (("evaluate", "run", "--policy", "best"), "policy"),
        (("evaluate", "run", "--episodes", 0), "greater than or equal to"),
    ):
        done = veldt(*arguments)
        assert done.returncode == 2 and word in done.stderr and "Traceback" not in done.stderr


def test_trajectories_are_replayed(veldt):
    replay = ("--set", "learner.replay=20", "--set", "learner.replayed=2")
    summary = veldt.summary(
        "train", "cartpole", "--out", "run", *SHORT, "--set", "learner.batch=4", *replay
    )
    assert summary["trajectories_replayed"] == 2 * summary["updates"] == 64
    assert summary["steps"] == 32 * 2 * 8 * 16  # what was played, not what was learnt from
    # Of the last ten updates' unrolls: they are some updates older than the fresh ones.
    assert summary["replayed_lag_mean"] > summary["policy_lag_mean"] + 1
    found = records.read(veldt.folder / "run")
    assert sum(record["record_updates"] for record in found) == 32
    for name in ("policy_lag_mean", "replayed_lag_mean"):  # each record's own: all are the whole
        whole = sum(record["record_updates"] * record[name] for record in found) / 32
        assert whole == pytest.approx(summary[name])
    assert all("learner_backward_ms" in record for record in found)


def test_several_tasks_are_counted_one_by_one(veldt):
    settings = [
        *("--set", 'environment.tasks=[{id = "atari/pong"}, {id = "atari/breakout"}]'),
        *("--set", "environment.options.max_frames=400", "--set", "actors.count=2"),
        *("--set", "agent.network.popart=3e-4", "--set", "actors.environments=2"),
        *("--set", "learner.batch=2", "--set", "frames=9600"),
        *("--set", "learner.replay=0", "--set", "learner.replayed=0"),
        *("--set", "evaluation.every=9600", "--set", "evaluation.episodes=1"),
    ]
    summary = veldt.summary("train", "atari/multitask-5", "--out", "run", *settings)
    assert summary["environment"] == "2 tasks, atari/pong, atari/breakout"
    for task in ("atari/pong", "atari/breakout"):
        assert summary[f"episodes/{task}"] > 0 and f"normalised_score/{task}" in summary
        assert f"evaluation_mean_return/{task}" in summary
    assert "evaluation_mean_normalised_score" in summary
    assert records.read(veldt.folder / "run")[-1]["mean_normalised_score"] is not None
    evaluation = veldt.summary("evaluate", "run", "--episodes", 2)
    assert evaluation["tasks"].keys() == {"atari/pong", "atari/breakout"}
    assert evaluation["tasks"]["atari/pong"]["mean_episode_frames"] == 400
    assert veldt.summary("scores", "run")["games"].keys() == {"pong", "breakout"}
    assert veldt("report", "run").returncode == 0
    page = (veldt.folder / "run" / "report.html").read_text()
    assert "Evaluation: atari/breakout" in page and "mean normalised score" in page
    film = ("evaluate", "run", "--episodes", 1, "--video", "film.mp4", "--task")
    assert veldt(*film, "atari/breakout").returncode == 0
    assert "but atari/pong, atari/breakout" in veldt(*film, "atari/tennis").stderr
    (veldt.folder / "unlike.toml").write_text(
        'frames = 100\nenvironment = {tasks = [{id = "CartPole-v1"}, {id = "Acrobot-v1"}]}\n'
    )
    unlike = veldt("train", "unlike.toml")
    assert unlike.returncode == 2 and "CartPole-v1" in unlike.stderr and "Acrobot" in unlike.stderr


def test_a_training_that_diverges_says_where_and_what_is_left(veldt):
    wild = ("--set", "optimizer.learning_rate=1e30", "--set", "learner.checkpoint_updates=1")
    done = veldt("train", "cartpole", "--out", "run", *wild, "--set", "frames=8000")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for words in ("at update", "not finite: loss", "The last good checkpoint is that of update"):
        assert words in done.stderr
