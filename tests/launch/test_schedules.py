"""Searches whose trials come in stretches, from the command line: for real."""

import csv
import io
import itertools
import json

import pytest

from veldt.agents.settings import TrainSettings
from veldt.agents.train import train
from veldt.launch.trials import Trials
from veldt.platform import checkpoints
from veldt.platform.runs import read_settings
from veldt.search.journal import read
from veldt.search.settings import SearchSettings

RECIPE = """
[[stages]]
method = "random"
trials = 4

[space]
"optimizer.learning_rate" = {kind = "log", low = 1e-3, high = 3e-2}
"agent.discount" = {kind = "choice", values = [0.9, 0.97]}

[train]
frames = 1800
environment = {id = "CartPole-v1"}
agent = {name = "impala", network = {hidden = [16]}}
actors = {count = 1, environments = 8, unroll_length = 10}
optimizer = {anneal = false}
deterministic = true
learner = {batch = 1, checkpoint_updates = 5}

[evaluation]
episodes = 4

[heldout]
finalists = 2
validations = 1
evaluation = {episodes = 4}
"""
HALVING = 'scheduler={name = "halving", trials = 4, rungs = 2, eta = 2}'
PBT = 'scheduler={name = "pbt", population = 4, stretches = 3}'


@pytest.fixture
def recipe(veldt):
    path = veldt.folder / "tiny.toml"
    path.write_text(RECIPE)
    return path


def view(folder):
    return Trials(folder, SearchSettings.parse(read_settings(folder))).view


def weights(folder):
    return checkpoints.load(folder)[1]


def same(one, other):
    assert one.keys() == other.keys()
    return all((one[name] == other[name]).all() for name in one)


def test_halving_is_the_same_on_a_pool_and_on_ranks(veldt, recipe):
    line = ("search", recipe, "--set", HALVING)
    pool = veldt.summary(*line, "--out", "pool", "--workers", 2)
    ranks = veldt.summary(*line, "--out", "ranks", ranks=2)
    assert pool["fingerprint"] == ranks["fingerprint"]
    assert pool["steps"] == ranks["steps"] < 4 * 1800 + 3 * 1800
    reached = sorted(t.frames for t in view(veldt.folder / "pool").trials.values())
    assert reached == [900] * 2 + [1800] * 2
    # A stretch goes on from its checkpoint: the bits of a training that never stopped.
    best = veldt.folder / "pool" / "trials" / f"trial-{pool['best_trial']:04d}"
    train(TrainSettings.parse(read_settings(best)), veldt.folder / "whole", tensorboard=False)
    assert same(weights(best), weights(veldt.folder / "whole"))
    wrong = veldt("search", recipe, "--workers", 2, "--ranks", 2)
    assert wrong.returncode == 2 and "--workers" in wrong.stderr
    _extended(veldt, pool)


def _extended(veldt, pool):
    """The best of a finished study go on, and cost the difference only."""
    folder = veldt.folder / "pool"
    longer = veldt.summary("study", "extend", "pool", "--top", 1, "--to", "3_600")
    tuned = [s for s in view(folder).segments.values() if s.extension and s.purpose == "tune"]
    assert [(s.begin, s.end) for s in tuned] == [(1800, 3600)]
    trial = f"trial-{tuned[0].trial:04d}"
    settings = read_settings(folder / "trials" / trial)
    assert settings["frames"] == 3600
    train(TrainSettings.parse(settings), veldt.folder / "long", tensorboard=False)
    assert same(weights(folder / "trials" / trial), weights(veldt.folder / "long"))
    proofs = [s for s in view(folder).segments.values() if s.extension and s.purpose != "tune"]
    assert {s.end for s in proofs} == {3600} and len(proofs) == 3
    assert longer["heldout_mean_return"] > 5 and pool["fingerprint"] != longer["fingerprint"]
    report = (folder / "report.html").read_text()
    assert f"{longer['heldout_mean_return']:.5g}" in report
    again = veldt("study", "extend", "pool", "--top", 1, "--to", "3600")
    assert again.returncode == 2 and "none of the best 1 trials is shorter" in again.stderr
    status = veldt.summary("study", "status", "pool")
    assert status["finished"] and status["trials"] == 4 and status["trials_paused"] == 2
    top = veldt.summary("study", "top", "pool", "--count", 3)
    assert [row["frames"] for row in top["trials"]] == [3600, 1800, 900]
    rows = list(csv.DictReader(io.StringIO(veldt("study", "export", "pool").stdout)))
    assert len(rows) == 4 and {row["state"] for row in rows} == {"scored", "paused"}
    assert float(rows[0]["optimizer.learning_rate"]) > 0
    nothing = veldt("study", "status", "whole")
    assert nothing.returncode == 2 and "no search over settings" in nothing.stderr


