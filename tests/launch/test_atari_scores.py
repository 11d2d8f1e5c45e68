"""Human-normalised scores: the paper's own medians, intervals, and runs that do not compare."""

import io

import numpy as np
import pytest
import rich.console

from veldt.agents.evaluate import Evaluation
from veldt.launch.atari_scores import aggregate, collect
from veldt.launch.evaluations import drawn
from veldt.launch.intervals import interval, with_intervals
from veldt.platform.envs.atari import games
from veldt.platform.envs.atari_scores import scores_of, table
from veldt.platform.errors import InputError
from veldt.platform.runs import write_json


def test_the_papers_medians_follow_from_its_table():
    """Espeholt et al. 2018, table 4: 93.2 % and 191.8 %."""
    assert len(table()) == 57 and set(table()) <= set(games())
    for column, percent in (("impala_shallow", 93.2), ("impala_deep", 191.8)):
        scores = [np.array([row.normalised(getattr(row, column))]) for row in table().values()]
        assert 100 * aggregate(scores)["median"] == pytest.approx(percent, abs=0.05)


def test_chance_is_0_and_a_person_1():
    pong = scores_of("atari/pong")
    assert pong.normalised(-20.7) == 0.0 and pong.normalised(14.6) == pytest.approx(1.0)
    assert scores_of("CartPole-v1") is None and scores_of("atari/adventure") is None


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    found = aggregate([np.array([0.0, 1.0]), np.array([2.0, 3.0]), np.array([4.0, 1000.0])])
    assert found["iqm"] == pytest.approx(np.mean([1.0, 2.0, 3.0, 4.0]))
    assert found["median"] == 2.5


def test_an_interval_holds_the_mean_as_often_as_it_says():
    generator, inside = np.random.default_rng(0), 0
    for _ in range(100):
        drawn = [generator.normal(mean, 1.0, 8) for mean in (0.0, 5.0)]
        found = aggregate(drawn, resamples=400)
        inside += found["mean_low"] <= 2.5 <= found["mean_high"]
    assert 84 <= inside < 100  # 95 expected of a perfect interval; eight runs a game are few


def played(returns, game, lengths):
    """An evaluation as `agents.evaluate.score` has it, of one task."""
    scored = Evaluation(tuple(returns), 99, tuple(lengths), 4).summary()
    return scored | {"normalised_score": scores_of(game).normalised(scored["mean_return"])}


def test_an_evaluation_has_lengths_and_intervals_task_by_task():
    pong = played([-21.0, -20.0, -15.0, -20.0], "atari/pong", [800, 900, 1000, 900])
    boxing = played([0.0, 12.0, 3.0, 1.0], "atari/boxing", [400] * 4)
    assert pong["mean_episode_steps"] == 900.0 and pong["mean_episode_frames"] == 3600.0
    alone = with_intervals(pong, "atari/pong")
    low, high = interval(pong["returns"])
    assert (alone["mean_return_low"], alone["mean_return_high"]) == (low, high)
    assert low < pong["mean_return"] < high
    people = scores_of("atari/pong")
    for end, value in (("low", low), ("high", high)):
        assert alone[f"normalised_score_{end}"] == pytest.approx(people.normalised(value))

    mean = (pong["normalised_score"] + boxing["normalised_score"]) / 2
    both = {"tasks": {"atari/pong": pong, "atari/boxing": boxing}, "mean_normalised_score": mean}
    found = with_intervals(both, "")
    assert found["tasks"]["atari/pong"] == alone
    low, high = found["mean_normalised_score_low"], found["mean_normalised_score_high"]
    one = found["tasks"]["atari/boxing"]
    assert low < mean < high  # and, two games being averaged, narrower than boxing's half
    assert high - low < one["normalised_score_high"] - one["normalised_score_low"]

    console = rich.console.Console(width=200, file=io.StringIO())
    console.print(drawn(found["tasks"], found))
    row = next(line for line in console.file.getvalue().splitlines() if "atari/pong" in line)
    for shown in (f"{alone['mean_return_low']:.5g} to", "900", "3600"):
        assert shown in row
    single = with_intervals(played([1.0], "atari/pong", [800]), "atari/pong")
    assert single["mean_return_low"] is single["normalised_score_high"] is None


def run(folder, game, score, episodes=200, policy="sample", **options):
    folder.mkdir()
    environment = {"id": game, "options": options}
    write_json(folder / "settings.json", {"settings": {"environment": environment}, "code": {}})
    if score is not None:
        found = {"mean_return": score, "episodes": episodes, "policy": policy}
        write_json(folder / "evaluation.json", found)
    return folder


def test_runs_are_collected_by_game(tmp_path):
    folders = [
        run(tmp_path / "a", "atari/pong", -20.7),
        run(tmp_path / "b", "atari/pong", 14.6, threads=2),
        run(tmp_path / "c", "atari/breakout", 1.7),
    ]
    found = collect(folders)
    assert found["games"]["pong"]["normalised_score"] == pytest.approx(0.5)
    assert found["protocol"] == "paper" and found["mean"] == pytest.approx(0.25)
    assert found["iqm_low"] is None and found["evaluation"] == "200 episodes, sampled"


def test_what_does_not_compare_is_refused(tmp_path):
    plain = run(tmp_path / "a", "atari/pong", 1.0)
    for other, words in (
        (run(tmp_path / "b", "atari/pong", 1.0, protocol="machado"), "different protocols"),
        (run(tmp_path / "c", "atari/pong", 1.0, sticky=0.1), "paper, but sticky=0.1"),
        (run(tmp_path / "d", "CartPole-v1", 1.0), "none of the 57"),
        (run(tmp_path / "f", "atari/pong", 1.0, 100), "different evaluations .* 100 episodes"),
        (run(tmp_path / "g", "atari/boxing", 1.0, policy="greedy"), "200 episodes, greedy"),
        (run(tmp_path / "e", "atari/pong", None), "not evaluated yet"),
    ):
        with pytest.raises(InputError, match=words):
            collect([plain, other])


def test_each_task_of_a_run_counts_as_a_game(tmp_path):
    (tmp_path / "five").mkdir()
    environment = {
        "id": None,
        "options": {"protocol": "machado"},
        "tasks": [{"id": "atari/pong", "options": {}}, {"id": "atari/breakout", "options": {}}],
    }
    document = {"settings": {"environment": environment}, "code": {}}
    write_json(tmp_path / "five" / "settings.json", document)
    tasks = {"atari/pong": {"mean_return": -20.7}, "atari/breakout": {"mean_return": 30.5}}
    write_json(tmp_path / "five" / "evaluation.json", {"tasks": tasks})
    found = collect([tmp_path / "five"])
    assert found["protocol"] == "machado"
    scores = {game: row["normalised_score"] for game, row in found["games"].items()}
    assert scores == pytest.approx({"pong": 0.0, "breakout": 1.0})
