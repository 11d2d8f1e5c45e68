"""What a stranger can do to a learner who lets anybody in: be counted."""

import json
import threading

import numpy as np
import pytest
import zmq

from veldt.platform import wire
from veldt.platform.channels.actor_end import ActorChannel
from veldt.platform.channels.door import Door
from veldt.platform.channels.learner_end import LearnerChannel
from veldt.platform.runs import code_version
from veldt.platform.tickets import Tickets

WATCHDOG_S = 30.0


def malformed(random, run):
    """A message that no actor of ours would send, endlessly varied; the frames of one."""
    delivery = wire.Delivery(
        actor=0, incarnation=0, number=1, version=0, episodes=[(1.0, 2)], seconds={"waiting": 0.1}
    )
    whole = [bytes(f) for f in wire.pack(delivery, wire.Body({"x": np.arange(50.0)}))]
    kind = random.integers(7)
    if kind == 0:
        return [random.bytes(int(random.integers(1, 200)))]
    if kind == 1:  # bits turned over
        head = bytearray(whole[0])
        for at in random.integers(len(head), size=3):
            head[at] ^= 1 << int(random.integers(8))
        return [bytes(head), whole[1]]
    if kind == 2:  # cut short
        return [whole[0][: int(random.integers(len(whole[0])))], whole[1]]
    if kind == 3:
        return [*whole, *[b"x"] * int(random.integers(1, 4))]
    if kind == 4:  # a well-formed message of somebody who never joined
        return wire.pack(wire.Ready(actor=0, incarnation=0, version=-1))
    if kind == 5:
        return wire.pack(wire.Hello(run=run[:-1], actor=0, incarnation=0))
    values = [-1, 2**63, 1e308, None, [], {}, "x" * 100, True]
    value = values[int(random.integers(len(values)))]
    header = json.loads(whole[0][len(wire.MAGIC) :])
    field = list(header["header"])[int(random.integers(len(header["header"])))]
    header["header"][field] = value
    return [wire.MAGIC + json.dumps(header).encode(), whole[1]]


@pytest.mark.parametrize(
    "count", [10_000, pytest.param(200_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
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