def test_a_learning_rate_that_falls_cannot_be_made_longer(veldt, recipe):
    line = ("search", recipe, "--set", 'stages=[{method = "random", trials = 1}]')
    veldt.summary(*line, "--set", "train.optimizer.anneal=true", "--out", "s")
    done = veldt("study", "extend", "s", "--to", "3600")
    assert done.returncode == 2 and "optimizer.horizon_frames" in done.stderr
    assert (veldt.folder / "s" / "summary.json").exists()


def test_pbt_goes_on_after_a_kill(veldt, recipe, until):
    line = ("search", recipe, "--set", PBT, "--out", "p")
    process = veldt.start(*line)
    log = veldt.folder / "p" / "study.sqlite"

    def results():
        try:
            return [e for e in read(log) if e.kind == "result"] if log.exists() else []
        except Exception:  # its table is just being made
            return []

    until(lambda: len(results()) >= 4)
    process.kill()
    process.wait()
    summary = veldt.summary(*line, "--resume")
    found = view(veldt.folder / "p")
    forks = [trial for trial in found.trials.values() if trial.parent]
    assert forks and summary["trials"] == 4 + len(forks) and summary["failed_trials"] == 0
    for trial in forks:
        parent, frames = trial.parent
        assert frames in found.trials[parent].scores and frames in (600, 1200)
        kept = veldt.folder / "p" / "trials" / f"trial-{parent:04d}" / "kept"
        there = (kept / f"{found.trials[parent].updates[frames]:09d}").exists()
        assert there != ((parent, frames) in found.dropped)  # gone once all have passed it
    undisturbed = veldt.summary(*line[:-1], "q")
    assert undisturbed["fingerprint"] == summary["fingerprint"]
    for one, other in itertools.product(["p"], ["q"]):
        for trial in found.trials:
            name = f"trial-{trial:04d}"
            folders = [veldt.folder / each / "trials" / name for each in (one, other)]
            gone = [not checkpoints.numbers(folder) for folder in folders]
            assert gone == [(trial, -1) in found.dropped] * 2  # members that are others now
            assert any(gone) or same(*(weights(folder) for folder in folders))


@pytest.mark.slow
def test_the_median_rule_pauses_trainings_that_run(veldt, recipe):
    median = 'scheduler={name = "median", least_trials = 2, least_share = 0.2}'
    rates = '"optimizer.learning_rate" = {kind = "choice", values = [1e-6, 0.01]}'
    text = recipe.read_text().splitlines()
    recipe.write_text("\n".join(rates if "learning_rate" in row else row for row in text))
    more = ("--set", "train.frames=20_000", "--set", 'stages=[{method = "random", trials = 8}]')
    summary = veldt.summary("search", recipe, "--set", median, *more, "--out", "m")
    found = view(veldt.folder / "m")
    paused = [trial for trial in found.trials.values() if trial.state == "paused"]
    assert paused and all(0.2 * 20_000 <= t.frames < 20_000 for t in paused)
    for trial in paused:  # with a score, and a checkpoint from which it may go on
        folder = veldt.folder / "m" / "trials" / f"trial-{trial.number:04d}"
        assert trial.score is not None and checkpoints.load(folder)[2]["frames"] == trial.frames
    assert summary["failed_trials"] == 0
    assert json.loads((veldt.folder / "m" / "summary.json").read_text())["trials"] == 8
