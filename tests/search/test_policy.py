"""Searches that say only what they may cost, and winners at the border."""

import pytest

from tests.reference.simulated_curves import Curves, R, run, spent
from veldt.platform.errors import SettingsError
from veldt.search import policy
from veldt.search.border import at_border
from veldt.search.settings import SearchSettings
from veldt.search.space.space import Space


def made(**more):
    return SearchSettings.parse(
        {
            "train": {"frames": R, "environment": {"id": "CartPole-v1"}},
            "space": {"optimizer.learning_rate": {"kind": "log", "low": 1e-5, "high": 1e-1}},
        }
        | more
    )


@pytest.mark.parametrize(
    ("budget", "finalists", "validations"), [(1, 1, 1), (9, 1, 1), (12, 2, 1), (48, 3, 2)]
)
def test_fifteen_in_a_hundred_prove_it(budget, finalists, validations):
    settings = made(budget=budget)
    assert [stage.method for stage in settings.stages] == ["auto"]
    assert settings.scheduler.name == "asha" and settings.heldout.tests == policy.TESTS
    held = settings.heldout
    assert (held.finalists, held.validations) == (finalists, validations)
    proof = finalists * validations if finalists > 1 else 0
    assert proof <= max(2, 0.15 * budget) and settings.tuning_frames == R * (budget - proof)


@pytest.mark.parametrize(
    ("trials", "scheduler", "held", "race"),
    [
        (9, "whole", {}, (1, 1)),
        (12, "whole", {}, (2, 1)),
        (40, "whole", {"tests": 2}, (3, 2)),
        (40, "asha", {}, (2, 1)),
        (40, "pbt", {}, (1, 2)),
        (40, "whole", {"finalists": 1}, (1, 2)),
    ],
)
def test_a_search_that_does_not_say_how_its_winner_is_chosen_has_a_race(
    trials, scheduler, held, race
):
    stages = [{"method": "random", "trials": trials}]
    found = made(stages=stages, scheduler=scheduler, heldout=held).heldout
    assert (found.finalists, found.validations) == race
    again = SearchSettings.parse(made(stages=stages, scheduler=scheduler, heldout=held).dump())
    assert again.heldout == found


def test_the_default_race_is_run(tmp_path):
    """One validation of each of the best two, and the better one there is proved."""
    study, summary, _ = run(tmp_path / "s", made(budget=12, heldout={"tests": 1}), Curves())
    first, second = (trial.number for trial in study.view.scored[:2])
    proofs = {n: study.view.proofs("validate", n) for n in (first, second)}
    assert [len(found) for found in proofs.values()] == [1, 1]
    assert summary["best_trial"] == max(proofs, key=lambda n: proofs[n][0])


def test_what_is_said_wins():
    settings = made(budget=48, heldout={"tests": 2}, scheduler="whole")
    assert settings.heldout.tests == 2 and settings.heldout.finalists == 3
    assert settings.scheduler.name == "whole"
    own = made(budget=3, stages=[{"method": "random", "trials": 100}])
    assert own.heldout.tests == 1 and own.scheduler.name == "whole"
    with pytest.raises(SettingsError, match="budget = 12"):
        made()
    with pytest.raises(SettingsError, match="greater than or equal to 1"):
        made(budget=0.5)
    with pytest.raises(SettingsError, match="leave nothing"):
        held = {"finalists": 3, "validations": 2}
        made(budget=6, stages=[{"method": "random", "trials": 9}], heldout=held)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("scheduler", ["whole", "asha", {"name": "pbt", "population": 4}])
def test_a_budget_is_kept(tmp_path, scheduler, workers):
    stages = [{"method": "random", "trials": 1000}]
    settings = made(budget=8, stages=stages, scheduler=scheduler)
    study, summary, _ = run(tmp_path / "s", settings, Curves(), workers=workers)
    longest = R * (2 / 3 if scheduler == "asha" else 1)
    most = 4 * R if isinstance(scheduler, dict) else 8 * R  # four members to the end are four
    assert most <= spent(study.view) == study.view.given < most + longest
    assert summary["trials"] < 1000


def test_the_preset_finds_more_than_random_search_for_the_same(tmp_path):
    """Twelve trials' frames, eight seeds; the best rate's score at the end is 100."""
    found = {"policy": [], "random": []}
    for seed in range(8):
        settings = {
            "policy": made(budget=12, heldout={"tests": 1}, seed=seed),
            "random": made(stages=[{"method": "random", "trials": 12}], seed=seed),
        }
        for name, one in settings.items():
            study, _, _ = run(tmp_path / f"{name}{seed}", one, Curves(), workers=1)
            assert spent(study.view) <= 12 * R * 1.06
            found[name].append(study.view.best.score)
    better = [a > b for a, b in zip(found["policy"], found["random"], strict=True)]
    assert sum(better) >= 7


def test_the_border():
    space = Space(
        {
            "rate": {"kind": "log", "low": 1e-4, "high": 1.0},
            "few": {"kind": "integer", "low": 1, "high": 3},
            "many": {"kind": "integer", "low": 1, "high": 100},
            "which": {
                "kind": "choice",
                "values": [{"name": "a", "x": {"kind": "real", "low": 0.0, "high": 1.0}}, "b"],
            },
        }
    )
    base = {"few": 1, "many": 50, "rate": 1e-2, "which": "b"}
    assert at_border(space, base) == []
    assert at_border(space, base | {"rate": 1.1e-4, "many": 100}) == ["many", "rate"]
    assert at_border(space, base | {"rate": 1.3e-4}) == []  # 0.03 of the way, of its logarithm
    inner = next(name for name in space.nodes if name.endswith(".x"))
    assert at_border(space, base | {"which": "a", inner: 0.995}) == [inner]
