"""Checkpoints that may go, and that nobody misses them."""

import json
from pathlib import Path

import pytest

from tests.reference.simulated_curves import Curves, R, run, settings, spent
from veldt.launch.console import Console
from veldt.launch.studies import Progress
from veldt.platform.errors import Interrupted, SettingsError
from veldt.platform.keys import Key
from veldt.search.journal import read
from veldt.search.keep_settings import KeepSettings
from veldt.search.retention import OWN, Item, expendable
from veldt.search.schedulers.scheduler import promotable
from veldt.search.settings import SearchSettings
from veldt.search.view import View
from veldt.search.works.kept import kept

SIZE = 1000  # bytes of a checkpoint
PBT = {"name": "pbt", "population": 6, "stretches": 9}


class OnDisk(Curves):
    """Trainings that leave checkpoints, and demand those that they begin with."""

    def __init__(self, **more):
        super().__init__(**more)
        self.anew, self.begun = 0, 0

    def play(self, job):
        folder = Path(job.folder)
        own = folder / "checkpoints" / "a.safetensors"
        if job.parent is not None and not own.exists():
            assert kept(Path(job.parent[0]), job.parent[1]).exists(), "its parent's is gone"
        self.begun += 1
        self.anew += not own.exists() and (folder / "begun").exists()
        own.parent.mkdir(parents=True, exist_ok=True)
        (folder / "begun").touch()
        own.write_bytes(b"x" * SIZE)
        played = super().play(job)
        if job.keep:
            place = kept(folder, played.outcome.summary["updates"])
            place.mkdir(parents=True, exist_ok=True)
            (place / "a.safetensors").write_bytes(b"x" * SIZE)
        return played


def left(folder):
    """(own, copies) on the disk."""
    own = list(folder.glob("trials/*/checkpoints/*"))
    return len(own), len(list(folder.glob("trials/*/kept/*/*")))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_population_keeps_what_forks_may_begin_with(tmp_path, workers):
    more = {"keep": {"best": 2}}
    study, _, _ = run(tmp_path / "s", settings(PBT, **more), OnDisk(noise=20.0), workers=workers)
    forks = [trial for trial in study.view.trials.values() if trial.parent]
    assert len(forks) > 5
    own, copies = left(tmp_path / "s")
    assert copies <= 6  # the last stretch's
    assert own <= 6 + 2  # of those that are members now, and of the best
    without, _, _ = run(tmp_path / "w", settings(PBT), Curves(noise=20.0), workers=workers)
    assert [t.scores for t in without.view.trials.values()] == [
        t.scores for t in study.view.trials.values()
    ]


def test_over_the_budget_the_least_promising_go_and_begin_anew(tmp_path, capsys):
    scheduler = {"name": "asha", "rungs": 4}
    landscape = OnDisk(noise=30.0)
    keep = {"gigabytes": 6 * SIZE / 1e9, "best": 3}
    study, summary, _ = run(tmp_path / "s", settings(scheduler, keep=keep), landscape)
    assert left(tmp_path / "s")[0] <= 6
    for trial in study.view.scored[:3]:
        assert (tmp_path / "s" / "trials" / f"trial-{trial.number:04d}" / "checkpoints").exists()
    assert landscape.anew > 0  # somebody was promoted after all
    begun = [s for s in study.view.segments.values() if s.purpose == "tune" and s.end > R // 27]
    assert sum(segment.begin == 0 for segment in begun) == landscape.anew
    cost = sum(s.end for s in begun if s.begin == 0 and s.end > R // 27)
    assert cost > 0 and study.view.given == spent(study.view)
    events = read(tmp_path / "s" / "study.sqlite")
    drops = [event.body for event in events if event.kind == "drop"]
    missed = [body["trial"] for body in drops if body["promotable"]]
    assert summary["checkpoints_dropped"] == len(drops)
    assert summary["promotable_dropped"] == len(missed) > 0
    anew = {s.trial for s in begun if s.begin == 0 and s.end > R // 27}
    assert anew <= set(missed)
    progress = Progress(Console())
    for body in drops:
        progress("drop", body)
    said = capsys.readouterr().out
    assert said.count("its checkpoint goes, for keep.gigabytes") == len(missed)
    calm, other, _ = run(tmp_path / "calm", settings(scheduler), Curves(noise=30.0))
    assert [t.scores for t in calm.view.trials.values()] == [
        t.scores for t in study.view.trials.values()
    ]
    assert summary["steps"] > other["steps"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"scheduler": PBT}, "begin with each other's checkpoints"),
        ({"command": {"run": ["x"], "steps": 9}, "train": None}, "its own to tidy up"),
    ],
)
def test_where_gigabytes_cannot_be_kept_to_they_are_refused(more, words):
    data = {"stages": [{"method": "random", "trials": 4}], "keep": {"gigabytes": 1.0}}
    space = {"x": {"kind": "real", "low": 0.0, "high": 1.0}}
    if "command" not in more:
        data["train"] = {"frames": 900, "environment": {"id": "CartPole-v1"}}
        space = {"agent.discount": {"kind": "real", "low": 0.9, "high": 0.99}}
    with pytest.raises(SettingsError, match=words):
        SearchSettings.parse(data | {"space": space} | more)


