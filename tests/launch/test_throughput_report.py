"""The speed and the policy lag of a training in its report: lately, and over the whole run."""

from report_pages import report

from veldt.agents.progress import Progress, Recent
from veldt.agents.settings import TrainSettings
from veldt.launch.run_report import lags
from veldt.platform.records import Records
from veldt.platform.runs import RunFolder, write_json

SETTINGS = TrainSettings.parse({"environment": {"id": "CartPole-v1"}, "frames": 4_000})


def test_the_lag_of_records_is_of_lately_and_of_older_ones_the_mean_since_the_start():
    older = [{"updates": 10, "policy_lag_mean": 1.0}, {"updates": 20, "policy_lag_mean": 2.0}]
    recent, whole = lags(older)
    assert recent == [1.0, 3.0] and whole == [1.0, 2.0]
    newer = {"updates": 40, "record_updates": 20, "policy_lag_mean": 6.0}
    recent, whole = lags([*older, newer])
    assert recent == [1.0, 3.0, 6.0] and whole == [1.0, 2.0, 4.0]


def test_a_training_under_way_is_as_fast_as_it_was_lately(tmp_path):
    for name, words in (
        ("under-way", "5 steps/s since the record before the last"),
        ("over", "60 steps/s over the whole run"),
    ):
        folder = tmp_path / name
        made = RunFolder(folder, SETTINGS.dump(), resume=False)
        records = Records(folder, 0, tensorboard=False)
        progress = Progress(updates=18, steps=1800, frames=1800, wall_seconds=10.0)
        since = Recent(progress).since
        times = {"step": 1.0}
        records.write(18, progress.summary() | since(progress, {}, times))
        progress.updates, progress.steps, progress.wall_seconds = 19, 1900, 30.0
        records.write(19, progress.summary() | since(progress, {}, times))
        records.close()
        if name == "over":
            write_json(folder / "summary.json", progress.summary() | {"steps": 1800})
        made.close()
        page, text = report(folder)[:2]
        assert words in text and "step, ms" in page and "milliseconds of an update" in text
