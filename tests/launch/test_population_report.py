"""The reports of population searches, from records that our own classes wrote."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import scipy.stats
from report_pages import report

from veldt.launch.population_curves import (
    across_seeds,
    median_interval,
    read_run,
    student_interval,
    thin,
)
from veldt.launch.population_groups import find, paired
from veldt.launch.report import write
from veldt.platform.errors import InputError
from veldt.platform.records import Records
from veldt.platform.runs import RunFolder, read_json, write_json

EVIL = "<script>alert('x')</script> & \"more\" </body>"


def settings(seed=0, generations=20, threshold=None, directions=8, method="ars", name="Hopper-v5"):
    return {
        "strategy": {"method": method, "directions": directions},
        "problem": {"kind": "episodes", "environment": {"id": name, "options": {}}},
        "evaluation": {"episodes": 4, "every": 5, "threshold": threshold},
        "seed": seed,
        "generations": generations,
        "episodes": None,
        "steps": None,
    }


def score(generation, seed, gain):
    return gain * generation + 7.0 * seed


def search(folder, *, seed=0, until=None, gain=10.0, every=5, finished=None, **over):
    """A search's folder, as the search leaves it at generation `until`; its final score."""
    document = settings(seed, **over)
    generations = document["generations"]
    until = generations if until is None else until
    run = RunFolder(folder, document, resume=False)
    records = Records(folder, 0, tensorboard=False)
    generation_records(records, 1, until, seed, gain, every)
    if finished if finished is not None else until == generations:
        best = until - until % every
        final = evaluation_record(best, until, seed, gain, -3.0)
        records.write(best, final, "final")
        summary = {
            "best_score": score(best, seed, gain),
            "evaluation_mean_return": final["mean_return"],
            "evaluation_standard_error": final["standard_error"],
            "evaluation_episodes": 4,
            "chosen_generation": best,
            "generations": until,
            "episodes": 16 * until,
            "steps": 1_600 * until,
            "failed_evaluations": 5,
            "ranks": 2,
            "lost_ranks": 1,
            "wall_seconds": 75.0,
            "fingerprint": "c0ffee" * 5,
            "seed": seed,
        }
        write_json(folder / "summary.json", summary)
    records.close()
    run.close()


def generation_records(records, first, last, seed=0, gain=10.0, every=5):
    for g in range(first, last + 1):
        line = {
            "generation": g,
            "best_fitness": score(g, seed, gain) + 30.0,
            "mean_fitness": score(g, seed, gain) - 5.0,
            "fitness_deviation": 4.0,
            "failed": int(g == 3),
            "episodes": 16 * g,
            "steps": 1_600 * g + seed,
            "steps_per_second": 5_000.0 + g,
            "outside_share": 0.05,
            "ranks": 2,
            "wall_seconds": 3.0 * g,
            "fingerprint": f"{g:030x}",
        }
        records.write(g, line)
        if g % every == 0:
            records.write(g, evaluation_record(g, g, seed, gain), "evaluation")


def evaluation_record(generation, played, seed, gain, offset=0.0):
    mean = score(generation, seed, gain) + offset
    returns = [mean - 3.0, mean - 1.0, mean + 1.0, mean + 3.0]
    return {
        "generation": generation,
        "episodes": 16 * played,
        "steps": 1_600 * played + seed,
        "mean_return": mean,
        "standard_error": float(np.std(returns, ddof=1)) / 2,
        "evaluation_episodes": 4,
        "returns": returns,
        "wall_seconds": 3.0 * played + 1,
    }


def traces(page, name):
    """The traces of a plot, as Plotly gets them."""
    found = re.search(rf'Plotly\.newPlot\(\s*"{name}",\s*', page)
    data, _ = json.JSONDecoder().raw_decode(page, found.end())
    return data


