"""The report: what is in the page, from logs and records that our own classes wrote."""

import dataclasses
import json
import re
import shutil
import statistics
import subprocess
import sys

import pytest
import report_pages

from veldt.agents.progress import Progress
from veldt.agents.settings import TrainSettings
from veldt.launch.intervals import interval
from veldt.launch.report import write
from veldt.launch.trials import Trials
from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.platform.records import Records
from veldt.platform.runs import RunFolder, write_json
from veldt.search.journal import Journal
from veldt.search.settings import SearchSettings
from veldt.search.stages import Stages
from veldt.search.view import Segment, trial_name

EVIL = "<script>alert('x')</script> & \"more\" </body>"
FRAMES = 4_000


def report(folder):
    return report_pages.report(folder)[:2]  # the page, its text


def train_settings(**over):
    data = {"environment": {"id": "CartPole-v1"}, "frames": FRAMES, "seed": 7}
    return TrainSettings.parse(data | over)


def record(folder, updates, begin=0, mean_return=20.0):
    """One session's records, an update of 100 frames each."""
    records = Records(folder, begin, tensorboard=False)
    for update in range(begin + 1, updates + 1):
        progress = Progress(
            updates=update, steps=100 * update, frames=100 * update, wall_seconds=0.5 * update
        )
        if update > 1:
            progress.count_trajectory(2, [(mean_return + update, 9)])
        losses = {"policy_loss": -3.0 * update, "entropy": 0.69, "gradient_norm": 10.0 * update}
        records.write(update, progress.summary() | losses)
    records.close()
    return progress.summary()


def run(folder, updates=40, **over):
    folder_of_run = RunFolder(folder, train_settings(**over).dump(), resume=False)
    summary = record(folder, updates) if updates else {}
    folder_of_run.close()
    return summary