def test_who_cannot_be_promoted_loses_its_checkpoint_first(tmp_path):
    """Of nine at the first rung three go on, and of these one."""
    made = settings({"name": "halving", "trials": 9}, trials=9, keep={"best": 1})
    study, _, _ = run(tmp_path / "s", made, Curves())
    events = read(tmp_path / "s" / "study.sqlite")
    for cut in range(len(events)):
        view = View(R, events[:cut])
        scheduler = made.build_scheduler()(made.scheduler, made.plan(Key(0)))
        for trial in view.trials.values():
            later = study.view.trials[trial.number].frames > trial.frames
            if trial.state == "paused" and later:
                assert promotable(scheduler, view, trial)
    resting = [trial for trial in study.view.trials.values() if trial.state == "paused"]
    assert len(resting) == 8 and not any(promotable(scheduler, study.view, t) for t in resting)
    median = settings({"name": "median"})
    other = median.build_scheduler()(median.scheduler, median.plan(Key(0)))
    assert not any(promotable(other, study.view, trial) for trial in resting)
    items = [Item(trial.number, OWN, 10**9) for trial in study.view.trials.values()]
    keep = KeepSettings(gigabytes=4.0, best=1)
    some = {trial.number for trial in resting[:4]}
    gone = expendable(study.view, items, None, keep, lambda trial: trial.number not in some)
    assert some < {item.trial for item in gone} and len(gone) == 5


def test_what_was_to_go_goes_after_a_kill(tmp_path):
    """The log says so first; the files may still be there."""
    made = settings(PBT, keep={"best": 1})
    polls = iter(range(10**6))
    with pytest.raises(Interrupted):
        run(tmp_path / "s", made, OnDisk(noise=20.0), stop=lambda: next(polls) > 30)
    dropped = View(R, read(tmp_path / "s" / "study.sqlite")).dropped
    number, frames = next((n, f) for n, f in sorted(dropped) if f != OWN)
    updates = View(R, read(tmp_path / "s" / "study.sqlite")).trials[number].updates
    place = kept(tmp_path / "s" / "trials" / f"trial-{number:04d}", updates[frames])
    assert not place.exists()
    place.mkdir(parents=True)
    run(tmp_path / "s", made, OnDisk(noise=20.0))
    assert not place.exists()


def test_who_is_needed_stays():
    view = View(R)
    for number in range(4):
        view.take("trial", {"number": number, "point": {}, "member": number})
        segment = {"number": number, "trial": number, "purpose": "tune", "replicate": 0}
        view.take("segment", segment | {"begin": 0, "end": 100})
        if number:
            body = {"segment": number, "frames": 100, "score": float(number), "reason": ""}
            view.take("result", body | {"summary": {"updates": 1}})
    items = [Item(number, OWN, 10**9) for number in range(4)]
    keep = KeepSettings(gigabytes=0.5, best=1)
    assert [item.trial for item in expendable(view, items, None, keep)] == [1, 2]
    keep = KeepSettings(gigabytes=3.0, best=1)
    assert [item.trial for item in expendable(view, items, None, keep)] == [1]
    assert expendable(view, items, None, KeepSettings()) == []
    view.take("result", {"segment": 0, "frames": 0, "score": None, "reason": "broken"})
    assert [item.trial for item in expendable(view, items, None, KeepSettings())] == [0]


RECIPE = """
stages = [{method = "random", trials = 4}]
scheduler = {name = "halving", trials = 4, rungs = 2, eta = 2}
space = {"optimizer.learning_rate" = {kind = "log", low = 1e-3, high = 3e-2}}
evaluation = {episodes = 4}
heldout = {evaluation = {episodes = 4}}

[train]
frames = 1200
environment = {id = "CartPole-v1"}
agent = {name = "impala", network = {hidden = [16]}}
actors = {count = 1, environments = 8, unroll_length = 10}
deterministic = true
learner = {batch = 1, checkpoint_updates = 5}
"""


def test_a_real_study_with_hardly_any_room_comes_to_the_same(veldt):
    (veldt.folder / "tiny.toml").write_text(RECIPE)
    calm = veldt.summary("search", "tiny.toml", "--out", "calm")
    scarce = ("--set", "keep={gigabytes = 1e-6, best = 1}")
    summary = veldt.summary("search", "tiny.toml", "--out", "scarce", *scarce)
    assert summary["fingerprint"] == calm["fingerprint"]
    assert summary["steps"] > calm["steps"]  # of who was promoted without a checkpoint
    more = veldt.summary("search", "tiny.toml", "--out", "scarce", "--resume")
    assert more["fingerprint"] == calm["fingerprint"]  # another way to keep is no other search
    events = read(veldt.folder / "scarce" / "study.sqlite")
    assert any(event.kind == "drop" for event in events)
    there = {path.parent.name for path in (veldt.folder / "scarce").glob("trials/*/checkpoints")}
    everybody = {path.name for path in (veldt.folder / "scarce" / "trials").iterdir()}
    assert there < everybody and json.loads((veldt.folder / "scarce/summary.json").read_text())
