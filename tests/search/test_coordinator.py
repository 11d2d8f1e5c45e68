"""Studies that share workers: who gets them, and that sharing changes nothing else."""

import pytest

from veldt.platform.errors import RunFailed
from veldt.search.coordinator import Coordinator, conduct
from veldt.search.journal import Journal
from veldt.search.settings import SearchSettings
from veldt.search.simulator import Played, Simulator
from veldt.search.study import Study
from veldt.search.trial import Outcome

R = 900


class Slope:
    """Trainings that score what their discount is, after a second; or fail."""

    def __init__(self, fails=lambda job: False):
        self.fails = fails

    def play(self, job):
        frames = job.until or job.settings["frames"]
        if self.fails(job):
            return Played(1.0, Outcome(job.segment, None, reason="broken"))
        score = job.settings["agent"]["discount"] * frames
        found = {"mean_return": score, "standard_error": 0.0, "episodes": 1, "returns": [score]}
        summary = {"steps": frames, "updates": frames // 10, "frames": frames}
        done = Outcome(job.segment, score, frames=frames, summary=summary, evaluation=found)
        return Played(1.0, done)


def made(seed, trials):
    return SearchSettings.parse(
        {
            "train": {"frames": R, "environment": {"id": "CartPole-v1"}},
            "space": {"agent.discount": {"kind": "real", "low": 0.5, "high": 0.9}},
            "stages": [{"method": "random", "trials": trials}],
            "scheduler": {"name": "asha", "rungs": 3},
            "seed": seed,
        }
    )


@pytest.fixture
def study(tmp_path):
    journals = []

    def make(name, seed, trials, priority=0):
        (tmp_path / name).mkdir()
        journals.append(Journal(tmp_path / name / "study.sqlite"))
        one = Study(made(seed, trials), tmp_path / name, journals[-1], lambda kind, body: None)
        one.priority = priority
        return one, journals[-1]

    yield make
    for journal in journals:
        journal.close()


def together(crew, low, high, after):
    """Both on one crew; the second arrives after so many looks. Their ends, in order."""
    ends, looks = [], iter(range(10**6))

    def arrivals():
        look = next(looks)
        return {0: [low], after: [high]}.get(look, []), look < after

    coordinator = Coordinator(crew, lambda: False, arrivals, lambda *end: ends.append(end))
    coordinator.run()
    return ends


@pytest.fixture
def always_looking(monkeypatch):
    monkeypatch.setattr("veldt.search.coordinator.ARRIVALS_S", 0.0)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_urgent_one_goes_first_and_both_end_as_if_alone(study, always_looking, workers):
    alone = [conduct(study(n, s, 12)[0], Simulator(Slope(), 1)) for n, s in (("a", 1), ("b", 2))]
    low, log = study("low", 1, 12)
    high, _ = study("high", 2, 12, priority=1)
    crew = Simulator(Slope(), workers)
    ends = together(crew, low, high, after=10)
    assert ends == [(high, None), (low, None)]
    given_up = [event for event in log.events if event.kind == "given_up"]
    assert len(given_up) >= workers - 1  # all that the less urgent one had under way
    found = [low.summary(1), high.summary(1)]
    if workers == 1:  # nobody's answers came in another order
        assert [s["fingerprint"] for s in found] == [s["fingerprint"] for s in alone]
    for summary, other in zip(found, alone, strict=True):
        assert summary["trials"] == other["trials"] and summary["failed_trials"] == 0
    results = [event.body["segment"] for event in log.events if event.kind == "result"]
    assert len(set(results)) == len(results)  # given up or not, each once


def test_equals_take_nothing_from_each_other(study, always_looking):
    low, log = study("low", 1, 12)
    other, second = study("other", 2, 12)
    together(Simulator(Slope(), 2), low, other, after=3)
    assert not [e for j in (log, second) for e in j.events if e.kind == "given_up"]


def test_one_that_comes_to_nothing_leaves_the_other_alone(study, always_looking):
    low, _ = study("low", 1, 6)
    high, _ = study("high", 2, 6, priority=1)
    crew = Simulator(Slope(lambda job: job.study.endswith("high")), 2)
    ends = together(crew, low, high, after=2)
    assert ends[0][0] is high and isinstance(ends[0][1], RunFailed)
    assert ends[1] == (low, None) and low.summary(1)["trials"] == 6


def test_what_a_study_that_ended_had_under_way_is_given_up(study, always_looking):
    """Else its trials would hold the workers of the others."""
    low, log = study("low", 1, 6)
    high, _ = study("high", 2, 6, priority=1)

    class Refusing(Slope):
        def play(self, job):
            played = super().play(job)
            if not job.study.endswith("high"):
                return played
            if job.segment:
                return Played(1000.0, played.outcome)
            return Played(1.0, Outcome(job.segment, None, reason="no", wrong_input=True))

    crew = Simulator(Refusing(), 3)
    ends = together(crew, high, low, after=1)
    assert [end[0] for end in ends] == [high, low]
    assert {e.body["worker"] for e in log.events if e.kind == "start"} == {0, 1, 2}


def test_an_outcome_that_the_dead_coordinator_had_not_entered_is_entered(study):
    """Its worker tells it to the next one; the trial is not trained again."""
    first, log = study("s", 1, 3)
    crew = Simulator(Slope(), 1)
    first.begin(crew)
    given = first.give(0)
    first.commit()
    crew.start(0, given)
    second = Study(made(1, 3), first.folder, log, lambda kind, body: None)
    conduct(second, crew, inherited=True)
    starts = [e.body["segment"] for e in log.events if e.kind == "start"]
    results = [e.body["segment"] for e in log.events if e.kind == "result"]
    assert starts[:2] == [given.segment] * 2  # begun, and found by the successor
    assert results[0] == given.segment and len(results) == len(set(results))
