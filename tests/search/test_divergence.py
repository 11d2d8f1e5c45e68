"""Trainings that diverge tell the models where not to look; those that were killed do not."""

import pytest

from tests.reference.simulated_curves import Curves, settings
from veldt.platform.keys import Key
from veldt.search.catalogue import searcher
from veldt.search.coordinator import conduct
from veldt.search.journal import Journal
from veldt.search.searcher import tell_diverged
from veldt.search.simulator import Played, Simulator
from veldt.search.space.space import Space
from veldt.search.study import Study
from veldt.search.trial import Outcome

SPACE = Space({name: {"kind": "real", "low": 0.0, "high": 1.0} for name in ("x", "y")})
HALVES = {"tpe": {"trials": 40, "first": 10}, "gp": {"trials": 30, "first": 10}}


def asked(method, seed, fail, score=lambda point: point["y"]):
    """The points, of which those with x above a half are failed."""
    build = searcher(method)
    made = build.Settings.parse({"method": method} | HALVES[method])
    one, points = build(made, SPACE, Key(seed), None), []
    while (question := one.ask()) is not None:
        points.append(question.point)
        if question.point["x"] > 0.5:
            fail(one, question.number)
        else:
            one.tell(question.number, score(question.point))
    return points


def late(method, fail):
    """The share of the bad half, once the models are asked."""
    first = HALVES[method]["first"]
    points = [p for seed in range(3) for p in asked(method, seed, fail)[first + 5 :]]
    return sum(point["x"] > 0.5 for point in points) / len(points)


@pytest.mark.parametrize("method", HALVES)
def test_a_half_that_diverges_is_asked_for_less(method):
    diverging = late(method, lambda one, n: tell_diverged(one, n, 0.0))
    killed = late(method, lambda one, n: one.tell(n, None))
    assert diverging < 0.35 and diverging < 0.6 * killed, (diverging, killed)


@pytest.mark.parametrize("method", HALVES)
def test_it_is_the_worst_also_where_the_first_scores_were_the_best(method):
    """And where it diverged before there was any score."""
    build = searcher(method)
    made = build.Settings.parse({"method": method} | HALVES[method])
    one = build(made, SPACE, Key(0), None)
    questions = [one.ask() for _ in range(6)]
    tell_diverged(one, questions[0].number, 0.0)
    model = one._models[1.0]
    assert [t.value for t in model._study.trials if t.state.is_finished()] == []
    for question, score in zip(questions[1:], [5.0, 4.0, -3.0, -9.0, None], strict=True):
        one.tell(question.number, score)
    values = [t.value for t in model._study.trials]
    assert values[0] == float("-inf") and values[1:5] == [5.0, 4.0, -3.0, -9.0]
    assert [t.state.name for t in model._study.trials][5] == "FAIL" and model.scored == 4
    one.tell(1, 6.0, 0.5)  # another length, of which the diverged one has no score either
    assert [t.value for t in one._models[0.5]._study.trials] == [6.0, float("-inf")]


def test_a_study_tells_it_and_asks_the_same_when_it_is_rebuilt(tmp_path):
    class Diverging(Curves):
        def play(self, job):
            if job.settings["optimizer"]["learning_rate"] < 1e-3:
                return Played(1.0, Outcome(job.segment, None, "Diverged: x", diverged=True))
            return super().play(job)

    stages = [{"method": "tpe", "trials": 40, "first": 6}]
    made = settings({"name": "whole"}, stages=stages)
    journal = Journal(tmp_path / "study.sqlite")
    try:
        one = Study(made, tmp_path, journal, lambda kind, body: None)
        summary = conduct(one, Simulator(Diverging(), 1))
        again = Study(made, tmp_path, journal, lambda kind, body: None)
    finally:
        journal.close()
    assert again.searcher.state() == one.searcher.state() and summary["trials"] == 40
    bad = [t.number for t in one.view.trials.values() if t.state == "condemned"]
    told = one.searcher._stages[0]._models[1.0]._study.trials
    assert bad and [t.number for t in told if t.value == float("-inf")] == bad
