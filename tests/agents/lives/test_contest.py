"""A contest of losses: what a life counts for, for whoever lived it."""

import dataclasses

import numpy as np
import pytest
from small_losses import SMALL

from veldt.agents.environment_settings import TaskSettings
from veldt.agents.lives import loss_file
from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.contest import Contest, Record, counted
from veldt.agents.lives.curve import Curve
from veldt.agents.lives.learned_loss import LearnedLoss
from veldt.agents.lives.loss_file import Frozen
from veldt.agents.lives.response import loss_response
from veldt.agents.lives.settings import LifeSettings, demand_family
from veldt.agents.lives.world import World
from veldt.platform import checkpoints
from veldt.platform.envs.vector import Episode
from veldt.platform.errors import BrokenCheckpoint, InputError
from veldt.platform.keys import Key
from veldt.search.problems.lives import LivesProblem, LivesSettings


def record(*lives):
    """Of lives (return, reward between updates, ...)."""
    rows = np.array(lives, float)
    return Record(rows[:, 0], rows[:, 1:], {})


def frozen(environment="family/direction", **life):
    """A learned loss that nothing was evolved of."""
    data = {"environment": {"id": environment}, "hidden": [8], "buffer": 64, "updates": 2}
    lived = LifeSettings.parse(data | {"final_episodes": 1} | life)
    spec = demand_family(lived)
    (seen,) = spec.observations.shape
    network = LearnedLoss(SMALL, Anatomy(seen, spec.actions, (8,), False, (2, 3)))
    numbers = network.begin(np.random.default_rng(0)).astype(np.float32)
    return Frozen(numbers, SMALL, lived, seen, spec.actions, {})


def contest(loss, lives=3):
    return Contest(loss, loss.life, lives, Key(0))


def test_a_broken_life_counts_as_the_worst_of_all_for_everybody():
    nan = np.nan
    found = counted(
        {
            "one": record((4, 1, 3), (nan, 9, 9)),
            "other": record((nan, 0, 0), (-2, 5, 7)),
            "longer": record((8, 1, 1, 1), (nan, 0, 0, 0)),
        }
    )
    assert {name: r.broken for name, r in found.items()} == dict.fromkeys(found, 1)
    assert found["one"].returns.tolist() == [4, -2] and found["one"].areas.tolist() == [2, 1]
    assert found["other"].returns.tolist() == [-2, -2] and found["other"].areas.tolist() == [1, 6]
    assert found["longer"].curve.tolist() == [[1, 1, 1], [1, 1, 1]]
    none = counted({"one": record((nan, 1))})["one"]
    assert none.broken == 1 and np.isnan([none.returns[0], none.areas[0]]).all()


def test_lives_by_a_loss_that_breaks_them_are_counted():
    loss = frozen()
    one = contest(dataclasses.replace(loss, parameters=np.full_like(loss.parameters, 1e30)))
    records = counted({"epg": one.evolved(), "random": one.random()})
    assert (records["epg"].broken, records["random"].broken) == (3, 0)
    lowest = records["random"].returns.min()
    assert records["epg"].returns.tolist() == pytest.approx([lowest] * 3)


def test_lives_begin_with_the_first_policy_that_was_evolved(tmp_path):
    """From the file of a search to the bench."""
    life = {"environment": {"id": "family/direction"}, "hidden": [8], "buffer": 64, "updates": 1}
    data = {"life": life | {"final_episodes": 1}, "loss": SMALL, "initialisation": True}
    problem = LivesProblem(LivesSettings.parse(data), Key(0))
    candidate = problem.start.copy()
    candidate[-4:] = 3.0, -3.0, -20.0, -20.0  # the last bias: where it goes, whatever it sees
    path = tmp_path / "loss.safetensors"
    checkpoints.save_arrays(path, problem.policy(candidate), problem.words)
    loss = loss_file.load(path)
    one = contest(loss)
    keys = [Key(0).child("test", i) for i in range(3)]
    expected = [score.fitness for score in problem.test(candidate, keys, lambda: None)]
    assert one.evolved().returns.tolist() == pytest.approx(expected, rel=1e-3)
    fresh, still = one.evolved(fresh=True).returns, one.random(evolved=True).returns
    assert not np.allclose(fresh, expected, rtol=0.01)
    assert not np.allclose(still, one.random().returns, rtol=0.01)
    wider = loss.life.model_copy(update={"hidden": (9,)})
    with pytest.raises(InputError, match=r"these policies have \d+: let lives be"):
        Contest(loss, wider, 3, Key(0))
    arrays = problem.policy(candidate)
    checkpoints.save_arrays(path, arrays | {"policy": arrays["policy"][1:]}, problem.words)
    with pytest.raises(BrokenCheckpoint, match="finite first weights of a policy"):
        loss_file.load(path)


