"""Schedulers that count their trials take what the stages ask for, or say that they do not."""

import pytest

from tests.reference.simulated_curves import Curves, R, run, settings
from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key
from veldt.platform.runs import write_json
from veldt.search.asked import asked, demand_room, left_out
from veldt.search.run import Desk

HYPERBAND = {"name": "hyperband", "least_frames": R // 9}  # 9, 5 and 3 trials


def room(scheduler, trials, **more):
    made = settings(scheduler, trials=trials, **more)
    return made.build_scheduler()(made.scheduler, made.plan(Key(0))).room


def test_a_grid_and_then_the_best_go_on(tmp_path):
    """Every cell is tried, and a third of all goes on, and a third of those."""
    grid = [{"method": "grid", "levels": 27}]
    made = settings({"name": "halving"}, stages=grid)
    study, _, _ = run(tmp_path / "g", made, Curves())
    reached = sorted(t.frames for t in study.view.trials.values())
    assert reached == [R // 9] * 18 + [R // 3] * 6 + [R] * 3
    rates = {t.point["optimizer.learning_rate"] for t in study.view.trials.values()}
    assert len(rates) == 27


@pytest.mark.parametrize(
    ("scheduler", "there"),
    [
        ({"name": "halving"}, 40),
        ({"name": "halving", "trials": 9}, 45),
        ({"name": "halving", "brackets": 3}, 42),
        ({"name": "halving", "trials": 9, "brackets": 5}, 45),
        (HYPERBAND, 51),
        (HYPERBAND | {"rounds": 3}, 51),
    ],
)
def test_what_is_not_said_follows_from_the_stages(scheduler, there):
    assert room(scheduler, 40) == there
    demand_room(settings(scheduler, trials=40))


@pytest.mark.parametrize(
    ("scheduler", "there"),
    [({"name": "halving", "trials": 9, "brackets": 2}, 18), (HYPERBAND | {"rounds": 2}, 34)],
)
def test_a_scheduler_that_would_leave_trials_out_is_refused(scheduler, there):
    made = settings(scheduler, trials=40)
    with pytest.raises(SettingsError, match=f"room for {there} trials, and the stages ask for 40"):
        demand_room(made)
    demand_room(settings(scheduler, trials=there))
    demand_room(settings(scheduler, trials=40, budget=4.0))  # which says where it ends


def test_a_search_that_is_new_is_refused_and_one_that_was_begun_goes_on(tmp_path):
    """It may be of a time when nobody was refused."""
    made = settings({"name": "halving", "trials": 9, "brackets": 2}, trials=40)
    folder = tmp_path / "search"
    with pytest.raises(SettingsError, match="room for 18"):
        Desk(made, folder, False, lambda kind, body: None)
    assert not folder.exists()
    run(folder, made, Curves())
    write_json(folder / "settings.json", {"settings": made.dump()})
    Desk(made, folder, True, lambda kind, body: None).close()


def test_with_a_budget_brackets_are_small_and_many():
    assert room({"name": "halving"}, 1_000, budget=12.0) == 1_008


def test_stages_are_added_up_if_all_say_how_many():
    made = settings(
        {"name": "whole"},
        stages=[{"method": "random", "trials": 5}, {"method": "grid", "levels": 4}],
    )
    assert asked(made.stages, made.searched) == 9
    strategy = {"method": "openai-es", "generations": 2, "pairs": 2, "sigma": 0.1}
    made = settings({"name": "halving"}, stages=[strategy])
    assert asked(made.stages, made.searched) == 8
    assert made.build_scheduler()(made.scheduler, made.plan(Key(0))).room >= 8

    class Silent:
        """A plug-in's stage."""

    assert asked([*made.stages, Silent()], made.searched) is None


def test_a_population_that_has_no_place_for_all_says_so(tmp_path):
    pbt = {"name": "pbt", "population": 3, "stretches": 2}
    made = settings(pbt, trials=5)
    assert left_out(made) == 2
    assert left_out(settings(pbt, trials=3)) == left_out(settings({"name": "asha"})) == 0
    assert left_out(settings(pbt, trials=5, budget=4.0)) == 0
    study, summary, _ = run(tmp_path / "p", made, Curves(), workers=1)
    assert summary["left_out"] == 2
    assert sum(t.parent is None for t in study.view.trials.values()) == 3
