"""What a learner listens to: what its own actors send, and nothing that differs in anything."""

import dataclasses

import numpy as np
import pytest
import torch

from veldt.agents import feed
from veldt.agents.actor import Player
from veldt.agents.build import environment_spec, make_agent, make_environments
from veldt.agents.conformance import synthetic_unroll
from veldt.agents.contents import Contents
from veldt.agents.inference import Stacks, newest
from veldt.agents.inputs import Memory
from veldt.agents.settings import TrainSettings
from veldt.agents.terms import Terms
from veldt.platform import wire
from veldt.platform.envs.vector import Actions, EnvironmentSpec, Observations, Part, discrete
from veldt.platform.errors import Diverged, EnvironmentFault, WireError
from veldt.platform.keys import Key
from veldt.platform.tickets import Place
from veldt.platform.trajectory import Trajectory

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


def put(value, *place):
    """What changes an array at a place to a value."""

    def change(array):
        changed = array.copy()
        changed[place] = value
        return changed

    return change


SPACES = {
    "discrete": discrete(2),
    "multi_discrete": Actions("multi_discrete", (3, 2)),
    "box": Actions("box", low=(-1.0, -1.0), high=(1.0, 1.0)),
}
PARTS = (
    Part("speed", "numbers", (2,), "float32", 0),
    Part("mission", "words", (3,), "int32", 8),
    Part("map", "image", (1, 2, 2), "uint8", 20),
)
NUMBERS, ROWS = Observations((4,), "float32"), Observations((24,), "uint8", PARTS)


def played(shown, actions):
    """The terms of such an environment, an unroll that keeps to them, and a question."""
    spec = EnvironmentSpec("s", shown, SPACES[actions], 1)
    given = SETTINGS.dump() | {"environment": {"id": "CartPole-v1"}}
    settings = TrainSettings.parse(given)
    agent = make_agent(settings, spec)
    unroll = synthetic_unroll(agent, spec, 5, 3, seed=3)
    assert len(unroll.final_index) > 1 and unroll.terminated.any()
    seen = Memory(spec, 3, agent.state_size).inputs(unroll.observation[0])
    question = {name: tensor.numpy() for name, tensor in seen._asdict().items()}
    question |= newest(question["observation"], question["first"], spec.observations)
    return Terms(settings, spec, agent, Place()), unroll.arrays(), question


@pytest.mark.parametrize(
    ("shown", "actions", "name", "change"),
    [
        (NUMBERS, "discrete", "action", put(99, 2, 1)),
        (NUMBERS, "discrete", "action", put(2, 2, 1)),
        (NUMBERS, "discrete", "action", put(-1, 2, 1)),
        (NUMBERS, "multi_discrete", "action", put(2, 2, 1, 1)),
        (NUMBERS, "multi_discrete", "action", put(-1, 2, 1, 0)),
        (NUMBERS, "box", "action", put(np.nan, 2, 1, 1)),
        (NUMBERS, "discrete", "last_action", put(2, 1)),
        (NUMBERS, "discrete", "last_action", put(-1, 1)),
        (NUMBERS, "multi_discrete", "last_action", put(3, 1, 0)),
        (NUMBERS, "box", "last_action", put(-np.inf, 1, 0)),
        (NUMBERS, "discrete", "observation", put(np.nan, 2, 1)),
        (NUMBERS, "discrete", "final_observation", put(np.inf, 0, 3)),
        (ROWS, "discrete", "observation", put((255, 255, 255, 255), 2, 1, slice(12, 16))),
        (ROWS, "discrete", "observation", put((233, 3, 0, 0), 2, 1, slice(12, 16))),  # word 1001
        (ROWS, "discrete", "final_observation", put((233, 3, 0, 0), 0, slice(8, 12))),
        (ROWS, "discrete", "observation", put((0, 0, 192, 127), 2, 1, slice(4, 8))),  # NaN
        (NUMBERS, "discrete", "behaviour_policy", put(np.inf, 2, 1, 0)),
        (NUMBERS, "discrete", "reward", put(np.nan, 2, 1)),
        (NUMBERS, "discrete", "reward", put(-np.inf, 2, 1)),
        (NUMBERS, "discrete", "last_reward", put(np.inf, 1)),
        (NUMBERS, "discrete", "state", put(np.nan, 1, 0)),
        (NUMBERS, "discrete", "terminated", lambda array: ~array),
        (NUMBERS, "discrete", "truncated", lambda array: ~array),
        (NUMBERS, "discrete", "first", lambda array: ~array),
    ],
)
def test_an_unroll_with_numbers_that_no_actor_sends_is_not_taken(shown, actions, name, change):
    terms, arrays, _ = played(shown, actions)
    terms(delivery(), arrays)
    with pytest.raises(WireError):
        terms(delivery(), arrays | {name: change(arrays[name])})


