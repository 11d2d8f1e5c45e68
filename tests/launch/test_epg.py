"""Losses that evolution writes, from the command line: searched, frozen, compared, trained on."""

import json

import numpy as np
import pytest

from veldt.agents.lives.contest import Record
from veldt.launch import cookbook
from veldt.launch.console import number
from veldt.launch.epg_bench import differences, left_half_share
from veldt.launch.epg_results import epg_tables
from veldt.platform.records import read
from veldt.search.population.evolution import Evolution
from veldt.search.population.settings import PopulationSettings

SMALL = (
    *("--set", "generations=4", "--set", "evaluation.every=2", "--set", "evaluation.episodes=6"),
    *("--set", "strategy.pairs=4", "--set", "problem.block=2", "--set", "problem.tasks=2"),
    *("--set", "problem.life.updates=2", "--set", "problem.bootstrap=2"),
    *("--set", "problem.life.final_episodes=1"),
    *("--set", "problem.test_block=3", "--set", "problem.life.hidden=[8]"),
)
SEARCH = ("search", "epg/direction", *SMALL)


def same(summary):
    return summary["fingerprint"], summary["evaluation_mean_return"]


@pytest.mark.slow
def test_the_same_loss_on_1_2_and_4_ranks_and_after_a_kill(veldt, until):
    alone = veldt.summary(*SEARCH, "--out", "alone")
    first = (veldt.folder / "alone" / "loss.safetensors").read_bytes()
    for ranks in (2, 4):
        summary = veldt.summary(*SEARCH, "--out", f"on-{ranks}", ranks=ranks)
        assert same(summary) == same(alone)
    process = veldt.start(*SEARCH, "--out", "killed", "--set", "checkpoint_seconds=0.0")
    until(lambda: (veldt.folder / "killed").exists() and len(read(veldt.folder / "killed")) > 1)
    process.kill()
    process.wait()
    resumed = veldt.summary(
        *SEARCH, "--out", "killed", "--set", "checkpoint_seconds=0.0", "--resume"
    )
    assert same(resumed) == same(alone)
    for folder in ("on-2", "killed"):
        again = (veldt.folder / folder / "loss.safetensors").read_bytes()
        assert len(again) == len(first)
    _compared_and_trained_on(veldt)


def _compared_and_trained_on(veldt):
    result = veldt.summary("bench", "epg", "alone", "--lives", 4)
    for name in (
        "epg",
        "ppo",
        "policy_gradient",
        "unevolved",
        "random",
        "no_reward",
        "fixed_left",
    ):
        assert isinstance(result[f"{name}_return"], float) and result[f"{name}_broken"] == 0
    for what in ("difference", "area_difference"):
        assert result[f"{what}_low"] <= result[what] <= result[f"{what}_high"]
        part = "return" if what == "difference" else "area"
        gap = result[f"epg_{part}"] - result[f"ppo_{part}"]
        assert result[what] == pytest.approx(gap, abs=1e-6)
    assert set(result["ppo_settings"]) == {"learning_rate", "epochs", "minibatch"}
    assert result["provenance"]["seed"] == 0
    _tabled(veldt.folder, result)
    line = ("bench", "epg", "alone", "--lives", 3, "--no-rivals")
    elsewhere = veldt.summary(*line, "--set", "environment.id=family/goal")
    assert elsewhere["environment"] == "family/goal" and "ppo_return" not in elsewhere
    assert (veldt.folder / "alone" / "epg-family-goal.html").exists()
    page = (veldt.folder / "alone" / "epg.html").read_text()
    for words in ("How agents learn", "What the loss asks for", "evolved loss less PPO"):
        assert words in page
    file = veldt.folder / "alone" / "loss.safetensors"
    (veldt.folder / "point.toml").write_text(
        'frames = 8_000\nenvironment = {id = "family/direction"}\n'
        "actors = {count = 1, environments = 4, unroll_length = 512}\nlearner = {batch = 1}\n"
    )
    line = ("train", "point.toml", "--out", "trained", "--set", f"agent.loss={file}")
    summary = veldt.summary(*line)
    assert summary["updates"] == 4 and summary["episodes"] > 140
    assert "learned_loss" in read(veldt.folder / "trained")[-1]
    assert veldt.summary("evaluate", "trained", "--episodes", 4)["episodes"] == 4
    wrong = veldt("train", "cartpole", "--set", f"agent.loss={file}")
    assert wrong.returncode == 2 and "this loss is for 4 numbers seen" in wrong.stderr
    assert json.loads((veldt.folder / "alone" / "settings.json").read_text())["settings"]
    assert veldt("bench", "epg", "nowhere").returncode == 2
    assert veldt("bench", "epg").returncode == 2


