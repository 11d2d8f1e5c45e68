"""Searches over a program of somebody else's, from the command line: for real."""

import contextlib
import json
import signal
import subprocess
import sys

import psutil
import pytest
import report_pages

from veldt.launch.trials import Trials
from veldt.platform.runs import read_settings
from veldt.platform.zygote import child_environment
from veldt.search.journal import read
from veldt.search.settings import SearchSettings

TRAINER = """
# Fits a line by noisy gradients; its random numbers go on with its checkpoint.
import json, os, pathlib, random, sys, time
assert not [name for name in os.environ if name.startswith(("OMPI_", "PMIX_", "PMI_"))]
rate, folder, seed, end = float(sys.argv[1]), pathlib.Path(sys.argv[2]), *map(int, sys.argv[3:])
random.seed(seed)
state = {"w": 0.0, "b": 0.0, "steps": 0, "random": random.getstate()}
if (folder / "state.json").exists():
    state = json.loads((folder / "state.json").read_text())
    version, numbers, gauss = state["random"]
    random.setstate((version, tuple(numbers), gauss))
while state["steps"] < end:
    x = random.uniform(-1, 1)
    error = state["w"] * x + state["b"] - (3 * x - 1 + random.gauss(0, 0.1))
    state["w"] -= rate * error * x
    state["b"] -= rate * error
    state["steps"] += 1
    if state["steps"] % 10 == 0:
        state["random"] = random.getstate()
        (folder / "partial").write_text(json.dumps(state))
        os.replace(folder / "partial", folder / "state.json")
        value = -((state["w"] - 3) ** 2) - (state["b"] + 1) ** 2
        with open(os.environ["VELDT_REPORTS"], "a") as reports:
            reports.write(json.dumps({"steps": state["steps"], "value": value}) + "\\n")
        time.sleep(float(os.environ.get("SLEEP", "0")))
        if os.path.exists(os.environ["VELDT_PAUSE"]):
            break
"""
RECIPE = f"""
stages = [{{method = "random", trials = 7}}]

[command]
run = "{sys.executable} trainer.py {{lr}} {{folder}} {{seed}} {{steps}}"
steps = 180

[space]
lr = {{kind = "log", low = 1e-3, high = 0.5}}

[heldout]
finalists = 2
validations = 1
"""
ASHA = 'scheduler={name = "asha", rungs = 2}'
PBT = 'scheduler={name = "pbt", population = 4, stretches = 3}'


@pytest.fixture
def recipe(veldt):
    (veldt.folder / "trainer.py").write_text(TRAINER)
    path = veldt.folder / "line.toml"
    path.write_text(RECIPE)
    return path


def view(folder):
    return Trials(folder, SearchSettings.parse(read_settings(folder))).view


def state(folder):
    return json.loads((folder / "guest" / "state.json").read_text())


@pytest.mark.slow
def test_asha_is_the_same_on_a_pool_and_on_ranks(veldt, recipe):
    line = ("search", recipe, "--set", ASHA)
    pool = veldt.summary(*line, "--out", "pool", "--workers", 2)
    ranks = veldt.summary(*line, "--out", "ranks", ranks=2)
    assert pool["failed_trials"] == ranks["failed_trials"] == 0
    found = view(veldt.folder / "pool")
    assert sorted(t.frames for t in found.trials.values())[-2:] == [180, 180]
    proofs = 3 * 180
    assert pool["steps"] == sum(t.frames for t in found.trials.values()) + proofs
    # In stretches it comes to the same as in one go, and on other seeds to something else.
    best = veldt.folder / "pool" / "trials" / f"trial-{pool['best_trial']:04d}"
    settings = read_settings(best)
    values = (settings["values"]["lr"], veldt.folder / "whole", settings["seed"], 180)
    (veldt.folder / "whole").mkdir()
    subprocess.run(
        [sys.executable, veldt.folder / "trainer.py", *map(str, values)],
        env=child_environment() | {"VELDT_REPORTS": "/dev/null", "VELDT_PAUSE": "/nowhere"},
        check=True,
    )
    assert state(best) == json.loads((veldt.folder / "whole" / "state.json").read_text())
    held = veldt.folder / "pool" / "winner"
    assert read_settings(held)["seed"] != settings["seed"] and state(held) != state(best)
    longer = veldt.summary("study", "extend", "pool", "--top", 1, "--to", "360")
    assert longer["heldout_mean_return"] is not None
    assert max(t.frames for t in view(veldt.folder / "pool").trials.values()) == 360
    report = (veldt.folder / "pool" / "report.html").read_text()
    assert "trainer.py" in report and "trial-curves" in report
    # One that begins anew each time comes to the same, and costs more.
    anew = veldt.summary(*line, "--out", "anew", "--set", "command.resume=false", "--workers", 2)
    again = view(veldt.folder / "anew")
    ends = [s.end for s in again.segments.values() if s.purpose == "tune"]
    assert anew["steps"] == sum(ends) + proofs > sum(t.frames for t in again.trials.values())
    for number, trial in again.trials.items():
        same = found.trials[number].scores
        assert all(score == same[at] for at, score in trial.scores.items() if at in same)


