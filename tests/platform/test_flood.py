"""What a stranger can do to a learner who lets anybody in: be counted."""

import threading

import numpy as np
import pytest
import zmq
from malformed import malformed

from veldt.platform import wire
from veldt.platform.channels.actor_end import ActorChannel
from veldt.platform.channels.door import Door
from veldt.platform.channels.learner_end import LearnerChannel
from veldt.platform.runs import code_version
from veldt.platform.tickets import Tickets

WATCHDOG_S = 30.0


@pytest.mark.parametrize(
    "count", [2000, pytest.param(200_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_malformed_messages_are_counted_and_the_training_goes_on(count, until):
    tickets = Tickets(actors=1, batch=1, done=0, updates=10**6, max_lag=1)
    learner = LearnerChannel(tickets, {}, "ipc", Door("tcp://127.0.0.1:0", actors=1))
    learner.publish(0, {})
    learner.expect(0, 0)
    actor = ActorChannel(learner.address, learner.run, 0, 0)
    random, sent = np.random.default_rng(0), threading.Event()

    def flood():
        context = zmq.Context()
        stranger = context.socket(zmq.DEALER)  # that never reads what it is answered
        stranger.connect(learner.door)
        for _ in range(count):
            stranger.send_multipart(malformed(random, learner.run))
        sent.set()
        until(lambda: learner.traffic.rejected >= count, WATCHDOG_S * 5)
        stranger.close(linger=0)
        context.term()

    thread = threading.Thread(target=flood)
    thread.start()
    version = 0
    while not sent.is_set() or learner.traffic.rejected < count or version < 50:
        work, _ = actor.work(version - 1)
        actor.deliver(work, {"x": np.full(3, version)}, [], {})
        arrival = learner.receive(WATCHDOG_S)
        assert arrival is not None and (arrival.arrays["x"] == version).all()
        version += 1
        learner.publish(version, {})
    thread.join(WATCHDOG_S)
    traffic = learner.traffic
    assert (traffic.rejected, traffic.delivered, traffic.dropped) == (count, version, 0)
    assert learner.hosts() == 0
    learner.check()
    actor.close()
    learner.close()


def test_who_never_reads_is_not_waited_for():
    tickets = Tickets(actors=1, batch=1, done=0, updates=10**6, max_lag=1)
    settings = {"long": "x" * 50_000}
    learner = LearnerChannel(tickets, settings, "ipc", Door("tcp://127.0.0.1:0", actors=1))
    learner.publish(0, {})
    learner.expect(0, 0)
    actor = ActorChannel(learner.address, learner.run, 0, 0)
    context = zmq.Context()
    stranger = context.socket(zmq.DEALER)
    stranger.set(zmq.RCVHWM, 1)
    stranger.set(zmq.SNDHWM, 0)
    stranger.connect(learner.door)
    version = str(code_version()["veldt"])
    for _ in range(3000):
        stranger.send_multipart(wire.pack(wire.Join(host="x", version=version, count=1)))
    for number in range(2000):  # it and they take turns: so long until all were answered
        work, _ = actor.work(number - 1)
        actor.deliver(work, {}, [], {})
        assert learner.receive(WATCHDOG_S) is not None, "the learner waits for a stranger"
        learner.publish(number + 1, {})
    stranger.close(linger=0)
    context.term()
    actor.close()
    learner.close()
