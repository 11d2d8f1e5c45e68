"""Errors of the code: of which a search makes what it can, and when it gives up."""

import pytest

from tests.reference.simulated_curves import Curves, R, settings
from veldt.platform.code_errors import of_machine, told
from veldt.platform.errors import CodeError, RunFailed
from veldt.search import code_errors, trial
from veldt.search.coordinator import conduct
from veldt.search.journal import Journal
from veldt.search.simulator import Played, Simulator
from veldt.search.study import Study
from veldt.search.trial import Job, Outcome
from veldt.search.view import View


class Failing(Curves):
    """Trials fail where they are told to."""

    def __init__(self, outcome):
        super().__init__()
        self._outcome = outcome

    def play(self, job):
        what = self._outcome(job)
        return super().play(job) if what is None else Played(1.0, what)


def broken(job, place="a.py", line=3, name="KeyError"):
    error = f'Traceback\n  File "{place}", line {line}, in f\n{name}: {job.segment}'
    return Outcome(job.segment, None, f"{name}: {job.segment}", error=error)


def study(folder, outcome, workers=1, resumed=False, **more):
    folder.mkdir(exist_ok=True)
    journal = Journal(folder / "study.sqlite")
    made = settings({"name": "whole"}, trials=8, **more)
    one = Study(made, folder, journal, lambda kind, body: None)
    try:
        return one, conduct(one, Simulator(Failing(outcome), workers)), journal.events
    finally:
        journal.close()


def test_a_trial_with_an_error_is_not_tried_again_and_the_search_goes_on(tmp_path):
    one, summary, events = study(tmp_path / "s", lambda job: broken(job) if _bad(job) else None)
    failed = [t for t in one.view.trials.values() if t.state == "condemned"]
    assert 1 <= len(failed) < 8 and summary["failed_attempts"] == len(failed)
    assert all(t.error.startswith("Traceback") for t in failed)
    assert View(R, events).trials == one.view.trials


def _bad(job):
    return job.settings["optimizer"]["learning_rate"] < 1e-4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_whose_first_trials_have_the_same_error_stops(tmp_path, workers):
    words = r"the first 3 trials all failed with the same error: KeyError: 0"
    with pytest.raises(RunFailed, match=words):
        study(tmp_path / "s", broken, workers)
    # Mended, it goes on; those that failed stay so.
    one, summary, _ = study(tmp_path / "s", lambda job: None)
    assert summary["failed_trials"] == 3 and summary["trials"] == 8
    assert all(t.scores for t in list(one.view.trials.values())[3:])


def test_different_errors_and_what_is_no_error_of_the_code_do_not_stop_it(tmp_path):
    def various(job):
        return broken(job, line=job.segment)

    with pytest.raises(RunFailed, match="all 8 trials failed"):
        study(tmp_path / "various", various)

    def diverged_once(job):
        return Outcome(job.segment, None, "Diverged") if job.segment == 1 else broken(job)

    with pytest.raises(RunFailed, match="all 8 trials failed"):
        study(tmp_path / "diverged", diverged_once)


def test_errors_are_the_same_by_what_was_raised_and_where():
    def raised(value, at=0):
        try:
            {}[value] if at == 0 else int(value)
        except Exception as error:
            return f"{type(error).__name__}: {error}", told(error)

    assert raised("x")[1] != raised("y")[1]
    assert code_errors.kind(*raised("x")) == code_errors.kind(*raised("y"))
    assert code_errors.kind(*raised("x")) != code_errors.kind(*raised("x", at=1))


@pytest.mark.parametrize(
    ("error", "machine"),
    [
        (MemoryError(), True),
        (OSError(28, "No space left on device"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (TypeError("no"), False),
    ],
)
def test_what_the_machine_ran_out_of_may_be_there_the_next_time(error, machine):
    assert of_machine(error) == machine


def test_an_error_of_an_actor_s_code_is_one_of_the_trial_s_and_final(tmp_path, monkeypatch, capfd):
    def run(job, stop):
        raise CodeError("KeyError: 'x'", "Traceback\nKeyError: 'x'")

    monkeypatch.setattr(trial.plugins, "attribute", lambda name: run)
    trial.main(Job("trial-0", "s", {}, {}, 0, str(tmp_path)).plain())
    outcome = trial.read_result(tmp_path)
    assert outcome.final and outcome.error.startswith("Traceback") and not outcome.wrong_input
    assert outcome.reason == "KeyError: 'x'"
    assert capfd.readouterr().out.count("Traceback") == 1
