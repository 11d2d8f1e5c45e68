"""What a learner listens to: what its own actors send, and nothing that differs in anything."""

import numpy as np
import pytest

from veldt.agents.actor import Player
from veldt.agents.build import environment_spec, make_agent, make_environments
from veldt.agents.inputs import Inputs, Memory
from veldt.agents.settings import TrainSettings
from veldt.agents.terms import Terms
from veldt.platform import wire
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
    terms(ASK, arrays)
    for name in Inputs._fields:
        for wrong in (
            {other: arrays[other] for other in arrays if other != name},
            arrays | {name: arrays[name].astype(np.float64)},
            arrays | {name: arrays[name][:2]},
        ):
            with pytest.raises(WireError, match="question"):
                terms(ASK, wrong)
    with pytest.raises(WireError, match="step 6 of 5"):
        terms(ASK.model_copy(update={"step": 6}), arrays)
