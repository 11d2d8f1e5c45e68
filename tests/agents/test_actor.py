"""Unrolls: what an actor writes down is what happened."""

import collections
import types
from typing import ClassVar

import numpy as np
import pytest
import torch

from veldt.agents import actor
from veldt.agents.actor import Player
from veldt.agents.followers import FAULTS
from veldt.agents.impala import Impala, ImpalaSettings
from veldt.agents.inference import RemoteAgent
from veldt.agents.inputs import Memory, with_older
from veldt.agents.networks.actor_critic import initialise
from veldt.agents.staging import to_batch
from veldt.platform import wire
from veldt.platform.envs import catalogue
from veldt.platform.errors import CodeError, Diverged, EnvironmentFault, WireError
from veldt.platform.keys import Key
from veldt.platform.tickets import Place

T, B = 30, 4


def player(length=T, **options):
    environments = catalogue.make("CartPole-v1", B, options)
    agent = initialise(lambda: Impala(ImpalaSettings(), environments.spec), 0)
    return Player(agent, environments, length, Key(3).child("actor", 0))


def test_entry_t_is_what_was_seen_before_action_t():
    """Replays the recorded actions in environments of the same key."""
    made, episodes, _ = player(max_episode_steps=12).unroll(5, fresh=True)
    twin = catalogue.make("CartPole-v1", B, {"max_episode_steps": 12})
    seen = twin.reset(Key(3).child("actor", 0).child("episodes", 5))
    first, ended, finals = np.ones(B, bool), [], []
    for t in range(T):
        np.testing.assert_array_equal(made.observation[t], seen)
        np.testing.assert_array_equal(made.first[t], first)
        step = twin.step(made.action[t])
        np.testing.assert_array_equal(made.reward[t], step.reward)
        np.testing.assert_array_equal(made.terminated[t], step.terminated)
        np.testing.assert_array_equal(made.truncated[t], step.truncated)
        finals += [
            (t, row, *o) for row, o in zip(step.final_rows, step.final_observation, strict=True)
        ]
        ended += [(e.episode_return, e.steps) for e in step.episodes]
        seen, first = step.observation, step.terminated | step.truncated
    np.testing.assert_array_equal(made.observation[T], seen)
    assert episodes == ended and len(ended) > 4
    assert len(finals) == len(made.final_index) > 0
    np.testing.assert_array_equal(made.final_index, [f[:2] for f in finals])
    np.testing.assert_allclose(made.final_observation, [f[2:] for f in finals])
    assert made.terminated.any() and made.truncated.any()


@pytest.mark.parametrize("options", [{}, {"max_frames": 8}, {"max_frames": 44, "stack": 3}])
def test_frames_become_the_stacks_that_were_seen(options):
    """In games of two steps and more, over two unrolls, and where lives are lost."""
    environments = catalogue.make("atari/breakout", 3, options)
    agent = initialise(lambda: Impala(ImpalaSettings(), environments.spec), 0)
    one, key = Player(agent, environments, 60, Key(3)), Key(3).child("episodes", 5)
    made = [one.unroll(5, fresh=True)[0], one.unroll(6, fresh=False)[0]]
    twin = catalogue.make("atari/breakout", 3, options)
    seen = twin.reset(key)
    ends = 0
    for unroll in made:
        assert unroll.observation.shape == (61, 3, 1, 84, 84)
        whole = to_batch(unroll, torch.device("cpu")).observation.numpy()
        np.testing.assert_array_equal(whole[0], seen)
        for t in range(60):
            step = twin.step(unroll.action[t])
            seen = step.observation
            np.testing.assert_array_equal(whole[t + 1], seen)
            ends += len(step.episodes)
    assert ends >= 6 or not options
    assert sum(len(unroll.stack_index) for unroll in made) == ends + 2 * 3
    for vector in (environments, twin):
        vector.close()


