"""Scores of trials: literal sums over tasks, and two real games played at once."""

import pytest

from veldt.agents.settings import TrainSettings
from veldt.platform.envs.atari_scores import table
from veldt.platform.errors import SettingsError
from veldt.search.scoring import ScoringSettings, scored
from veldt.search.settings import SearchSettings
from veldt.search.trial import Job
from veldt.search.works.training_run import run

GAMES = ("pong", "freeway", "boxing")


def train(games=GAMES, **more):
    tasks = [{"id": f"atari/{game}"} for game in games]
    return {"frames": 640, "environment": {"tasks": tasks}} | more


def found(returns):
    """An evaluation of several tasks, as `agents.evaluate.score` has it."""
    return {
        "tasks": {
            f"atari/{game}": {
                "returns": values,
                "mean_return": sum(values) / len(values),
                "steps": 10,
            }
            for game, values in returns.items()
        }
    }


@pytest.mark.parametrize("how", ["mean_return", "normalised", "capped_normalised"])
def test_a_score_is_the_mean_over_the_tasks(how):
    returns = {"pong": [-21.0, -3.0], "freeway": [40.0, 30.0], "boxing": [12.0, 0.5]}
    literal = 0.0
    for game, values in returns.items():
        mean = sum(values) / 2
        people = table()[game]
        if how != "mean_return":
            mean = (mean - people.random) / (people.human - people.random)
        if how == "capped_normalised":
            mean = min(1.0, mean)  # freeway: people have 29.6
        literal += mean / 3
    settings = ScoringSettings(score=how)
    made = scored(found(returns), TrainSettings.parse(train()), settings)
    assert made["mean_return"] == pytest.approx(literal, rel=1e-12)
    assert len(made["returns"]) == 2 == made["episodes"] and made["steps"] == 30
    assert made["tasks"]["atari/freeway"]["returns"] == [40.0, 30.0]


def test_one_game_is_capped_too():
    one = TrainSettings.parse({"frames": 640, "environment": {"id": "atari/freeway"}})
    played = {"returns": [40.0, 30.0], "mean_return": 35.0, "steps": 10}
    assert scored(played, one, ScoringSettings()) is played
    capped = scored(played, one, ScoringSettings(score="capped_normalised"))
    assert capped["mean_return"] == 1.0 and capped["returns"] == [1.0, 1.0]
    free = scored(played, one, ScoringSettings(score="normalised"))
    assert free["mean_return"] == pytest.approx(35.0 / 29.6)


def study(evaluation, environment, **more):
    return {
        "train": {"frames": 640, "environment": environment},
        "space": {"agent.discount": {"kind": "real", "low": 0.9, "high": 0.99}},
        "stages": [{"method": "random", "trials": 2}],
        "evaluation": evaluation,
    } | more


def test_what_is_proved_is_scored_alike():
    game = {"id": "atari/pong"}
    capped = {"score": "capped_normalised"}
    made = SearchSettings.parse(study(capped, game, heldout={"evaluation": {"episodes": 7}}))
    assert made.heldout.evaluation.score == "capped_normalised"
    assert made.heldout.evaluation.episodes == 7
    assert SearchSettings.parse(made.dump()) == made
    with pytest.raises(SettingsError, match=r"heldout.evaluation.score must be what"):
        other = {"evaluation": {"score": "normalised"}}
        SearchSettings.parse(study(capped, game, heldout=other))
    with pytest.raises(SettingsError, match="not of CartPole-v1; take mean_return"):
        SearchSettings.parse(study(capped, {"id": "CartPole-v1"}))
    with pytest.raises(SettingsError, match=r"evaluation.score.*mean_return"):
        SearchSettings.parse(study({"score": "median"}, game))


def test_a_trial_of_two_games(tmp_path):
    """For real: every task is played, not only the first."""
    options = {"max_frames": 400, "full_action_space": True}
    made = TrainSettings.parse(
        train(
            ("pong", "boxing"),
            environment={
                "tasks": [{"id": "atari/pong"}, {"id": "atari/boxing"}],
                "options": options,
            },
            agent={"name": "impala", "network": {"torso": "shallow"}},
            actors={"count": 2, "environments": 2, "unroll_length": 10},
        )
    )
    job = Job(
        name="trial-0000",
        study=str(tmp_path),
        settings=made.dump(),
        evaluation={"episodes": 2, "score": "capped_normalised"},
        evaluation_seed=3,
        folder=str(tmp_path / "trial-0000"),
    )
    (tmp_path / "trial-0000").mkdir()
    outcome = run(job, lambda: False)
    tasks = outcome.evaluation["tasks"]
    assert tasks.keys() == {"atari/pong", "atari/boxing"}
    means = [
        table()[game].normalised(tasks[f"atari/{game}"]["mean_return"])
        for game in ("pong", "boxing")
    ]
    assert outcome.score == pytest.approx(sum(min(1.0, mean) for mean in means) / 2)
    assert all(len(task["returns"]) == 2 for task in tasks.values())
