"""What a search's report says of rungs, populations, races and importance, from logs that the
real coordinator wrote over trainings that were only calculated."""

import json
import math
import re
import shutil

import plotly.graph_objects as go
import pytest
import report_pages
from simulated_study import Landscape, simulated

from veldt.launch.lineage_plot import schedule
from veldt.launch.plots import resumptions
from veldt.launch.replicates import Replicates, drop_outs, validations
from veldt.launch.report import write
from veldt.launch.trials import Trials
from veldt.platform.runs import read_json, write_json
from veldt.search.schedulers.pbt import lineage

HALVING = {"name": "halving", "trials": 9, "rungs": 3}
PBT = {"name": "pbt", "population": 6, "stretches": 5}
RACE = {"finalists": 5, "validations": 7, "tests": 3}


def test_rungs(tmp_path):
    settings = simulated(tmp_path, HALVING, 9, landscape=Landscape(noise=0.0))
    page, text, rows = report_pages.report(tmp_path)
    at = next(index for index, row in enumerate(rows) if row[:2] == ["frames", "began with it"])
    # (9, 900) -> (3, 2700) -> (1, 8100), and without noise no two change places.
    assert [row[:5] for row in rows[at + 1 : at + 4]] == [
        ["900", "9", "9", "3", "0.33"],
        ["2,700", "0", "3", "1", "0.33"],
        ["8,100", "0", "1", "0", "-"],
    ]
    view = Trials(tmp_path, settings).view
    at_first = sorted((t.scores[900] for t in view.trials.values()), reverse=True)
    assert rows[at + 1][5] == f"{at_first[0]:.5g}" and rows[at + 1][7] == f"{at_first[2]:.5g}"
    assert 'id="rungs"' in page and 'id="lineage"' not in page
    assert "came to the end" in page and "stayed so far" in page


@pytest.mark.parametrize(("noise", "low", "high"), [(0.0, 1.0, 1.0), (1000.0, -0.7, 0.7)])
def test_whether_rungs_keep_the_order(tmp_path, noise, low, high):
    simulated(tmp_path, {"name": "asha", "eta": 2}, 30, landscape=Landscape(noise=noise))
    rows = report_pages.report(tmp_path)[2]
    at = next(index for index, row in enumerate(rows) if row[-1] == "order kept")
    assert int(rows[at + 1][3]) >= 10 and low <= float(rows[at + 1][-1]) <= high


@pytest.mark.parametrize("scheduler", ["whole", {"name": "median"}, PBT])
def test_no_rungs_where_there_are_none(tmp_path, scheduler):
    simulated(tmp_path, scheduler, 6)
    page, text, _ = report_pages.report(tmp_path)
    assert 'id="rungs"' not in page and " Rungs " not in text
    assert ('id="lineage"' in page) == (scheduler is PBT)


def test_the_lineage_and_the_schedule_of_the_winner(tmp_path):
    settings = simulated(tmp_path, PBT, 6)
    page, text, _ = report_pages.report(tmp_path)
    trials = Trials(tmp_path, settings)
    forks = sum(trial.parent is not None for trial in trials.view.trials.values())
    assert forks > 2 and f"it happened {forks} times" in text
    best = max(
        (t for t in trials.view.trials.values() if t.parent is not None),
        key=lambda t: (t.frames, t.score or 0.0),
    )
    parts = schedule(lineage(trials.view, best))
    assert parts[0][0] == 0 and parts[-1][1] == best.frames and len(parts) > 1
    for (_, end, before), (begin, _, after) in zip(parts, parts[1:], strict=False):
        assert begin == end and after.parent == (before.number, end)
    assert 'id="schedule"' in page and "lived through" in text


def test_a_race_is_shown_as_it_was_run(tmp_path):
    settings = simulated(tmp_path, trials=14, landscape=Landscape(noise=12.0), heldout=RACE)
    trials = Trials(tmp_path, settings)
    found = validations(trials.view)
    scores = {trial: [body["score"] for body in bodies] for trial, bodies in found.items()}
    assert len(scores) == 5
    out = drop_outs(scores, 7)
    assert out and len({len(s) for s in scores.values()}) > 1
    longest = max(map(len, scores.values()))
    assert {t: len(s) for t, s in scores.items()} == {t: out.get(t, longest) for t in scores}
    page, text, rows = report_pages.report(tmp_path)
    at = next(index for index, row in enumerate(rows) if row[-1] == "in the race")
    shown = {int(row[0]): row for row in rows[at + 1 : at + 6]}
    for trial, some in scores.items():
        mean = math.fsum(some) / len(some)
        assert shown[trial][2] == str(len(some)) and shown[trial][3] == f"{mean:.5g}"
        fate = f"dropped out after {out[trial]}" if trial in out else "to the end"
        assert shown[trial][-1] == ("won" if trial == trials.best.number else fate)
    assert 'id="race"' in page
    # All tests of the winner, not the first only: what the summary says.
    summary = read_json(tmp_path / "summary.json")
    held = summary["heldout_mean_return"]
    assert f"held-out mean return {held:.5g} of the winner, trained again 3 times" in text
    difference = summary["best_score"] - held
    said = f"the optimism of the selection is {difference:.5g}"
    assert (said if difference >= 0 else f"{-difference:.5g} more than its score") in text
    assert f"On 3 seeds that nothing was chosen by it came to {held:.5g}" in text
    assert f"the highest mean won: {summary['validation_mean_return']:.5g}" in text


