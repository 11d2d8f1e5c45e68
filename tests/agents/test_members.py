"""What an actor whose hello was right can do to its learner: be counted, and given up."""

import numpy as np
import pytest
from malformed import altered

from veldt.agents.build import make_agent
from veldt.agents.conformance import synthetic_unroll
from veldt.agents.inference import newest
from veldt.agents.inputs import Memory
from veldt.agents.settings import TrainSettings
from veldt.agents.terms import Terms
from veldt.platform import wire
from veldt.platform.channels.actor_end import ActorChannel
from veldt.platform.channels.learner_end import LearnerChannel
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete
from veldt.platform.tickets import Place, Tickets

WATCHDOG_S = 30.0
T, B = 5, 3
SETTINGS = TrainSettings.parse(
    {
        "environment": {"id": "CartPole-v1"},
        "frames": 1000,
        "agent": {"name": "impala", "network": {"core": "lstm", "core_size": 4}},
        "actors": {"count": 2, "environments": B, "unroll_length": T},
    }
)
SPEC = EnvironmentSpec("s", Observations((4,), "float32"), discrete(2), 1)


@pytest.mark.parametrize("asking", [False, True], ids=["unrolls", "questions"])
def test_each_message_with_one_thing_changed_gives_its_sender_up(asking, until):
    agent = make_agent(SETTINGS, SPEC)
    terms = Terms(SETTINGS, SPEC, agent, Place())
    unroll = synthetic_unroll(agent, SPEC, T, B, seed=3).arrays()
    assert len(unroll["final_index"])
    seen = Memory(SPEC, B, agent.state_size).inputs(unroll["observation"][0])
    question = {name: tensor.numpy() for name, tensor in seen._asdict().items()}
    question |= newest(question["observation"], question["first"], SPEC.observations)
    tickets = Tickets(actors=2, batch=1, done=0, updates=10**6, max_lag=1)
    learner = LearnerChannel(tickets, {}, "ipc", central=asking, check=terms, limits=terms.limits)
    learner.publish(0, {})
    learner.expect(0, 0)
    honest, numbers = ActorChannel(learner.address, learner.run, 0, 0), []

    def turn():
        work, _ = honest.work(len(numbers) - 1)
        honest.deliver(work, unroll, [(1.0, 2)], {"waiting": 0.1})
        arrival = learner.receive(WATCHDOG_S)
        assert arrival is not None and arrival.header.actor == 0
        numbers.append(arrival.header.number)
        learner.publish(len(numbers), {})

    said = {"actor": 1, "incarnation": 0, "number": 0, "version": 0}
    delivery = wire.Delivery(**said, episodes=[(1.0, 2)], seconds={"waiting": 0.1})
    header, arrays = (wire.Ask(**said, step=0), question) if asking else (delivery, unroll)
    count = len(altered(header, arrays))
    assert count > 20
    for at in range(count):
        learner.expect(1, at)
        member = ActorChannel(learner.address, learner.run, 1, at)
        work, _ = member.work(-1)
        own = {"incarnation": at, "number": work.number, "version": work.version}
        what, frames = altered(header.model_copy(update=own), arrays)[at]
        turn()
        member._dealer.send_multipart(frames)
        assert member._dealer.poll(WATCHDOG_S * 1000), f"{what} is let pass"
        assert isinstance(member._receive()[0], wire.Stop), f"{what} is let pass"
        assert learner.traffic.rejected == learner.traffic.dropped == at + 1, what
        member.close()
    turn()  # what they were all at
    assert sorted(numbers) == list(range(count + 1))
    assert learner.questions.empty() and learner.traffic.delivered == len(numbers)
    learner.check()
    honest.close()
    learner.close()


def test_the_same_message_unchanged_is_taken():
    """Else the others would prove nothing."""
    delivery = wire.Delivery(
        actor=1, incarnation=0, number=0, version=0, episodes=[(1.0, 2)], seconds={"waiting": 0.1}
    )
    agent = make_agent(SETTINGS, SPEC)
    unroll = synthetic_unroll(agent, SPEC, T, B, seed=3).arrays()
    header, arrays = wire.unpack([bytes(f) for f in wire.pack(delivery, wire.Body(unroll))])
    Terms(SETTINGS, SPEC, agent, Place())(header, arrays)
    assert all(np.array_equal(arrays[name], unroll[name]) for name in unroll)