@pytest.mark.parametrize(
    ("shown", "actions", "name", "change"),
    [
        (NUMBERS, "discrete", "last_action", put(2, 1)),
        (NUMBERS, "discrete", "last_action", put(-1, 1)),
        (NUMBERS, "multi_discrete", "last_action", put(3, 1, 0)),
        (NUMBERS, "box", "last_action", put(-np.inf, 1, 0)),
        (NUMBERS, "discrete", "observation", put(np.nan, 1)),
        (ROWS, "discrete", "observation", put((233, 3, 0, 0), 1, slice(12, 16))),
        (ROWS, "discrete", "observation", put((0, 0, 192, 127), 1, slice(4, 8))),
        (NUMBERS, "discrete", "last_reward", put(np.nan, 1)),
        (NUMBERS, "discrete", "state", put(np.inf, 1, 0)),
    ],
)
def test_nor_is_such_a_question(shown, actions, name, change):
    terms, _, arrays = played(shown, actions)
    terms(ASK, arrays)
    with pytest.raises(WireError):
        terms(ASK, arrays | {name: change(arrays[name])})


def test_truncations_and_their_last_observations_belong_together():
    terms, arrays, _ = played(NUMBERS, "discrete")
    fewer = {name: arrays[name][1:] for name in ("final_index", "final_observation")}
    again = {name: np.concatenate([arrays[name]] * 2) for name in fewer}
    twice = {"final_index": arrays["final_index"][:1].repeat(len(arrays["final_index"]), 0)}
    both = {"terminated": arrays["truncated"] | arrays["terminated"]}
    for wrong in (fewer, again, twice, both):
        with pytest.raises(WireError, match=r"truncation|truncated"):
            terms(delivery(), arrays | wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"episodes": [(1.0, 10**400)]},
        {"episodes": [(1.0, 2**53 + 1)]},
        {"episodes": [(1e308, 9)]},
        {"episodes": [(-1e308, 9)]},
        {"episodes": [(float("nan"), 9)]},
        {"episodes": [(1.0, 9)] * 16},
        {"seconds": {"waiting": 1e308}},
    ],
)
def test_what_is_said_beside_an_unroll_is_looked_at_too(agreed, wrong):
    terms, arrays, *_ = agreed
    terms(delivery().model_copy(update={"episodes": [(-1e3, 10**6)] * 15}), arrays)
    with pytest.raises(WireError):
        terms(delivery().model_copy(update=wrong), arrays)


def test_an_actors_own_numbers_are_called_what_they_are(agreed):
    _, arrays, spec, _ = agreed
    contents, whole = Contents(spec), Trajectory(**arrays)
    contents.vouch(whole, [(1.0, 2)])
    for name, value, kind, words in (
        ("reward", np.nan, EnvironmentFault, "reward must be finite"),
        ("observation", np.inf, EnvironmentFault, "observation must be finite"),
        ("behaviour_policy", np.nan, Diverged, "network's policy.*optimizer.learning_rate"),
        ("state", np.nan, Diverged, "network's state"),
        ("action", 7, EnvironmentFault, r"action must lie in 0..\[1\]"),
    ):
        wrong = put(value, 1)(arrays[name])
        with pytest.raises(kind, match=words):
            contents.vouch(dataclasses.replace(whole, **{name: wrong}), [])
    with pytest.raises(EnvironmentFault, match="return must be finite"):
        contents.vouch(whole, [(np.nan, 3)])


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
    cut = np.ones((T, B), np.bool_)
    whole = dataclasses.replace(
        unroll,
        first=np.ones((T + 1, B), np.bool_),
        terminated=~cut,
        truncated=cut,
        final_index=steps.reshape(2, -1).T.copy(),
        final_observation=np.zeros((T * B, *STACKED.shape), np.uint8),
        stack_index=places.reshape(2, -1).T.copy(),
        stack_older=np.zeros(((T + 1) * B, *STACKED.older), np.uint8),
    ).arrays()
    episodes = [(-1.2345678901234567e-300, 10**9)] * (T * B)
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