@pytest.mark.parametrize("stack", [2, 4])
def test_stacks_follow_from_newest_frames(stack):
    """Against a deque for each environment, with episodes shorter than a stack."""
    random = np.random.default_rng(stack)
    T1, B, channels = 25, 5, 2
    newest = random.integers(0, 256, (T1, B, channels, 3), np.uint8)
    anew = random.random((T1, B)) < 0.4
    anew[0] = True
    index = np.argwhere(anew)[random.permutation(int(anew.sum()))]
    index = index[np.argsort(index[:, 0], kind="stable")]
    older = random.integers(0, 256, (len(index), (stack - 1) * channels, 3), np.uint8)
    expected = np.empty((T1, B, stack * channels, 3), np.uint8)
    for b in range(B):
        frames = collections.deque(maxlen=stack)
        for t in range(T1):
            if anew[t, b]:
                row = older[np.flatnonzero((index == (t, b)).all(1))[0]]
                frames.extend(row.reshape(stack - 1, channels, 3))
            frames.append(newest[t, b])
            expected[t, b] = np.concatenate(frames)
    got = with_older(*map(torch.from_numpy, (newest, index, older)))
    np.testing.assert_array_equal(got.numpy(), expected)


def test_unrolls_join_without_a_gap():
    one = player()
    first, _, _ = one.unroll(0, fresh=True)
    second, _, _ = one.unroll(1, fresh=False)
    np.testing.assert_array_equal(first.observation[T], second.observation[0])
    np.testing.assert_array_equal(first.first[T], second.first[0])


def test_the_behaviour_policy_is_that_of_the_policy_that_acted():
    one = player()
    made, _, _ = one.unroll(0, fresh=True)
    with torch.no_grad():
        said = one._agent.network.unroll(to_batch(made, torch.device("cpu")))
    torch.testing.assert_close(torch.from_numpy(made.behaviour_policy), said.policy[:-1])


def test_an_unroll_depends_on_its_number_and_the_key_alone():
    first, again = (player().unroll(7, fresh=True)[0] for _ in range(2))
    late = player()
    late.unroll(2, fresh=True)
    after = late.unroll(7, fresh=True)[0]
    other = player().unroll(8, fresh=True)[0]
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])
        np.testing.assert_array_equal(array, after.arrays()[name])
    assert not np.array_equal(first.observation, other.observation)


@pytest.mark.parametrize(
    "name",
    [
        "CartPole-v1",
        "FrozenLake-v1",
        "atari/pong",
        "Pendulum-v1",
        "minigrid:MiniGrid-Empty-5x5-v0",
    ],
)
def test_every_kind_of_environment_is_played(name):
    environments = catalogue.make(name, 2, {})
    agent = initialise(lambda: Impala(ImpalaSettings(), environments.spec), 0)
    made, _, seconds = Player(agent, environments, 5, Key(0)).unroll(0, True)
    shown = environments.spec.observations
    whole = to_batch(made, torch.device("cpu")).observation
    assert whole.shape == (6, 2, *shown.shape)
    assert made.observation.shape == (6, 2, *shown.frame)
    assert made.observation.dtype == shown.dtype
    assert seconds.keys() == {"environment", "inference"}
    environments.close()


class Told:
    """A learner's end that takes note of faults."""

    settings: ClassVar = {"frames": 1, "environment": {"id": "CartPole-v1"}}
    place = Place(0, 1)
    heard = None

    def __init__(self, alive, certificate, **where):
        Told.heard = None

    def work(self, version):
        raise self.error

    def fault(self, reason, traceback="", diverged=False):
        said = {"reason": reason, "traceback": traceback, "diverged": diverged}
        Told.heard = wire.Fault(actor=0, incarnation=0, **said)

    def close(self):
        pass


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyError("x"), CodeError),
        (EnvironmentFault("it says NaN"), EnvironmentFault),
        (Diverged("its policy is NaN"), Diverged),
        (MemoryError("no room"), None),
        (WireError("who are you?"), None),
    ],
)
def test_what_code_raises_is_said_and_what_the_machine_lacks_ends_the_process(
    monkeypatch, error, kind
):
    monkeypatch.setattr(actor, "ActorChannel", Told)
    monkeypatch.setattr(Told, "error", error, raising=False)
    argument = {"certificate": None, "address": "", "run": "", "actor": 0, "incarnation": 0}
    argument["page"] = {"path": "", "offset": 0, "environments": 1}
    if kind is None:
        with pytest.raises(type(error)):
            actor.main(argument)
        return
    actor.main(argument)
    found = Told.heard.error
    assert type(found) is kind
    if kind is CodeError:
        assert found.reason == "KeyError: 'x'" and "in work" in str(found)
        again = FAULTS["CodeError"](*found.args)  # by way of another learner
        assert str(again) == str(found)


