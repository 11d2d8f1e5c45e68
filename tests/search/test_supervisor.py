"""A supervisor and its crew: what becomes of a job whose process misbehaves."""

import os
import signal

import pytest

from veldt.platform.errors import ActorsLost, EnvironmentFault
from veldt.search import supervisor as supervisors
from veldt.search.crew import Hands
from veldt.search.supervisor import Supervisor
from veldt.search.trial import FINAL, WRONG_INPUT, Job

CHILDREN = """
import os, pathlib, signal, sys, time
from veldt.platform.runs import Heartbeat, write_json

def sleeper(argument):
    time.sleep(600)

def beating(argument):
    beat = Heartbeat(pathlib.Path(argument["folder"]))
    end = time.monotonic() + 3.5
    while time.monotonic() < end:
        beat()
        time.sleep(0.05)
    write_json(pathlib.Path(argument["folder"], "result.json"), {"segment": 0, "score": 2.0})

def speaking(argument):
    print("out of luck")
    sys.exit(4)

def of_work(run):
    def target(argument):
        from veldt.search import trial
        trial.RUNS["training"] = f"trials:{run}"
        trial.main(argument)
    return target

def broken_run(job, stop):
    return {"a": 1}["b"]

def starved_run(job, stop):
    raise MemoryError("no room")

broken, starved = of_work("broken_run"), of_work("starved_run")
"""


@pytest.fixture
def crew(tmp_path, monkeypatch):
    """A crew whose one worker runs the target that is asked for instead of a training."""
    (tmp_path / "trials.py").write_text(CHILDREN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(supervisors, "PRELOAD", ("trials",))
    made = []

    def make(target, **settings):
        monkeypatch.setattr(supervisors, "TARGET", f"trials:{target}")
        made.append(Hands([Supervisor()]))
        folder = str(tmp_path / "job")
        made[-1].start(0, Job("x", str(tmp_path), {}, {}, 0, folder, **settings))
        assert made[-1].idle() == []
        return made[-1]

    yield make
    for one in made:
        one.stop()


def outcome(crew):
    return next(found[1] for _ in range(400) if (found := crew.poll(0.05)) is not None)


def test_one_that_is_silent_is_killed_and_may_be_tried_again(crew):
    found = outcome(crew("sleeper", silence_s=0.5))
    assert found.score is None and "hung" in found.reason and not found.final


def test_one_that_takes_too_long_has_failed(crew):
    found = outcome(crew("sleeper", timeout_s=0.5))
    assert found.score is None and "timeout_s" in found.reason and found.final


def test_one_that_gets_somewhere_is_left_alone(crew):
    one = crew("beating", silence_s=2.5)
    assert outcome(one).score == 2.0 and one.idle() == [0]


def test_one_that_ends_without_a_result_leaves_its_last_words(crew):
    found = outcome(crew("speaking"))
    assert "exit code 4: out of luck" in found.reason and not found.final


def test_an_error_of_the_code_is_told_with_its_traceback_and_not_tried_again(crew, tmp_path):
    found = outcome(crew("broken"))
    assert found.score is None and found.final and found.reason == "KeyError: 'b'"
    assert found.error.startswith("Traceback") and "in broken_run" in found.error
    assert found.error in (tmp_path / "logs" / "x.log").read_text()


def test_what_the_machine_ran_out_of_is_no_error_of_the_code(crew):
    found = outcome(crew("starved"))
    assert "no room" in found.reason and not found.final and not found.error


def test_an_interrupted_one_is_no_outcome(crew):
    one = crew("sleeper")
    child = one._own[0]._child
    one.stop()
    assert one.poll(0.0) is None
    assert child.poll() == -signal.SIGTERM


def test_what_lies_in_the_machine_is_tried_again():
    assert EnvironmentFault in FINAL and ActorsLost not in FINAL + WRONG_INPUT
