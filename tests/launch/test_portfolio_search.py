"""A search that begins with what past ones found, from the command line: for real."""

import shutil
import signal

import pytest

from veldt.platform.runs import read_settings
from veldt.search.journal import Journal, read

RECIPE = """
[[stages]]
method = "portfolio"
studies = ["old"]
trials = 3

[[stages]]
method = "nelder-mead"
trials = 4

[space]
"optimizer.learning_rate" = {kind = "log", low = 1e-3, high = 3e-2}
"agent.discount" = {kind = "choice", values = [0.9, 0.97]}

[train]
frames = 1200
environment = {id = "CartPole-v1"}
agent = {name = "impala", network = {hidden = [16]}}
actors = {count = 1, environments = 8, unroll_length = 10}
deterministic = true
learner = {batch = 1}

[evaluation]
episodes = 2

[heldout]
evaluation = {episodes = 2}
"""
RATES = (0.002, 0.02, 0.9)  # the best first; the last is outside


def past(folder):
    folder.mkdir()
    journal = Journal(folder / "study.sqlite")
    for number, rate in enumerate(RATES):
        point = {"agent.discount": 0.97, "optimizer.learning_rate": rate}
        journal.add("trial", number=number, point=point, question=number)
        segment = {"number": number, "trial": number, "purpose": "tune", "replicate": 0}
        journal.add("segment", **segment, begin=0, end=1200)
        journal.add("result", segment=number, score=-float(number), frames=1200, summary={})
    journal.commit()
    journal.close()


def asked(folder):
    path = folder / "study.sqlite"
    events = read(path) if path.exists() else []
    return [event.body["point"] for event in events if event.kind == "trial"]


@pytest.mark.slow
def test_past_studies_are_read_once(veldt, until):
    (veldt.folder / "tiny.toml").write_text(RECIPE)
    past(veldt.folder / "old")
    done = veldt("search", "tiny.toml", "--out", "whole")
    assert done.returncode == 0, done.stderr
    assert "old: 1 of 3 trials are no points of this space" in done.stderr
    whole = asked(veldt.folder / "whole")
    assert [point["optimizer.learning_rate"] for point in whole[:2]] == [0.002, 0.02]
    (stage, _) = read_settings(veldt.folder / "whole")["stages"]
    assert stage["points"] == whole[:2] and len(whole) == 7

    process = veldt.start("search", "tiny.toml", "--out", "cut")
    until(lambda: (veldt.folder / "cut" / "trials" / "trial-0001").exists())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "--resume" in err
    shutil.rmtree(veldt.folder / "old")
    veldt.summary("search", "tiny.toml", "--out", "cut", "--resume")
    assert asked(veldt.folder / "cut") == whole
    again = veldt("search", "tiny.toml", "--out", "another")
    assert again.returncode == 2 and "old/study.sqlite: no such file" in again.stderr