def _tabled(folder, result):
    """The README's tables of it."""
    home = folder / "tables" / "direction"
    (home / "1").mkdir(parents=True)
    (home / "bench.json").write_text(json.dumps(result))
    (home / "1" / "summary.json").write_bytes((folder / "alone" / "summary.json").read_bytes())
    searches, losses, paired = epg_tables(folder / "tables")
    share = result["left_half_share"]
    assert ("-" if share is None else f"{share:.0%}") in searches and "`epg/direction`" in searches
    assert "policy gradient" in losses and number(result["ppo_return"]) in losses
    assert "evolved loss less PPO" in paired and number(result["difference_low"]) in paired


def test_areas_meet_the_settings_that_are_best_for_them():
    def record(end, area):
        return Record(np.array([end, end + 2.0]), np.full((2, 3), area), {})

    records = {"epg": record(5.0, 4.0), "ppo": record(3.0, 1.0), "random": record(0.0, 0.5)}
    found = differences(records | {"ppo_by_area": record(-9.0, 3.0)})
    assert (found["difference"], found["difference_low"]) == (2.0, 2.0)
    assert found["area_difference"] == 1.0 and found["random_area_difference"] == 3.5


def test_there_is_no_share_of_a_gain_that_is_not_clear():
    def records(right, left):
        returns = {"epg_right": right, "epg_left": left, "random_right": [0.0] * 4}
        returns["random_left"] = [0.0] * 4
        return {k: Record(np.array(v), np.zeros((4, 1)), {}) for k, v in returns.items()}

    assert left_half_share(records([1.0, 2.0, 1.0, 2.0], [1.0, 0.0, 1.0, 1.0]))[0] == 0.5
    right = records([1.0, 2.0, 1.0, 2.0], [1.0, 0.0, 1.0, 1.0])
    right |= {f"fixed_{side}": right[f"epg_{side}"] for side in ("left", "right")}
    assert left_half_share(right, "fixed")[0] == 0.5
    for nothing in ([0.0] * 4, [-1.0, -2.0, -1.0, -1.0], [4.0, -3.0, 2.0, -2.0]):
        assert left_half_share(records(nothing, [1.0] * 4)) is None


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        pytest.param("drift", "the form read off it", marks=pytest.mark.slow),
        pytest.param("v-trace", "clip_rho_threshold", marks=pytest.mark.slow),
    ],
)
def test_other_losses_are_evolved_and_compared(veldt, recipe, words):
    life = [f"problem.life.{name}" for name in ("steps=64", "buffer=64")]
    small = [*SMALL, *(part for setting in life for part in ("--set", setting))]
    veldt.summary("search", f"epg/{recipe}", *small, "--set", "problem.bootstrap=0", "--out", "d")
    result = veldt.summary("bench", "epg", "d", "--lives", 3)
    assert result["epg_return"] > 8.0 and "left_half_share" not in result
    assert words in (veldt.folder / "d" / "epg.html").read_text()
    assert ("closed_form" in result) == (recipe == "drift")
    assert set(result["epg_settings"]) == {"learning_rate", "epochs", "minibatch"}
    gap = result["epg_as_lived_return"] - result["ppo_as_lived_return"]
    assert result["as_lived_difference"] == pytest.approx(gap, abs=1e-6)


@pytest.mark.parametrize(
    ("recipe", "ranks", "assignments"),
    [
        ("direction", 4, []),
        ("halfcheetah", 4, []),
        ("drift", 4, ["problem.block=8"]),
        ("v-trace", 4, ["problem.block=8"]),
        ("halfcheetah", 64, ["strategy.pairs=32", "problem.block=1"]),
    ],
)
def test_the_recipes_have_work_for_the_ranks_they_promise(recipe, ranks, assignments):
    settings = PopulationSettings.parse(cookbook.load(f"epg/{recipe}", "search", assignments))
    evolution = Evolution(settings)
    try:
        assert evolution.turn().tasks >= ranks
        assert len(evolution.turn().members(0)) * evolution.turn().tasks == evolution.turn().size
    finally:
        evolution.close()
