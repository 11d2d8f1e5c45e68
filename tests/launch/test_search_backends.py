"""One study on every back end: a proposer that minds the order of answers asks the same of each.

The order of results is recorded in virtual time, and forced on real processes: a trial ends when
the question has been asked that follows from the result before its own.
"""

import json
import sys
import tomllib
from pathlib import Path

import pytest

from veldt.search.coordinator import conduct
from veldt.search.journal import Journal, read
from veldt.search.settings import SearchSettings
from veldt.search.simulator import Played, Simulator
from veldt.search.study import Study
from veldt.search.trial import Outcome

TRIALS, STEPS = 6, 10
TRIAL = f"""
import json, os, pathlib, sys, time
x, workers, name = float(sys.argv[1]), int(sys.argv[2]), os.environ["VELDT_TRIAL"]
if name.startswith("trial-"):
    place = json.loads(pathlib.Path("order.json").read_text()).index(int(name[6:]))
    trials = pathlib.Path(os.environ["VELDT_FOLDER"]).parents[1]
    before = trials / f"trial-{{min(workers + place, {TRIALS}) - 1:04d}}"
    while not before.exists():
        time.sleep(0.01)
with open(os.environ["VELDT_REPORTS"], "a") as reports:
    reports.write(json.dumps({{"steps": {STEPS}, "value": -abs(x - 0.3)}}) + "\\n")
"""
RECIPE = f"""
stages = [{{method = "tpe", trials = {TRIALS}, first = 2}}]
heldout = {{finalists = 1}}

[command]
run = "{sys.executable} trial.py {{x}} WORKERS"
steps = {STEPS}

[space]
x = {{kind = "real", low = 0.0, high = 1.0}}
"""


class Uneven:
    """The same trials in virtual time, each of which takes as long as is said."""

    def __init__(self, seconds):
        self._seconds = seconds

    def play(self, job):
        score = -abs(job.settings["values"]["x"] - 0.3)
        evaluation = {"mean_return": score, "standard_error": None, "episodes": 1}
        number = job.name.removeprefix("trial-")
        seconds = self._seconds[int(number)] if number.isdigit() else 1.0
        outcome = Outcome(job.segment, score, frames=STEPS, evaluation=evaluation)
        return Played(float(seconds), outcome)


def simulated(recipe, folder, workers, seconds):
    """What is asked in virtual time, and the order of the results."""
    folder.mkdir()
    journal = Journal(folder / "study.sqlite")
    settings = SearchSettings.parse(tomllib.loads(recipe))
    study = Study(settings, folder, journal, lambda kind, body: None)
    conduct(study, Simulator(Uneven(seconds), workers))
    journal.close()
    return told(folder)


def told(folder):
    """Of a study: the points in the order of asking, the trials in that of their results."""
    events = read(folder / "study.sqlite")
    points = [event.body["point"] for event in events if event.kind == "trial"]
    names = [event.body["name"] for event in events if event.kind == "result"]
    return points, [int(name[6:]) for name in names if name.startswith("trial-")]


SLOW = [pytest.param(workers, marks=pytest.mark.slow) for workers in (1, 4)]


@pytest.mark.parametrize("workers", [2, *SLOW])
def test_a_proposer_that_minds_the_order_asks_the_same_on_each_back_end(veldt, workers):
    recipe = RECIPE.replace("WORKERS", str(workers))
    points, order = simulated(recipe, veldt.folder / "sim", workers, [5, 1, 4, 1, 3, 1])
    other, _ = simulated(recipe, veldt.folder / "other", workers, [1, 5, 1, 4, 1, 3])
    assert (points != other) == (workers > 1)  # it does mind
    assert (order != sorted(order)) == (workers > 1)
    (veldt.folder / "order.json").write_text(json.dumps(order))
    (veldt.folder / "trial.py").write_text(TRIAL)
    (veldt.folder / "order.toml").write_text(recipe)
    line = ("search", Path("order.toml"), "--out")
    veldt.summary(*line, "pool", "--workers", workers)
    veldt.summary(*line, "ranks", ranks=workers)
    for place in ("pool", "ranks"):
        asked, results = told(veldt.folder / place)
        assert asked == points, place
        # Once all is asked, who is first is nobody's business.
        sure = TRIALS - workers
        assert results[:sure] == order[:sure]
