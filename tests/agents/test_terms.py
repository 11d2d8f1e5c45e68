"""What a learner listens to: what its own actors send, and nothing that differs in anything."""

import dataclasses

import numpy as np
import pytest
import torch

from veldt.agents import feed
from veldt.agents.actor import Player
from veldt.agents.build import environment_spec, make_agent, make_environments
from veldt.agents.conformance import synthetic_unroll
from veldt.agents.inference import Stacks, newest
from veldt.agents.inputs import Memory
from veldt.agents.settings import TrainSettings
from veldt.agents.terms import Terms
from veldt.platform import wire
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete
from veldt.platform.errors import WireError
from veldt.platform.keys import Key
from veldt.platform.tickets import Place

pytestmark = pytest.mark.filterwarnings("ignore:.*out of date")
SETTINGS = TrainSettings.parse(
    {
        "environment": {"tasks": [{"id": "CartPole-v0"}, {"id": "CartPole-v1"}]},
        "frames": 1000,
        "agent": {"name": "impala", "network": {"core": "lstm", "core_size": 4}},
        "actors": {"count": 2, "environments": 3, "unroll_length": 5},
    }
)
STACKED = Observations((4, 84, 84), "uint8", stack=4)
ASK = wire.Ask(actor=1, incarnation=0, number=0, version=0, step=5)


@pytest.fixture(scope="module")
def agreed():
    """The terms, and an unroll of actor 1 that keeps to them."""
    spec = environment_spec(SETTINGS)
    agent = make_agent(SETTINGS, spec)
    environments = make_environments(SETTINGS, 3, task=SETTINGS.task_of(1))
    unroll, *_ = Player(agent, environments, 5, Key(0), SETTINGS.task_of(1)).unroll(0, fresh=True)
    environments.close()
    return Terms(SETTINGS, spec, agent, Place()), unroll.arrays(), spec, agent


def delivery(actor=1):
    return wire.Delivery(actor=actor, incarnation=0, number=0, version=0, episodes=[], seconds={})


def test_the_channel_is_told_what_each_actor_plays(agreed, monkeypatch, tmp_path):
    _, _, spec, agent = agreed
    told = []

    def channel(*_, plays):
        told.append(plays)
        raise LookupError

    monkeypatch.setattr(feed, "LearnerChannel", channel)
    for place in (Place(), Place(1, 2)):
        with pytest.raises(LookupError):
            feed.Feed(SETTINGS, spec, agent, tmp_path, None, 0, torch.device("cpu"), place)
    # Of two learners that share the actors the second's all have odd numbers.
    assert told == [["CartPole-v0", "CartPole-v1"], ["CartPole-v1", "CartPole-v1"]]


def test_an_actors_own_unroll_is_taken(agreed):
    terms, arrays, *_ = agreed
    terms(delivery(), arrays)
    with pytest.raises(WireError, match="plays task 0"):
        terms(delivery(actor=0), arrays)


def test_an_unroll_that_differs_anywhere_is_not(agreed):
    terms, arrays, *_ = agreed
    for name, array in arrays.items():
        fewer = {other: arrays[other] for other in arrays if other != name}
        as_16 = arrays | {name: array.astype(np.float16)}
        wider = arrays | {name: np.concatenate([array, array], -1)}
        for wrong in (fewer, as_16, wider) if array.shape[-1] else (fewer, as_16):
            with pytest.raises(WireError):
                terms(delivery(), wrong)
    shorter = {
        name: array[:-1] if len(array) in (5, 6) and name != "state" else array
        for name, array in arrays.items()
    }
    with pytest.raises(WireError):
        terms(delivery(), shorter)


def test_a_question_is_checked_as_well(agreed):
    terms, _, spec, agent = agreed
    seen = Memory(spec, 3, agent.state_size).inputs(np.zeros((3, 4), np.float32))
    arrays = {name: tensor.numpy() for name, tensor in seen._asdict().items()}
    arrays |= newest(arrays["observation"], arrays["first"], spec.observations)
    terms(ASK, arrays)
    for name in arrays:
        for wrong in (
            {other: arrays[other] for other in arrays if other != name},
            arrays | {name: arrays[name].astype(np.float64)},
            arrays | {name: np.zeros((2, *arrays[name].shape[1:]), arrays[name].dtype)},
        ):
            with pytest.raises(WireError, match="question"):
                terms(ASK, wrong)
    with pytest.raises(WireError, match="step 6 of 5"):
        terms(ASK.model_copy(update={"step": 6}), arrays)


def test_nothing_that_an_actor_may_send_is_longer_than_the_limits(agreed):
    """With an episode that ends in every step, and frames in stacks."""
    T, B, spec = 5, 3, EnvironmentSpec("s", STACKED, discrete(7), 4)
    settings = TrainSettings.parse(
        {
            "environment": {"id": "atari/pong"},
            "frames": 1000,
            "agent": {"name": "impala", "network": {"core": "lstm", "core_size": 4}},
            "actors": {"count": 2, "environments": B, "unroll_length": T},
        }
    )
    agent = make_agent(settings, spec)
    terms = Terms(settings, spec, agent, Place())
    unroll = synthetic_unroll(agent, spec, T, B, 0)
    steps, places = np.indices((T, B)), np.indices((T + 1, B))
    whole = dataclasses.replace(
        unroll,
        final_index=steps.reshape(2, -1).T.copy(),
        final_observation=np.zeros((T * B, *STACKED.shape), np.uint8),
        stack_index=places.reshape(2, -1).T.copy(),
        stack_older=np.zeros(((T + 1) * B, *STACKED.older), np.uint8),
    ).arrays()
    episodes = [(-1.7976931348623157e308, 10**9)] * (T * B)
    header = delivery(actor=0).model_copy(update={"episodes": episodes})
    terms(header, whole)
    head, body = wire.pack(header, wire.Body(whole))
    assert len(head) <= terms.limits.head
    assert 0.9 * terms.limits.frame < len(body) <= terms.limits.frame
    seen = Memory(spec, B, agent.state_size).inputs(np.zeros((B, *STACKED.shape), np.uint8))
    question = {name: tensor.numpy() for name, tensor in seen._asdict().items()}
    question |= newest(question["observation"], question["first"], STACKED)
    terms(ASK, question)
    size = wire.size_of(question)
    assert 0.9 * terms.limits.question < size <= terms.limits.question


@pytest.mark.parametrize("rounds", [1, 2])
def test_stacks_are_whole_again_where_only_the_newest_frame_travels(rounds):
    random = np.random.default_rng(0)
    one = Stacks(rounds)
    whole = random.integers(0, 256, (3, *STACKED.shape), np.uint8)
    for step in range(0, 20, rounds):
        anew = random.random(3) < 0.3
        fresh = random.integers(0, 256, whole.shape, np.uint8)
        moved = np.concatenate([whole[:, 1:], fresh[:, -1:]], 1)
        whole = np.where(anew[:, None, None, None], fresh, moved)
        sent = newest(whole, anew | (step == 0), STACKED)
        assert sent["observation"].shape == (3, *STACKED.frame)
        tensors = {name: torch.from_numpy(array) for name, array in sent.items()}
        header = ASK.model_copy(update={"step": step})
        np.testing.assert_array_equal(one.follow(header, tensors), whole)
    assert one.follow(header.model_copy(update={"number": 7}), tensors) is None
    assert Stacks().follow(ASK.model_copy(update={"step": 0}), tensors) is None