def test_a_finished_search(tmp_path):
    search(tmp_path, threshold=120.0)
    page, text, rows = report(tmp_path)
    assert "Population search ars on Hopper-v5" in text
    assert "held-out mean return 197 ± 1.291 (standard error), 4 episodes" in text
    assert "best evaluation 200 generation 20" in text
    assert "episodes to 120 240 first evaluation there: 150" in text
    assert "generations 20 of 20 episodes 320 steps 32,000" in text
    assert "failed evaluations 5" in text
    assert "ranks 2 1 rank died" in text
    assert "fingerprint c0ffeec0ffee" in text
    assert "Not finished" not in text
    assert ["10", "160", "16,000", "100", "1.291", "95.891", "104.11", "100"] in [
        row[:8] for row in rows
    ]
    assert page.count('<tr class="best">') == 1
    assert ["strategy.directions", "8"] in rows
    line = next(t for t in traces(page, "learning-curve") if "interval" in t.get("name", ""))
    assert line["x"] == [80, 160, 240, 320]
    assert line["y"] == [50.0, 100.0, 150.0, 200.0]
    star = next(t for t in traces(page, "learning-curve") if t.get("name") == "chosen")
    assert star["x"] == [320]
    assert "threshold 120" in page
    best = next(t for t in traces(page, "fitness") if t.get("name") == "best member")
    assert best["y"][:2] == [40.0, 50.0]
    outside = [t["y"] for t in traces(page, "speed")]
    assert [5.0] * 20 in outside and [5000.0 + g for g in range(1, 21)] in outside


def test_the_same_records_make_the_same_file(tmp_path):
    search(tmp_path)
    assert report(tmp_path)[0] == report(tmp_path)[0]


def test_a_search_under_way(tmp_path):
    search(tmp_path, until=7, threshold=120.0)
    _, text, _ = report(tmp_path)
    assert "Not finished: 7 of 20 generations so far" in text
    assert "held-out mean return - when the search is over" in text
    assert "best evaluation 50 generation 5" in text
    assert "episodes to 120 - not reached so far" in text
    assert "failed evaluations 1" in text
    assert "Held-out evaluation" not in text


@pytest.mark.parametrize("until", [0, 1, 5])
def test_a_search_that_has_only_begun(tmp_path, until):
    search(tmp_path, until=until)
    page, text, _ = report(tmp_path)
    assert ("Nothing is recorded yet" in text) == (until == 0)
    assert ("has not been evaluated yet" in text) == (until < 5)
    assert ("No generation has been scored yet" in text) == (until == 0)
    assert ("newPlot" in page.partition("</head>")[2]) == (until > 0)


def test_what_is_missing_in_records_is_left_out(tmp_path):
    run = RunFolder(tmp_path, settings(), resume=False)
    records = Records(tmp_path, 0, tensorboard=False)
    nothing = dict.fromkeys(("best_fitness", "mean_fitness", "fitness_deviation", "fingerprint"))
    plain = {"episodes": 0, "steps": 0, "failed": 8, "ranks": 1, "wall_seconds": 0.0}
    records.write(1, {"generation": 1} | nothing | plain)
    failed = {"mean_return": None, "standard_error": None, "returns": [None] * 4}
    records.write(1, {"generation": 1} | plain | failed, "evaluation")
    one = {"mean_return": 3.0, "standard_error": None, "returns": [3.0], "evaluation_episodes": 1}
    records.write(2, {"generation": 2} | plain | one, "evaluation")
    records.close()
    run.close()
    page, text, rows = report(tmp_path)
    assert "failed evaluations 8" in text
    assert "best evaluation 3 generation 2" in text
    assert [row[0] for row in rows].count("2") == 1
    # Where nothing counts episodes, the curve is over generations.
    assert next(t for t in traces(page, "learning-curve") if t.get("mode") != "lines")["x"] == [2]


def test_a_resumed_search_has_a_mark_and_no_superseded_records(tmp_path):
    search(tmp_path, until=12)
    records = Records(tmp_path, 10, tensorboard=False)
    generation_records(records, 11, 15, gain=20.0)
    records.close()
    page, _, rows = report(tmp_path)
    assert [row[3] for row in rows if row and row[0] in ("5", "10", "15")] == ["50", "100", "300"]
    assert page.count('"dash":"dot"') == 2  # once against episodes, once against steps
    run = read_run(tmp_path, read_json(tmp_path / "settings.json"))
    assert [r["generation"] for r in run.metrics] == list(range(1, 16))


