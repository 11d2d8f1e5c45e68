"""The tables that schedulers keep say what reading all trials says."""

import dataclasses
import random

import pytest

from tests.reference import literal_schedulers as literal
from tests.reference.simulated_curves import SCHEDULERS, Curves, R, run, settings
from veldt.platform.errors import Interrupted
from veldt.search.coordinator import conduct
from veldt.search.journal import Journal
from veldt.search.schedulers.asha import Asha
from veldt.search.schedulers.halving import Halving
from veldt.search.schedulers.median import Median
from veldt.search.simulator import Simulator
from veldt.search.study import Study
from veldt.search.view import View


class Troubled(Curves):
    """Some trainings come to nothing; scores are coarse, so that many are equal."""

    def score(self, job, frames):
        return round(super().score(job, frames), -1)

    def outcome(self, job, frames):
        outcome = super().outcome(job, frames)
        if job.segment % 11 == 3:
            return dataclasses.replace(outcome, score=None, reason="came to nothing")
        return outcome


def twin(scheduler, view, refused):
    if isinstance(scheduler, Asha):
        return literal.asha(scheduler._rungs, scheduler._eta, scheduler._brackets, view, refused)
    if isinstance(scheduler, Halving):
        return literal.halving(scheduler._brackets, view, refused)
    return None


@pytest.mark.parametrize("name", ["asha", "halving", "hyperband", "median"])
def test_every_answer_is_the_literal_one(tmp_path, monkeypatch, name):
    compared = {"next": 0, "judge": 0, "refused": 0, "paused": 0}
    for build in (Asha, Halving, Median):
        fast, judge = build.next, build.judge

        def next_(self, view, refused, fast=fast):
            found = fast(self, view, refused)
            if not isinstance(self, Median):
                assert found == twin(self, view, refused)
            compared["next"] += 1
            compared["refused"] += refused
            return found

        def judge_(self, view, trial, judge=judge):
            found = judge(self, view, trial)
            if isinstance(self, Median):
                assert found == literal.median(self._settings, self._frames, view, trial)
            compared["judge"] += 1
            compared["paused"] += not found
            return found

        monkeypatch.setattr(build, "next", next_)
        monkeypatch.setattr(build, "judge", judge_)
    more = {"halving": {"brackets": 20}, "hyperband": {"rounds": 20}}
    scheduler = SCHEDULERS[name] | more.get(name, {})
    made = settings(scheduler, trials=70, heldout={"finalists": 3, "validations": 4})
    chance = random.Random(1)

    def stop():
        return chance.random() < 0.03

    for _ in range(100):  # a study that is begun anew reads its whole log at once
        try:
            study, _, _ = run(
                tmp_path / "s",
                made,
                Troubled(noise=9.0, seconds=lambda job: 1.0 + job.segment * 0.37 % 1.0),
                workers=5,
                stop=stop,
            )
            break
        except Interrupted:
            pass
    assert compared["next"] > 70 and compared["refused"]
    assert name != "median" or (compared["judge"] > 300 and compared["paused"] > 10)
    view = study.view
    for trial in view.trials:
        for purpose in ("validate", "test", "tune"):
            for frames in (R, R // 3):
                expected = literal.asked(view, purpose, trial, frames)
                assert view.asked(purpose, trial, frames) == expected


def test_a_scheduler_that_gets_another_view_begins_anew(tmp_path):
    """As when somebody plans on two studies with one scheduler."""
    made = settings(SCHEDULERS["asha"], trials=30)
    study, _, _ = run(tmp_path / "one", made, Curves(noise=9.0))
    journal = Journal(tmp_path / "two.sqlite")
    other = Study(made, tmp_path / "two", journal, lambda kind, body: None)
    scheduler, empty = other._scheduler, View(R)
    first = scheduler.next(empty, False)
    assert scheduler.next(study.view, True) == twin(scheduler, study.view, True)
    assert scheduler.next(empty, False) == first == twin(scheduler, empty, False)
    journal.close()


def test_what_is_heard_at_once_is_written_at_once(tmp_path, monkeypatch):
    """Outcomes that waited while the last commit was under way share the next one."""
    committed = []
    monkeypatch.setattr(Journal, "commit", lambda self: committed.append(len(self.events)))

    class Together(Simulator):
        def poll(self, timeout_s):
            if timeout_s == 0.0 and self._queue and self._queue[0][0] <= self.seconds:
                timeout_s = 1.0
            return super().poll(timeout_s)

    journal = Journal(tmp_path / "study.sqlite")
    made = settings(SCHEDULERS["whole"], trials=40, heldout={"finalists": 1})
    study = Study(made, tmp_path, journal, lambda k, b: None)
    conduct(study, Together(Curves(), 8))
    journal.close()
    results = [e for e in journal.events if e.kind == "result"]
    assert len(results) == 41 and len(committed) < 20
