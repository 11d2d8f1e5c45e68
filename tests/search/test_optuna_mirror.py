"""The mirror: every trial as Optuna has it, with what it was, and nothing else."""

import warnings

import optuna
import pytest
from optuna.trial import TrialState
from simulated_study import FRAMES, Landscape, simulated

from veldt.search.journal import read
from veldt.search.optuna_mirror import mirror
from veldt.search.optuna_points import parameters
from veldt.search.space.space import Space
from veldt.search.view import View


def mirrored(folder, settings):
    events = read(folder / "study.sqlite")
    view = View(settings.frames, events)
    stages = dict.fromkeys(view.trials, "random")
    storage = mirror("one", settings.searched, view, events, stages)
    return view, optuna.load_study(study_name="one", storage=storage)


def test_rungs(tmp_path):
    settings = simulated(tmp_path, {"name": "asha"}, 18, landscape=Landscape(worst=10**-1.5))
    view, study = mirrored(tmp_path, settings)
    assert len(study.trials) == len(view.trials) == 18
    states = {"done": TrialState.COMPLETE, "condemned": TrialState.FAIL}
    for trial, ours in zip(study.trials, view.trials.values(), strict=True):
        assert trial.number == ours.number and trial.params == ours.point
        assert trial.state == states.get(ours.state, TrialState.RUNNING)
        assert trial.intermediate_values == ours.scores
        assert trial.value == (ours.score if ours.state == "done" else None)
        assert trial.user_attrs["frames"] == ours.frames
        assert trial.user_attrs.get("reason", "") == ours.reason
    assert {trial.state for trial in study.trials} == {
        *(TrialState.COMPLETE, TrialState.RUNNING, TrialState.FAIL)
    }
    assert study.best_trial.number == view.best.number and study.best_value == view.best.score
    assert max(study.best_trial.intermediate_values) == FRAMES


def test_forks_have_their_parents_and_reports_are_on_the_way(tmp_path):
    settings = simulated(
        tmp_path / "p", {"name": "pbt", "population": 6, "stretches": 5}, trials=6
    )
    _, study = mirrored(tmp_path / "p", settings)
    forks = [trial for trial in study.trials if "parent" in trial.user_attrs]
    assert forks and all(trial.user_attrs["parent"] < trial.number for trial in forks)
    settings = simulated(tmp_path / "m", {"name": "median", "least_trials": 3})
    view, study = mirrored(tmp_path / "m", settings)
    assert sum(trial.state == TrialState.RUNNING for trial in study.trials) == sum(
        trial.state == "paused" for trial in view.trials.values()
    )
    for trial, ours in zip(study.trials, view.trials.values(), strict=True):
        on_the_way = {frames for frames, _ in ours.reports}
        assert on_the_way and trial.intermediate_values.keys() == on_the_way | ours.scores.keys()


@pytest.mark.parametrize("events", [1, 2, 4, 9, 25])
def test_a_study_under_way_is_mirrored_and_the_mirror_is_no_way_back(tmp_path, events):
    settings = simulated(tmp_path, {"name": "asha"}, events=events)
    before = (tmp_path / "study.sqlite").read_bytes()
    view, study = mirrored(tmp_path, settings)
    assert len(study.trials) == len(view.trials)
    study.set_user_attr("changed", True)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    assert (tmp_path / "study.sqlite").read_bytes() == before
    assert len(mirrored(tmp_path, settings)[1].trials) == len(view.trials)


def test_conditional_settings_and_choices_by_their_names():
    space = Space(
        {
            "odd": {"kind": "choice", "values": [1, True, "x", None]},
            "step": {"kind": "real", "low": 0.1, "high": 1.0, "step": 0.3},
            "part": {
                "kind": "choice",
                "values": [{"name": "a", "x": {"kind": "integer", "low": 1, "high": 9}}, "b"],
            },
        }
    )
    for point in space.corners():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            values, distributions = parameters(space.tree, point, labels=True)
        assert values.keys() == point.keys() == distributions.keys()
        assert values["part"] == point["part"] and values["odd"] == str(point["odd"])
        assert ("part[a].x" in values) == (point["part"] == "a")
        optuna.trial.create_trial(value=0.0, params=values, distributions=distributions)