def evaluation(returns):
    return {
        "episodes": len(returns),
        "steps": 900,
        "mean_return": statistics.fmean(returns),
        "standard_error": statistics.stdev(returns) / len(returns) ** 0.5,
        "median_return": sorted(returns)[len(returns) // 2],
        "min_return": min(returns),
        "max_return": max(returns),
        "returns": returns,
    }


class Study:
    """A study's folder, filled as the coordinator fills it, without training anything."""

    def __init__(self, folder, **over):
        self.folder = folder
        self.settings = SearchSettings.parse(
            {
                "train": {"frames": FRAMES, "environment": {"id": "CartPole-v1"}},
                "space": {
                    "optimizer.learning_rate": {"kind": "log", "low": 1e-4, "high": 1e-1},
                    "actors.unroll_length": {"kind": "integer", "low": 5, "high": 40},
                    "agent.discount": {"kind": "real", "low": 0.9, "high": 0.999},
                    "optimizer.name": {"kind": "choice", "values": ["rmsprop", "adam"]},
                },
                "stages": [
                    {"method": "random", "trials": 4},
                    {"method": "openai-es", "generations": 1, "pairs": 1, "sigma": 0.1},
                ],
                "heldout": {"settings": {"frames": 2 * FRAMES}},
            }
            | over
        )
        RunFolder(folder, self.settings.dump(), resume=False).close()
        self.journal = Journal(folder / "study.sqlite")
        self.searcher = Stages(
            self.settings.stages,
            self.settings.searched,
            Key(self.settings.seed).child("searcher"),
        )
        self.segments = {}  # name -> the newest
        self.session()

    def session(self):
        self.journal.append("session", workers=2)

    def start(self, worker=1, attempt=0):
        question = self.searcher.ask()
        number = question.number
        self.journal.append(
            "trial",
            number=number,
            question=number,
            point=question.point,
            parent=None,
            stage=self.searcher.stage_of(number),
            member=0,
        )
        self.segment(trial_name(number), number, "tune")
        self.again(number, worker, attempt)
        return number

    def segment(self, name, trial, purpose):
        made = Segment(len(self.segments), trial, purpose, 0, 0, FRAMES)
        self.journal.append("segment", **dataclasses.asdict(made))
        self.segments[name] = made.number

    def again(self, number, worker=1, attempt=0, name=None):
        name = name or trial_name(number)
        where = {"segment": self.segments[name], "name": name}
        self.journal.append("start", **where, attempt=attempt, worker=worker)

    def fail(self, number, reason, attempt=0, name=None):
        name = name or trial_name(number)
        where = {"segment": self.segments[name], "name": name}
        self.journal.append("fail", **where, attempt=attempt, reason=reason)

    def tell(self, number, score, reason=""):
        folder = self.folder / "trials" / f"trial-{number:04d}"
        if score is not None:
            folder.mkdir(parents=True)
            record(folder, 20, mean_return=score)
        self.result(trial_name(number), **self.answer(score, reason))
        self.searcher.tell(number, score)

    def result(self, name, **body):
        self.journal.append("result", segment=self.segments[name], name=name, **body)

    def answer(self, score, reason=""):
        scored = score is not None
        return {
            "score": score,
            "reason": reason,
            "frames": FRAMES if scored else 0,
            "summary": {"steps": 2_000, "wall_seconds": 1.25} if scored else {},
            "evaluation": evaluation([score - 1, score, score + 1]) if scored else {},
        }

    def prove(self, returns):
        self.segment("winner", self.searcher.best.number, "test")
        self.again(0, name="winner")
        run(self.folder / "winner")
        body = self.answer(sum(returns) / len(returns)) | {"evaluation": evaluation(returns)}
        self.result("winner", **body)

    def end(self):
        self.journal.append("pause")
        write_json(self.folder / "summary.json", {"trials": len(self.journal.events)})


def whole(folder):
    """A study that is over: six trials, the second failed, the third best."""
    study = Study(folder)
    for score in (30.0, None, 81.5, 42.0, 50.0, 60.0):
        number = study.start(worker=1 + len(study.journal.events) % 2)
        if score is None:
            study.fail(number, f"Diverged: {EVIL}")
        study.tell(number, score, f"Diverged: {EVIL}" if score is None else "")
    study.prove([60.0, 70.0, 75.0])
    study.end()
    return study


def test_a_finished_training(tmp_path):
    summary = run(tmp_path / "run", agent={"name": "impala", "discount": 0.75})
    write_json(tmp_path / "run" / "summary.json", summary | {"sessions": 1})
    returns = [float(value) for value in range(10, 50)]
    write_json(
        tmp_path / "run" / "evaluation.json",
        {"update": 40, "policy": "greedy", "seed": 3} | evaluation(returns),
    )
    page, text = report(tmp_path / "run")
    for said in ("CartPole-v1", "impala", "of 4,000, 4,000 steps", "00:20", "200", "Not finished"):
        assert (said in text) == (said != "Not finished"), said
    low, high = interval(returns)
    assert f"{low:.5g} to {high:.5g}" in text and low < 29.5 < high
    assert "mean return 29.5" in text and "greedy" in text
    assert "agent.discount 0.75" in text and "policy entropy, nats" in page
    assert f"veldt report {tmp_path / 'run'}" in text
    assert page == report(tmp_path / "run")[0]  # the same data, the same file


@pytest.mark.parametrize("updates", [0, 1, 2])
def test_a_training_that_has_just_begun(tmp_path, updates):
    run(tmp_path / "run", updates)
    _, text = report(tmp_path / "run")
    assert ("Nothing is recorded yet" in text) == (updates == 0)
    assert ("Not finished: 100 of 4,000 frames" in text) == (updates == 1)
    assert ("No episode has ended yet" in text) == (updates < 2)
    assert ("Too few records" in text) == (updates == 1)


def test_a_resumed_training_leaves_out_what_was_superseded(tmp_path):
    run(tmp_path / "run", 20)
    record(tmp_path / "run", 30, begin=10, mean_return=500.0)
    page, text = report(tmp_path / "run")
    assert "Not finished: 3,000 of 4,000 frames" in text and "resumed" in page
    drawn = re.search(
        r'"x":(\[[^]]*\]),"y":(\[[^]]*\])', page[page.index('id="learning-curve"') :]
    )
    assert json.loads(drawn[1]) == [100 * update for update in range(2, 31)]
    assert json.loads(drawn[2])[8:10] == [30.0, 511.0]


def test_a_finished_search(tmp_path):
    whole(tmp_path / "study")
    page, text = report(tmp_path / "study")
    assert "best score 81.5 trial 2" in text
    assert "held-out mean return 68.333 of the winner, trained again" in text
    assert "trials 6 1 failed" in text and "stages random, openai-es" in text
    assert "difference 13.167" in text and "chosen among 5 scores" in text
    assert "heldout.settings (frames: 4000 -> 8000)" in text
    assert "Diverged: " + " ".join(EVIL.split()) in text  # as text, in the table
    assert EVIL not in page and "<script>alert" not in page
    assert "u003cscript" not in page.partition("</style>")[2].partition("</script>")[2]  # in plots
    for name in ("scores", "parallel", "score-by-setting", "trial-curves", "timeline"):
        assert f'id="{name}"' in page, name
    assert page == report(tmp_path / "study")[0]


def test_stages_and_times_of_trials(tmp_path):
    study = whole(tmp_path / "study")
    trials = Trials(tmp_path / "study", study.settings)
    assert [trial.stage for trial in trials.all.values()] == ["random"] * 4 + ["openai-es"] * 2
    assert [trial.number for trial in trials.scored] == [2, 5, 4, 3, 0]
    assert trials.all[1].state == "failed" and "alert" in trials.all[1].reason
    assert [span.name for span in trials.spans] == [*map(trial_name, range(6)), "winner"]
    assert [span.ending for span in trials.spans][:3] == ["done", "failed", "done"]
    assert trials.steps == 6 * 2_000 and not trials.at_work


def test_a_search_under_way(tmp_path):
    study = Study(tmp_path / "study")
    study.tell(study.start(), 33.25)
    study.start(worker=2)
    page, text = report(tmp_path / "study")
    assert "Not finished: 1 of 2 trials asked for so far done, 1 under way" in text
    assert "best score 33.25 trial 0" in text and "held-out mean return -" in text
    assert "not been trained again" in text and "1 random under way - 1" in text


def test_a_search_without_a_trial(tmp_path):
    Study(tmp_path / "study")
    assert "No trial has been asked for yet" in report(tmp_path / "study")[1]
    (tmp_path / "study" / "study.sqlite").unlink()
    assert "No trial has been asked for yet" in report(tmp_path / "study")[1]


def test_a_search_whose_trials_all_failed(tmp_path):
    study = Study(tmp_path / "study", stages=[{"method": "random", "trials": 2}])
    for reason in ("EnvironmentFault: NaN", "its process ended with signal 9"):
        number = study.start()
        study.fail(number, reason)
        study.tell(number, None)
    study.journal.append("pause")
    page, text = report(tmp_path / "study")
    assert "Finished without a winner: every trial failed." in text
    assert "best score -" in text and "trials 2 2 failed" in text
    assert "signal 9" in text and 'id="scores"' in page and 'id="parallel"' not in page


def test_a_search_that_was_killed_stopped_and_resumed(tmp_path):
    study = Study(tmp_path / "study")
    first, second = study.start(worker=1), study.start(worker=2)
    study.session()  # killed, and gone on with
    study.again(first, worker=2)
    study.fail(first, "its process ended with signal 11")
    study.again(first, worker=2, attempt=1)
    study.tell(first, 12.0)
    study.again(second)
    study.journal.append("pause")
    trials = Trials(study.folder, study.settings)
    assert [(span.number, span.ending) for span in trials.spans] == [
        (first, "stopped"),
        (second, "stopped"),
        (first, "failed"),
        (first, "done"),
        (second, "stopped"),
    ]
    assert [trial.state for trial in trials.all.values()] == ["scored", "stopped"]
    assert trials.all[first].attempts == 2 and len(trials.sessions_s) == 2
    page, text = report(study.folder)
    assert "the search was stopped. It goes on with --resume." in text and "resumed" in page
    assert "signal 11" in text


def test_a_winner_that_could_not_be_trained_again(tmp_path):
    study = Study(tmp_path / "study")
    study.tell(study.start(), 5.0)
    study.segment("winner", study.searcher.best.number, "test")
    study.again(0, name="winner")
    assert "the winner's own training under way" in report(study.folder)[1]
    study.fail(0, "Diverged: <b>", name="winner")
    study.result("winner", **study.answer(None, "Diverged: <b>"))
    study.journal.append("pause")
    page, text = report(study.folder)
    assert "It could not be trained again on a fresh seed: Diverged: <b>" in text


@pytest.mark.parametrize("content", [None, "[]", '{"settings": 1}', '{"settings": {}}', "{"])
def test_a_folder_of_something_else(tmp_path, content):
    if content is not None:
        (tmp_path / "settings.json").write_text(content)
    with pytest.raises(InputError):
        write(tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_place_that_cannot_be_written(tmp_path):
    run(tmp_path / "run")
    with pytest.raises(InputError, match="cannot write"):
        write(tmp_path / "run", tmp_path / "no" / "such" / "report.html")


def test_the_command(tmp_path):
    run(tmp_path / "run")
    command = [sys.executable, "-m", "veldt.launch.cli", "report"]
    done = subprocess.run(
        [*command, str(tmp_path / "run"), "--out", str(tmp_path / "a b.html"), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"report": str(tmp_path / "a b.html")}
    assert "--out &#x27;" in (tmp_path / "a b.html").read_text()
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    wrong = subprocess.run([*command, str(nothing)], capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2 and "neither a training nor a search" in wrong.stderr


def test_trainings_are_compared_by_seed_and_group(tmp_path):
    for group, agent in (("with", {}), ("without", {"correction": "none"})):
        for seed in (1, 2):
            run(tmp_path / group / str(seed), seed=seed, agent={"name": "impala"} | agent)
    page, text = report(tmp_path)
    assert "4 of the 4 trainings not finished" in text
    assert "agent.correction 'v-trace' -> 'none'" in text
    assert "last 100 episodes, played by the actors" in text and page.count('"x":[') >= 6
    for group in ("with", "without"):
        for seed in (1, 2):
            folder = tmp_path / group / str(seed)
            write_json(folder / "summary.json", {})
            for update in (20, 40):
                found = evaluation([1.0 * seed, 3.0]) | {"update": update, "frames": 100 * update}
                (folder / "evaluations").mkdir(exist_ok=True)
                write_json(folder / "evaluations" / f"{update:09d}.json", found)
    _, text = report(tmp_path)
    assert "not finished" not in text and "Evaluations beside the training" in text
    assert "with 2 of 2 2.25 2 to 2.5 2.25 2 2.5" in text
    run(tmp_path / "with" / "3", seed=3, updates=0, frames=2 * FRAMES)
    with pytest.raises(InputError, match="in more than the seed"):
        report(tmp_path)


def test_a_searchs_winner_is_no_group(tmp_path):
    run(tmp_path / "plain", seed=1)
    study = whole(tmp_path / "search")
    assert (study.folder / "winner" / "settings.json").exists()
    assert "1 of the 1 trainings not finished" in report(tmp_path)[1]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_draws_it_without_a_complaint(tmp_path):
    whole(tmp_path / "study")
    path = write(tmp_path / "study", tmp_path / "study" / "report.html")
    click = "<script>document.querySelectorAll('.sortable th')[3].click()</script></body>"
    path.write_text(path.read_text().replace("</body></html>", f"{click}</html>"))
    page = report_pages.browsed(path, tmp_path / "profile")
    drawn = {"scores", "parallel", "timeline", "heldout", "winner-curve"}
    assert set(report_pages.plots(page)) >= drawn
    table = page.partition('<table class="sortable"')[2].partition("</table>")[0]
    rows = re.findall(r'<tr class="[a-z]*">(.*?)</tr>', table)
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in rows]
    assert [row[3] for row in cells] == ["30", "42", "50", "60", "81.5", "-"]  # as clicked