def test_a_failed_replicate_is_counted(tmp_path):
    class Fails(Landscape):
        def play(self, job):
            played = super().play(job)
            failing = re.fullmatch(r"validate-\d+-1|winner-0-2", job.name)
            if failing and not self.seen:
                self.seen = True
                return type(played)(0.1, self.lost(job), ())
            return played

        def lost(self, job):
            return type(self.outcome(job, 1))(job.segment, None, "Diverged: inf")

    landscape = Fails()
    landscape.seen = False
    simulated(tmp_path, trials=6, landscape=landscape, heldout=RACE | {"finalists": 2})
    _, text, rows = report_pages.report(tmp_path)
    at = next(index for index, row in enumerate(rows) if row[-1] == "in the race")
    assert "failed" in rows[at] and sorted(row[3] for row in rows[at + 1 : at + 3]) == ["0", "1"]


def test_intervals_between_trainings():
    three = Replicates((1.0, 2.0, 6.0))
    half = 4.302652729911275 * math.sqrt(7.0) / math.sqrt(3.0)  # t of 2 degrees, 97.5 %
    assert three.interval == pytest.approx((3.0 - half, 3.0 + half))
    assert Replicates((4.0,)).interval is None and Replicates(()).mean is None
    assert Replicates((4.0, 4.0)).interval == (4.0, 4.0)


def test_importance_is_said_or_why_not(tmp_path):
    simulated(tmp_path / "few", trials=19)
    _, text, _ = report_pages.report(tmp_path / "few")
    assert "It takes 20 trials of one length, and there are 19." in text
    simulated(tmp_path / "enough", {"name": "asha"}, trials=40)
    page, text, _ = report_pages.report(tmp_path / "enough")
    assert "the best 5 of 40 trials of 900 frames" in text
    assert "beyond it here: optimizer.learning_rate." in text
    figure = page[page.index('id="importance"') :]
    names = re.search(r'"y":(\["[^]]*\])', figure)
    assert json.loads(names[1])[0] == "optimizer.learning_rate"


def test_the_border_is_named_if_the_summary_names_it(tmp_path):
    simulated(tmp_path, trials=3)
    assert "At the border" not in report_pages.report(tmp_path)[1]
    summary = read_json(tmp_path / "summary.json")
    write_json(tmp_path / "summary.json", summary | {"at_border": ["optimizer.learning_rate"]})
    assert "At the border: optimizer.learning_rate." in report_pages.report(tmp_path)[1]


@pytest.mark.parametrize("events", range(1, 60, 7))
@pytest.mark.parametrize("scheduler", [HALVING, PBT, {"name": "median"}], ids=lambda s: s["name"])
def test_a_study_at_any_moment_has_a_report(tmp_path, scheduler, events):
    settings = simulated(tmp_path, scheduler, 9, events=events, heldout=RACE)
    paused = Trials(tmp_path, settings).count("paused")
    text = report_pages.report(tmp_path)[1]
    assert (f", {paused} paused" in text) == bool(paused and "Not finished" in text)


def test_one_that_was_resumed_often_says_so_once():
    figure = go.Figure()
    resumptions(figure, [10.0, 10.01, 10.02, 60.0], 100.0, "resumed")
    assert [shape.x0 for shape in figure.layout.shapes] == [10.0, 60.0]
    assert [trace.name for trace in figure.data] == ["resumed, 4 times"]
    assert not figure.layout.annotations
    resumptions(figure, [], 100.0, "resumed")
    assert len(figure.data) == 1


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [({"name": "asha"}, {"rungs", "importance"}), (PBT, {"lineage", "schedule"})],
    ids=["asha", "pbt"],
)
def test_a_browser_draws_them_without_a_complaint(tmp_path, scheduler, expected):
    landscape = Landscape(worst=10**-1.5)
    simulated(tmp_path, scheduler, 30, landscape=landscape, heldout=RACE | {"finalists": 3})
    page = report_pages.browsed(write(tmp_path, tmp_path / "report.html"), tmp_path / "profile")
    assert set(report_pages.plots(page)) >= expected | {"race", "scores", "timeline"}