def test_a_curve_is_of_the_episodes_that_ended():
    """Two lives, five updates of two steps: episodes 3 + 4 and 1, and one that does not end."""
    curve = Curve(2)
    one = [(3, None), (4, 7), (0, None), (0, None), (0, None), (1, 1), (2, 2), (5, 5), (9, None)]
    curve.update()  # nothing has ended
    for step, (reward, ended) in enumerate(one):
        episodes = [] if ended is None else [Episode(0, ended, 1)]
        curve.take(np.array([reward, 1.0], np.float32), episodes)
        if step % 2:
            curve.update()
    assert curve.rows().tolist() == [[7.0, 7.0, 7.0, 1.0, 3.5], [9.0] * 5]


def graded(monkeypatch, grade):
    """A contest whose lives are not lived: grade(settings, purpose) has (return, area, broken)."""
    asked = []

    def live(self, purpose, life, anatomy, blend, options, policy=None):
        asked.append((purpose, life.learning_rate, life.epochs))
        end, area, broken = grade(life, purpose)
        return Record(np.array([end, np.nan if broken else end]), np.full((2, 3), area), {})

    monkeypatch.setattr(Contest, "_live", live)
    return contest(frozen()), asked


def test_settings_of_the_grid_are_chosen_on_lives_of_their_own(monkeypatch):
    def grade(life, purpose):
        if purpose == "test":
            return 7.0, 1.0, False
        broken = (life.learning_rate, life.epochs) == (3e-4, 4)  # the best, but for one life
        end = 99.0 if broken else 5.0 * (life.learning_rate == 0.01) + (life.epochs == 4)
        return end, 3.0 * (life.learning_rate == 0.03) - life.epochs, broken

    one, asked = graded(monkeypatch, grade)
    found = one.by_hand("ppo")
    tried = len(list(one.grid()))
    assert tried == 45 and [purpose for purpose, *_ in asked] == ["tune"] * tried + ["test"] * 2
    assert asked[-2:] == [("test", 0.01, 4), ("test", 0.03, 1)]
    assert (found.by_return.settings["learning_rate"], found.by_return.settings["epochs"]) == (
        0.01,
        4,
    )
    assert found.by_area.settings["learning_rate"] == 0.03
    assert found.by_return.returns.tolist() == [7.0, 7.0]  # of the test
    keys = one._keys
    assert not set(map(str, keys["tune"])) & set(map(str, keys["test"]))


def test_each_life_has_a_loss_of_its_own_that_was_not_evolved():
    loss = frozen()
    many, same = contest(loss, 6), contest(loss, 6)
    one, other = many.unevolved(), same.unevolved()
    assert one.returns.tolist() == other.returns.tolist()
    network = LearnedLoss(SMALL, loss.anatomy(loss.life.hidden, many._spec))
    for life in (0, 5):  # each lives as if all had its loss
        own = network.begin(many._keys["test"][life].child("first").generator())
        alone = many._by_network(own.astype(np.float32), loss.life, "test")
        assert np.isclose(one.returns, alone.returns, rtol=1e-4).tolist() == [
            place == life for place in range(6)
        ]


def test_what_is_blind_sees_no_rewards():
    loss, seen = frozen(), []
    plain = LearnedLoss.__call__

    def watched(self, parts, channels, *rest):
        seen.append(channels[..., -2].abs().max().item())
        return plain(self, parts, channels, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LearnedLoss, "__call__", watched)
        contest(loss).evolved()
        assert max(seen) > 0.0
        seen.clear()
        contest(loss).evolved(blind=True)
    assert seen and max(seen) == 0.0


@pytest.mark.parametrize("steps", [2, 3, 10])
def test_what_a_loss_asks_for_however_short_its_updates_are(steps):
    loss = frozen(steps=steps, minibatch=steps, buffer=16)
    rewards, ratios = np.array([-1.0, 0.0, 2.0]), np.array([-0.5, 0.0, 0.5])
    found = loss_response(loss, rewards, ratios)
    assert found.shape == (3, 3) and np.isfinite(found).all()
    assert (found[:, 1] == 0.0).all() and found[:, [0, 2]].any()


def test_in_cartpole_who_learns_has_the_larger_area():
    """The mean reward of a step is 1 for all."""
    loss = frozen("CartPole-v1", updates=30, learning_rate=0.01, epochs=4)
    one = contest(loss, 6)
    ppo, still = one.as_lived("ppo"), one.random()
    assert not ppo.alike and not still.alike
    assert still.areas.mean() < 30.0 < 35.0 < ppo.areas.mean()
    assert ppo.curve[:, -5:].mean() > 2.0 * ppo.curve[:, :5].mean()


@pytest.mark.parametrize(
    ("family", "alike"),
    [("direction", True), ("directional-halfcheetah", True), ("random-hopper", False)],
)
def test_the_reward_of_a_step_tells_where_episodes_are_as_long(family, alike):
    world = World(TaskSettings(id=f"family/{family}"), 1)
    assert world.alike == alike
    world.close()


def test_a_policy_trained_on_the_right_and_fixed_goes_to_the_right_on_the_left_too():
    one = contest(frozen(updates=2, learning_rate=0.03, epochs=4), 8)
    found = one.fixed("right", ("right", "left"))
    right, left = found["right"], found["left"]
    assert right.returns.mean() > 15.0 and left.returns.mean() < -10.0  # not learning: 0
    assert right.areas * 50 == pytest.approx(right.returns)