@pytest.mark.parametrize("wrong", ["policy", "state", None])
def test_an_answer_that_is_not_finite_is_the_networks_fault(wrong):
    environments = catalogue.make("CartPole-v1", B, {})
    seen = Memory(environments.spec, B, 0).inputs(environments.reset(Key(0)))
    environments.close()
    answer = {"action": np.zeros(B, np.int64), "policy": np.zeros((B, 2), np.float32)}
    answer |= {"state": np.zeros((B, 1), np.float32)}
    if wrong is not None:
        answer[wrong][1, 0] = np.nan
    channel = types.SimpleNamespace(ask=lambda ticket, step, arrays: answer)
    remote = RemoteAgent(channel, 0, environments.spec)
    remote.begin(wire.Work(number=0, version=0, fresh=True))
    if wrong is None:
        assert remote.act(seen, None).action.tolist() == [0] * B
        return
    with pytest.raises(Diverged, match=f"network's {wrong} is not finite where it acts in Cart"):
        remote.act(seen, None)


def in_groups(name, options, groups, size=4):
    vectors = [catalogue.make(name, size // groups, options) for _ in range(groups)]
    agent = initialise(lambda: Impala(ImpalaSettings(), vectors[0].spec), 0)
    return Player(agent, vectors, 40, Key(3).child("actor", 0))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CartPole-v1", {"max_episode_steps": 11}),
        ("atari/breakout", {"max_frames": 44}),  # steps on threads of its own
    ],
)
def test_groups_make_the_trajectories_of_one(name, options):
    one, two = in_groups(name, options, 1), in_groups(name, options, 2)
    for number in (5, 6):
        whole, episodes, _ = one.unroll(number, fresh=number == 5)
        parts, others, _ = two.unroll(number, fresh=number == 5)
        assert episodes == others and episodes and len(whole.final_index)
        for field, array in whole.arrays().items():
            got = parts.arrays()[field]
            assert got.dtype == array.dtype
            np.testing.assert_allclose(got, array, atol=1e-6, err_msg=field)
    one.close()
    two.close()


def test_one_group_steps_while_another_is_thought_about():
    done = []

    class Vector:
        def __init__(self, name):
            self._name = name
            self._inner = catalogue.make("CartPole-v1", 1, {})
            self.spec, self.size = self._inner.spec, 1

        def reset_from(self, key, first):
            done.append(f"reset {self._name} from {first}")
            return self._inner.reset_from(key, first)

        def send(self, action):
            done.append(f"send {self._name}")
            self._step = self._inner.step(action)

        def receive(self):
            done.append(f"receive {self._name}")
            return self._step

        def step(self, action):
            raise AssertionError("it steps by itself")

        def reset(self, key):
            raise AssertionError("it is not alone")

        def close(self):
            pass

    vectors = [Vector("a"), Vector("b")]
    agent = initialise(lambda: Impala(ImpalaSettings(), vectors[0].spec), 0)
    Player(agent, vectors, 2, Key(0)).unroll(0, fresh=True)
    assert done == [
        *("reset a from 0", "reset b from 1", "send a", "send b"),
        *("receive a", "send a", "receive b", "send b", "receive a", "receive b"),
    ]