def test_an_evaluation_made_later_is_shown(tmp_path):
    search(tmp_path)
    returns = [1.0, 2.0, 6.0]
    again = {"returns": returns, "mean_return": 3.0, "median_return": 2.0, "episodes": 3}
    again |= {"min_return": 1.0, "max_return": 6.0, "seed": 11, "generation": 20}
    write_json(tmp_path / "evaluation.json", again)
    _, text, rows = report(tmp_path)
    assert "Played again by veldt evaluate" in text
    assert ["seed of the episodes", "11"] in rows


def test_names_stay_text(tmp_path):
    search(tmp_path / "a", name=EVIL, method=EVIL, threshold=1.0)
    search(tmp_path / "b" / EVIL.replace("/", "|") / "0", name=EVIL)
    for folder in (tmp_path / "a", tmp_path / "b"):
        page, text, _ = report(folder)
        assert "<script>alert" not in page
        assert EVIL in text


def test_students_interval_against_scipy(tmp_path):
    returns = np.array([3.0, 5.0, 4.0, 9.0, -2.0])
    record = {
        "mean_return": returns.mean(),
        "standard_error": returns.std(ddof=1) / 5**0.5,
        "evaluation_episodes": 5,
    }
    expected = scipy.stats.ttest_1samp(returns, 0.0).confidence_interval(0.95)
    assert student_interval(record) == pytest.approx((expected.low, expected.high))
    assert student_interval(record | {"standard_error": None}) is None
    assert student_interval(record | {"evaluation_episodes": 1}) is None


def test_the_interval_of_a_median_against_scipy():
    values = np.random.default_rng(1).normal(size=(9, 3))
    low, high = median_interval(values)
    for column, a, b in zip(values.T, low, high, strict=True):
        expected = scipy.stats.bootstrap(
            (column,), np.median, method="percentile", random_state=np.random.default_rng(2)
        ).confidence_interval
        # Both are order statistics of nine numbers; chance decides between neighbours.
        spread = np.sort(column)
        for mine, theirs in ((a, expected.low), (b, expected.high)):
            assert abs(np.searchsorted(spread, mine) - np.searchsorted(spread, theirs)) <= 1
    low, high = median_interval(np.array([[1.0], [2.0], [4.0]]))
    assert (low, high) == ([1.0], [4.0])
    low, high = median_interval(np.array([[3.0, 4.0]]))
    assert low.tolist() == high.tolist() == [3.0, 4.0]


def test_thinning_keeps_the_first_and_the_last():
    records = [{"n": n} for n in range(1001)]
    for limit in (2, 10, 999, 1001, 5000):
        kept = thin(records, limit)
        assert len(kept) <= limit
        assert kept[0]["n"] == 0 and kept[-1]["n"] == 1000
        assert kept == sorted(kept, key=lambda r: r["n"])


def test_seeds_of_one_search(tmp_path):
    for seed in (2, 0, 1):
        search(tmp_path / f"seed-{seed}", seed=seed, threshold=100.0)
    groups = find(tmp_path)
    assert [run.settings["seed"] for run in groups[tmp_path.name]] == [0, 1, 2]
    page, text, rows = report(tmp_path)
    assert "Population searches ars on Hopper-v5" in text
    assert "searches 3 3 finished" in text
    row = next(row for row in rows if row[0] == tmp_path.name and row[1] == "3 of 3")
    assert row[2:5] == ["204", "197 to 211", "204"]
    assert row[6:] == ["197", "211", "3 of 3", "160"]
    assert "differs from" not in text
    median = next(t for t in traces(page, "comparison-episodes") if "name" in t)
    assert median["y"] == [57.0, 107.0, 157.0, 207.0]
    assert len(traces(page, "comparison-steps")) == 3 + 2


