"""Population-based training as IMPALA's authors ran it, and its schedules replayed: for real."""

import dataclasses
import json

import pytest

from veldt.launch import cookbook
from veldt.launch.trials import Trials, settings_of
from veldt.platform import checkpoints
from veldt.platform.ranks import OneRank
from veldt.search.journal import InputError, read
from veldt.search.replay import OWN, Replay, replay
from veldt.search.schedulers import pbt
from veldt.search.settings import SearchSettings
from veldt.search.supervisor import Supervisor

RECIPE = """
[[stages]]
method = "random"
trials = 4

[space]
"optimizer.learning_rate" = {kind = "log", low = 1e-3, high = 3e-2}
"agent.entropy_cost" = {kind = "log", low = 1e-4, high = 1e-1}

[scheduler]
name = "pbt"
population = 4
stretches = 4
burn_in = 1
exploit = "rival"
margin = 0.02
relative = true
mutants = "all"
mutation = 0.33
resample = 0.0

[train]
frames = 1600
environment = {id = "CartPole-v1"}
agent = {name = "impala", network = {hidden = [16]}}
actors = {count = 1, environments = 8, unroll_length = 10}
optimizer = {anneal = false}
deterministic = true
learner = {batch = 1, checkpoint_updates = 5}

[evaluation]
episodes = 4

[heldout]
tests = 2
evaluation = {episodes = 4}
"""


def events(folder, kind):
    path = folder / "study.sqlite"
    try:
        return [event for event in read(path) if event.kind == kind] if path.exists() else []
    except InputError:  # its table is just being made
        return []


def story(folder):
    """What a study came to: all but times, attempts and who worked on it."""
    view = Trials(folder, settings_of(folder)).view
    return [(t.number, t.member, t.point, t.parent, t.scores) for t in view.trials.values()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, command_line):
    line = command_line(tmp_path_factory.mktemp("pbt"))
    (line.folder / "tiny.toml").write_text(RECIPE)
    yield line, line.summary("search", "tiny.toml", "--out", "s")
    line.close()


def deepest(folder):
    """The trial with the most ancestors, and how many there are with itself."""
    view = Trials(folder, settings_of(folder)).view
    found = max(view.trials.values(), key=lambda t: (len(pbt.lineage(view, t)), t.number))
    return found, len(pbt.lineage(view, found))


@pytest.mark.slow
def test_a_killed_population_goes_on(undisturbed, until):
    line, summary = undisturbed
    arguments = ("search", "tiny.toml", "--out", "k")
    for results in (3, 8, 13):
        process = line.start(*arguments, "--resume")
        until(lambda: len(events(line.folder / "k", "result")) >= results)  # noqa: B023
        process.kill()
        process.wait()
    again = line.summary(*arguments, "--resume")
    assert again["fingerprint"] == summary["fingerprint"]
    assert story(line.folder / "k") == story(line.folder / "s")
    assert len(events(line.folder / "k", "session")) == 4
    forks = [parent for _, _, _, parent, _ in story(line.folder / "k") if parent]
    assert len(forks) >= 4 and again["heldout_episodes"] == 8


def test_on_its_own_seeds_a_replay_comes_to_the_same_bits(undisturbed):
    line, _ = undisturbed
    trial, ancestors = deepest(line.folder / "s")
    assert ancestors >= 3
    found = line.summary("study", "replay", "s", "--trial", trial.number, "--own-seeds")
    assert found["same_weights"] is True and found["legs"] == ancestors
    # The search's own checkpoint, and not one that was copied:
    home = line.folder / "s" / "replays" / f"trial-{trial.number:04d}-{trial.frames}"
    last = checkpoints.load(home / "own-seeds" / f"leg-{ancestors - 1:04d}")
    theirs = checkpoints.load(line.folder / "s" / "trials" / f"trial-{trial.number:04d}")
    assert all((last[1][name] == array).all() for name, array in theirs[1].items())
    saved = json.loads((home / "replay.json").read_text())
    assert saved["own_seeds"]["scores"][-1] == [trial.frames, trial.score]
    assert found["replays"] == 0 and found["population_score"] == trial.score
    # Were a leg's settings another's, the bits would be others.
    plan = _plan(line.folder / "s", trial.number)
    plan.folder = line.folder / "wrong"
    plan.legs[0] = dataclasses.replace(plan.legs[0], point=plan.legs[-1].point)
    supervisor = Supervisor()
    wrong = replay(plan, [OWN], OneRank(), [supervisor], retries=0)
    assert wrong["same_weights"] is False and wrong["own_seeds"]["score"] is not None


def _plan(folder, number):
    settings = settings_of(folder)
    view = Trials(folder, settings).view
    return Replay(settings, folder, view, view.trials[number])


@pytest.mark.slow
def test_a_replay_goes_on_after_sigkill_and_sigint(undisturbed, until):
    line, summary = undisturbed
    arguments = ("study", "replay", "s", "--seeds", 3, "--workers", 2)
    home = _plan(line.folder / "s", summary["best_trial"]).folder

    def legs():
        return [p for p in home.glob("seed-*/leg-*/result.json")]

    process = line.start(*arguments)
    until(lambda: len(legs()) >= 1)
    process.kill()
    process.wait()
    process = line.start(*arguments)
    until(lambda: len(legs()) >= 3 or process.poll() is not None)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "goes on where it was" in err, (out, err)
    before = {path: path.stat().st_mtime_ns for path in legs()}
    assert before
    found = line.summary(*arguments)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert found["trial"] == summary["best_trial"] and found["replays"] == 3
    assert found["population_score"] == summary["best_score"]
    assert found["heldout_mean_return"] == summary["heldout_mean_return"]
    low, high = found["replay_interval"]
    assert low <= found["replay_mean"] <= high
    # Trained once more, a replay is the same: its seeds are keys.
    scores = [one["score"] for one in json.loads((home / "replay.json").read_text())["replays"]]
    for path in home.glob("seed-1/leg-*/result.json"):
        path.unlink()
    again = line.summary(*arguments)
    assert again == found | {"report": again["report"]}
    saved = json.loads((home / "replay.json").read_text())
    assert [one["score"] for one in saved["replays"]] == scores
    report = (line.folder / "s" / "report.html").read_text()
    assert "replayed on fresh seeds" in report and f"{found['replay_mean']:.5g}" in report


def test_what_cannot_be_replayed(undisturbed):
    line, _ = undisturbed
    for words, said in (
        (("--trial", 0, "--member", 0), "name one of them"),
        (("--trial", 999), "none with a score"),
        (("--member", 4), "there are members 0 to 3"),
        (("--seeds", 0), "--seeds"),
    ):
        done = line("study", "replay", "s", *words)
        assert done.returncode == 2 and said in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    done = line("study", "replay", "nowhere")
    assert done.returncode == 2 and "no search over settings" in done.stderr


@pytest.mark.parametrize("name", ["pbt-cartpole", "pbt-atari-multitask"])
def test_the_recipes_stretches_end_at_checkpoints(name):
    """Else a stretch would be longer than meant: it ends where a checkpoint is."""
    made = SearchSettings.parse(cookbook.load(f"search/{name}", "search"))
    train = made.settings_of(made.searched.corners()[0], 0)
    frames_per_step = 4 if "atari" in name else 1
    stretch = made.frames // made.scheduler.stretches
    update = train.steps_per_update * frames_per_step
    assert stretch % (update * train.learner.checkpoint_updates) == 0
    assert made.stages[0].trials == made.scheduler.population
    assert made.scheduler.exploit == "rival" and made.scheduler.mutants == "all"
