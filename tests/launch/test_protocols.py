"""What was measured under different protocols stands in tables of its own."""

import types

import pytest
from report_pages import report

from veldt.agents.progress import Progress
from veldt.agents.settings import TrainSettings
from veldt.launch import proof_report, replay_report
from veldt.launch.protocols import apart, of_evaluation, of_search, of_training
from veldt.platform.records import Records
from veldt.platform.runs import RunFolder, write_json
from veldt.search.replay import SUMMARY
from veldt.search.settings import SearchSettings


def training(folder, seed, beside=(), **over):
    """A training's folder: one record, and evaluations beside it of these mean returns."""
    data = {"environment": {"id": "CartPole-v1"}, "frames": 4_000, "seed": seed} | over
    settings = TrainSettings.parse(data).dump()
    RunFolder(folder, settings, resume=False).close()
    records = Records(folder, 0, tensorboard=False)
    progress = Progress(updates=1, steps=100, frames=100, wall_seconds=1.0)
    progress.count_trajectory(0, [(11.5, 9)])
    records.write(1, progress.summary())
    records.close()
    write_json(folder / "summary.json", {})
    for update, mean in enumerate(beside, 1):
        (folder / "evaluations").mkdir(exist_ok=True)
        found = {"update": update, "frames": 100 * update, "mean_return": mean, "episodes": 20}
        write_json(folder / "evaluations" / f"{update:09d}.json", found)


def results(rows):
    """The rows of tables of results, table by table."""
    heads = [i for i, row in enumerate(rows) if row[:2] == ["group", "finished"]]
    return [[row[0] for row in rows[i + 1 : i + 3] if " of " in row[1]] for i in heads]


def test_trainings_evaluated_otherwise_share_no_table(tmp_path):
    every = {"every": 100}
    training(tmp_path / "one" / "1", 1, [7.0], evaluation=every)
    training(tmp_path / "two" / "1", 1, [8.0], evaluation=every)
    training(tmp_path / "greedy" / "1", 1, [9.0], evaluation=every | {"policy": "greedy"})
    training(tmp_path / "actors" / "1", 1)
    page, text, rows = report(tmp_path)
    assert sorted(map(sorted, results(rows))) == [["actors"], ["greedy"], ["one", "two"]]
    assert "Results: CartPole-v1: evaluations of 20 episodes, greedy" in text
    assert "Results: CartPole-v1: last 100 episodes of training" in text
    for name in ("comparison-frames", "comparison-frames-1", "comparison-frames-2"):
        assert f'"{name}"' in page


def test_seeds_of_a_group_are_measured_alike(tmp_path):
    training(tmp_path / "1", 1, [70.0], evaluation={"every": 100})
    training(tmp_path / "2", 2, evaluation={"every": 100})  # not evaluated yet
    _, text, rows = report(tmp_path)
    row = next(row for row in rows if row[:2] == [tmp_path.name, "2 of 2"])
    assert row[2] == "11.5" and "Results:" not in text


def settings(**over):
    problem = {"kind": "episodes", "environment": {"id": "Hopper-v5", "options": {}}}
    return {"problem": problem | over, "evaluation": {"episodes": 100}}


def test_how_something_is_trained_is_no_part_of_its_protocol():
    plain = of_search(settings())
    assert plain == of_search(settings(shift=1.0, filter={"enabled": False}, horizon=100))
    assert plain != of_search(settings(environment={"id": "Hopper-v5", "options": {"a": 1}}))
    assert plain != of_search(settings() | {"evaluation": {"episodes": 10}})
    game = {"environment": {"id": "atari/pong", "options": {"threads": 2}}}
    assert of_training(game, False).startswith("atari/pong, protocol paper: last")
    sticky = {
        "environment": {"id": None, "options": {"sticky": 0.25}, "tasks": [{"id": "atari/pong"}]}
    }
    assert "atari/pong, protocol paper, but sticky=0.25" in of_training(sticky, True)
    assert of_evaluation({}) == "unknown episodes, policy unknown"
    parts = apart({"a": 1, "b": 2, "c": 3}, lambda group: str(group % 2))
    assert parts == {"1": {"a": 1, "c": 3}, "0": {"b": 2}}


@pytest.mark.parametrize(
    ("heldout", "apart_"),
    [
        ({}, False),
        ({"evaluation": {"policy": "greedy"}}, True),
        ({"settings": {"environment": {"options": {"max_episode_steps": 9}}}}, True),
    ],
)
def test_a_winner_held_out_otherwise_is_no_part_of_its_trials_table(heldout, apart_, monkeypatch):
    monkeypatch.setattr(proof_report, "validations", lambda view: {})
    study = {
        "train": {"frames": 640, "environment": {"id": "CartPole-v1"}},
        "space": {"agent.discount": {"kind": "real", "low": 0.9, "high": 0.99}},
        "stages": [{"method": "random", "trials": 2}],
        "heldout": heldout,
    }
    found = {"returns": [9.0, 11.0], "mean_return": 10.0}
    tests = [{"score": 10.0, "evaluation": found}]
    trials = types.SimpleNamespace(view=None, tests=tests, scored=[1, 2], winner_reason="")
    best = types.SimpleNamespace(
        number=0, score=12.0, evaluation=found, point={"agent.discount": 0.95}
    )
    page = proof_report.proof(best, trials, SearchSettings.parse(study))
    assert page.count("<table") == 1 + apart_
    assert ("another protocol" in page) == apart_ == ("difference" not in page.split("<p")[0])


@pytest.mark.parametrize("held", ["sample", "greedy"])
def test_replays_evaluated_otherwise_share_no_table_with_the_population(held, tmp_path):
    leg = {"trial": 0, "begin": 0, "end": 100, "point": {"agent.discount": 0.9}}
    summary = {
        **{"trial": 0, "member": 0, "frames": 100, "legs": [leg], "score": 9.0},
        **{"scores": [(100, 9.0)], "heldout": [5.0, 6.0], "heldout_settings": {}},
        **{"own_seeds": None, "same_weights": None, "policies": ["sample", held]},
        "replays": [{"replay": 1, "scores": [(100, 7.0)], "score": 7.0, "reason": ""}],
    }
    (tmp_path / "replays" / "a").mkdir(parents=True)
    write_json(tmp_path / "replays" / "a" / SUMMARY, summary)
    page = replay_report.replays_section(tmp_path)
    assert page.count("<table") == (2 if held == "sample" else 3)  # and the schedule's
    assert ("do not compare" in page) == (held == "greedy")
    shown = replay_report.replays_table(summary)
    assert bool(shown.caption) == (held == "greedy")