def test_pbt_goes_on_after_kills(veldt, recipe, until):
    line = ("search", recipe, "--set", PBT)
    undisturbed = veldt.summary(*line, "--out", "q")
    veldt.environment["SLEEP"] = "0.1"
    process = veldt.start(*line, "--out", "p")
    log = veldt.folder / "p" / "study.sqlite"

    def guests():
        found = []
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has just ended
                found += [child] if "trainer.py" in " ".join(child.cmdline()) else []
        return found

    def events(kind):
        try:
            return [e for e in read(log) if e.kind == kind] if log.exists() else []
        except Exception:  # its table is just being made
            return []

    until(guests)[0].send_signal(signal.SIGKILL)
    until(lambda: len(events("fail")) == 1 and len(events("result")) >= 4)
    last = until(guests)
    process.kill()
    process.wait()
    until(lambda: not any(psutil.pid_exists(p.pid) and p.is_running() for p in last), 10)
    del veldt.environment["SLEEP"]
    summary = veldt.summary(*line, "--out", "p", "--resume")
    assert summary["failed_attempts"] == 1
    assert summary["fingerprint"] == undisturbed["fingerprint"]
    assert summary["steps"] == undisturbed["steps"]
    trials, dropped = view(veldt.folder / "p").trials, view(veldt.folder / "p").dropped
    forks = [trial for trial in trials.values() if trial.parent]
    assert forks
    for trial in trials:
        name = f"trials/trial-{trial:04d}"
        assert state(veldt.folder / "p" / name) == state(veldt.folder / "q" / name)
    for fork in forks:  # what it began with is its parent's
        kept = veldt.folder / "p" / f"trials/trial-{fork.parent[0]:04d}" / "kept"
        there = (kept / f"{fork.parent[1]:09d}" / "state.json").exists()
        assert there != (fork.parent in dropped)  # gone once all have passed it


def test_the_median_rule_pauses_it(veldt, recipe):
    veldt.environment["SLEEP"] = "0.1"
    text = recipe.read_text().splitlines()
    rates = 'lr = {kind = "choice", values = [1e-4, 0.1]}'
    recipe.write_text("\n".join(rates if row.startswith("lr") else row for row in text))
    median = 'scheduler={name = "median", least_trials = 2, least_share = 0.2}'
    summary = veldt.summary("search", recipe, "--set", median, "--out", "m", "--workers", 2)
    paused = [t for t in view(veldt.folder / "m").trials.values() if t.state == "paused"]
    assert paused and all(36 <= trial.frames < 180 for trial in paused)
    for trial in paused:  # with a score, and where its checkpoint is
        folder = veldt.folder / "m" / "trials" / f"trial-{trial.number:04d}"
        assert state(folder)["steps"] == trial.frames and trial.score is not None
    assert summary["failed_trials"] == 0


ONE_LINER = """
stages = [{method = "random", trials = 3}]
[command]
run = ["bash", "-c", 'echo "{\\"score\\": -$(( ({x} - 4) * ({x} - 4) ))}" >> $VELDT_REPORTS']
steps = 1
[space]
x = {kind = "integer", low = 0, high = 9}
"""


def test_a_line_of_shell(veldt):
    (veldt.folder / "shell.toml").write_text(ONE_LINER)
    summary = veldt.summary("search", "shell.toml", "--out", "s")
    x = summary["best_settings"]["x"]
    assert summary["best_score"] == summary["heldout_mean_return"] == -((x - 4) ** 2)
    _, text, _ = report_pages.report(veldt.folder / "s")
    assert "held-out score" in text and "said last" in text
    assert "mean return" not in text and "in the episodes" not in text
    failing = ('command.run=["bash", "-c", "echo first; echo last words; exit 7"]',)
    done = veldt("search", "shell.toml", "--out", "f", "--set", *failing)
    assert done.returncode == 1 and "exit code 7:\nfirst\nlast words" in done.stderr
    starts = [e for e in read(veldt.folder / "f" / "study.sqlite") if e.kind == "start"]
    assert len(starts) == 3 * 3  # of each trial, with its two retries
    done = veldt("search", "shell.toml", "--out", "n", "--set", 'command.run="pyhton"')
    assert done.returncode == 2 and "'pyhton'" in done.stderr
    assert not (veldt.folder / "n").exists()


BROKEN = {
    "begins": ("reports.write(", "print("),
    "goes on": ('if (folder / "state.json").exists():', "if False:"),
    "cut off": ("random.setstate(", "print("),
    "pause": ('os.path.exists(os.environ["VELDT_PAUSE"])', "False"),
}


def test_a_check_says_what_a_command_does_not_do(veldt, recipe):
    line = ("check", "command", recipe, "--steps", 60)
    good = veldt(*line)
    assert good.returncode == 0 and good.stdout.count("keeps its contract") == 6, good.stdout
    for word, (old, new) in BROKEN.items():
        assert old in TRAINER
        (veldt.folder / "trainer.py").write_text(TRAINER.replace(old, new))
        bad = veldt(*line)
        assert bad.returncode == 1 and "FAILS" in bad.stdout, word
        assert "expected" in bad.stdout.partition("FAILS")[2]
    wrong = veldt("check", "command", "quickstart")
    assert wrong.returncode == 2 and "no [command]" in wrong.stderr