def test_groups_are_compared_seed_by_seed(tmp_path):
    for seed in range(4):
        search(tmp_path / "full" / str(seed), seed=seed, threshold=190.0)
        search(
            tmp_path / "without" / str(seed),
            seed=seed,
            gain=8.0 + seed,
            threshold=190.0,
            directions=4,
            until=20 if seed < 3 else 10,
        )
    page, text, rows = report(tmp_path)
    assert "1 of the 8 searches not finished." in text
    groups = find(tmp_path)
    assert paired(groups["full"], groups["without"]) == [-40.0, -20.0, 0.0]
    row = next(row for row in rows if row[0] == "without - full")
    assert row[1:3] == ["3", "-20"]
    assert ["strategy.directions", "8 -> 4"] in rows
    # Two of four got there: the median seed lies between one that did and one that did not.
    full, without = (next(r for r in rows if r[:1] == [n]) for n in ("full", "without"))
    assert full[8:] == ["4 of 4", "320"]
    assert without[8:] == ["1 of 4", "-"]
    names = [t["name"] for t in traces(page, "comparison-episodes") if "name" in t]
    assert names == ["full (4)", "without (4)"]


def test_a_median_goes_as_far_as_all_seeds_have_come(tmp_path):
    search(tmp_path / "0", seed=0)
    search(tmp_path / "1", seed=1, until=10)
    search(tmp_path / "2", seed=2, until=16)
    runs = find(tmp_path)[tmp_path.name]
    x, median, low, high = across_seeds(runs, "episodes")
    assert x == [80, 160]
    assert median == [57.0, 107.0]
    assert (low, high) == ([50.0, 100.0], [64.0, 114.0])
    # Steps differ by a step from seed to seed: in between, a curve is a straight line.
    x, median, _, _ = across_seeds(runs, "steps")
    assert x[0] == 8_002 and x[-1] == 16_001
    assert median[0] == pytest.approx(57.0 + 50.0 / 8_000)
    assert across_seeds([], "steps") == ([], [], [], [])
    search(tmp_path / "3", seed=3, until=2)
    assert across_seeds(find(tmp_path)[tmp_path.name], "steps") == ([], [], [], [])
    report(tmp_path)


def test_what_is_no_group_is_refused(tmp_path):
    with pytest.raises(InputError, match="nor folders of trainings or"):
        write(tmp_path, tmp_path / "report.html")
    search(tmp_path / "0", seed=0)
    search(tmp_path / "1", seed=1, directions=5)
    with pytest.raises(InputError, match="strategy.directions: 8 -> 5.*FOLDER/GROUP/SEED"):
        write(tmp_path, tmp_path / "report.html")


def test_a_seed_counts_once(tmp_path):
    search(tmp_path / "a", seed=3)
    search(tmp_path / "b", seed=3)
    with pytest.raises(InputError, match="seed 3 is there more than once"):
        write(tmp_path, tmp_path / "report.html")


def test_other_runs_beside_the_searches_are_left_out(tmp_path):
    search(tmp_path / "0", seed=0)
    (tmp_path / "other").mkdir()
    write_json(tmp_path / "other" / "settings.json", {"settings": {"environment": {}}, "code": {}})
    assert [run.folder.name for run in find(tmp_path)[tmp_path.name]] == ["0"]
    with pytest.raises(InputError, match="of neither a training nor a search"):
        write_json(tmp_path / "other" / "settings.json", {"settings": {"strategy": {}}})
        write(tmp_path / "other", tmp_path / "other" / "report.html")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_draws_it_without_a_complaint(tmp_path):
    search(tmp_path, threshold=99.0)
    path = write(tmp_path, tmp_path / "report.html")
    options = "headless no-sandbox disable-gpu disable-quic no-first-run disable-sync "
    options += "disable-background-networking disable-component-update enable-logging=stderr "
    options += f"virtual-time-budget=4000 dump-dom user-data-dir={tmp_path / 'profile'}"
    command = ["chromium", *(f"--{option}" for option in options.split()), path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    plots = re.findall(r'<div id="([a-z-]+)" class="plotly-graph-div js-plotly-plot"', done.stdout)
    assert plots == ["learning-curve", "final", "fitness", "speed"]
    assert done.stdout.count("main-svg") >= len(plots)
