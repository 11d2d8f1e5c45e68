"""Replay: what is kept, how it is drawn, and what is refused."""

import numpy as np
import pytest

from veldt.agents.build import environment_spec
from veldt.agents.conformance import synthetic_trajectory
from veldt.agents.replay import Kept, Replay, demand_memory
from veldt.agents.settings import TrainSettings
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete
from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key

SPEC = EnvironmentSpec("v", Observations((1,), "float32"), discrete(2), 1)


def marked(number):
    made = synthetic_trajectory(SPEC, 2, 1, number, policy_size=2)
    made.reward[:] = number
    return Kept(made, number // 2)


def test_the_oldest_make_room():
    replay = Replay(3, Key(0))
    replay.add([marked(n) for n in range(4)])
    replay.add([marked(4)])
    drawn = {(int(made.reward[0, 0]), version) for made, version in replay.draw(200, 0)}
    assert drawn == {(2, 1), (3, 1), (4, 2)} and len(replay) == 3


def test_all_are_equally_likely_and_chance_is_of_the_update():
    replay = Replay(10, Key(0))
    replay.add([marked(n) for n in range(10)])
    first, again, other = (
        [int(made.reward[0, 0]) for made, _ in replay.draw(5000, update)] for update in (1, 1, 2)
    )
    assert first == again != other
    counts = np.bincount(first, minlength=10)
    assert abs(counts - 500).max() < 100  # 5 deviations


def settings(**learner):
    return TrainSettings.parse(
        {"environment": {"id": "atari/pong"}, "frames": 10, "learner": {"batch": 4, **learner}}
    )


@pytest.mark.parametrize(
    "learner, words",
    [
        ({"replay": 10}, "replay and replayed are given together"),
        ({"replayed": 1}, "replay and replayed are given together"),
        ({"replay": 10, "replayed": 4}, "something has to be fresh"),
    ],
)
def test_what_makes_no_sense_is_refused(learner, words):
    with pytest.raises(SettingsError, match=words):
        settings(**learner)


@pytest.mark.parametrize(("agent", "lag"), [("impala", 3), ("a2c", 0), ("ppo", 1)])
def test_agents_on_policy_replay_nothing_and_act_with_their_newest_weights(agent, lag):
    data = {"environment": {"id": "CartPole-v1"}, "frames": 10, "agent": {"name": agent}}
    data |= {"actors": {"count": 6}, "learner": {"batch": 2}}
    found = TrainSettings.parse(data)
    assert found.max_lag == lag and found.lag_is_bound == (agent != "impala")
    assert [line[:14] for line in found.remarks] == (
        [f"of 6 actors {2 * (lag + 1)} "] if lag < 2 else []
    )
    assert TrainSettings.parse(data | {"learner": {"batch": 2, "max_lag": 9}}).max_lag == 9
    replay = data | {"learner": {"batch": 2, "replay": 10, "replayed": 1}}
    if agent == "impala":
        assert TrainSettings.parse(replay).learner.replayed == 1
    else:
        with pytest.raises(SettingsError, match=f"learner.replay: {agent} learns from its newest"):
            TrainSettings.parse(replay)


def test_a_deterministic_run_replays_nothing():
    data = settings(replay=10, replayed=2).dump() | {"deterministic": True}
    with pytest.raises(SettingsError, match="checkpoints do not hold"):
        TrainSettings.parse(data)


def test_more_than_the_machine_holds_is_refused():
    few, many = settings(replay=10, replayed=2), settings(replay=10**6, replayed=2)
    spec = environment_spec(few)
    demand_memory(few, spec)
    with pytest.raises(
        SettingsError, match=r"1,000,000 trajectories are 2,370.8 GB .* keep at most"
    ):
        demand_memory(many, spec)


def test_budgets_count_what_is_fresh():
    assert settings(replay=10, replayed=3).steps_per_update == 20 * 16
    assert settings().steps_per_update == 20 * 16 * 4
