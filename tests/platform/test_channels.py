"""Real sockets between a learner's end and actors' ends."""

import contextlib
import threading

import numpy as np
import pytest
import zmq

from veldt.platform import wire
from veldt.platform.channels.actor_end import ActorChannel
from veldt.platform.channels.learner_end import LearnerChannel
from veldt.platform.errors import Diverged, EnvironmentFault, RunFailed, WireError
from veldt.platform.runs import code_version
from veldt.platform.tickets import Tickets

WATCHDOG_S = 20.0


@pytest.fixture(params=["ipc", "tcp"])
def learner(request):
    tickets = Tickets(actors=2, batch=1, done=0, updates=6, max_lag=1)
    channel = LearnerChannel(tickets, {"hello": [1, 2]}, request.param)
    yield channel
    closing = threading.Thread(target=channel.close)
    closing.start()
    closing.join(WATCHDOG_S)
    assert not closing.is_alive(), "the channel did not close"


def actor(learner, number=0, incarnation=0, expected=True, **named):
    if expected:
        learner.expect(number, incarnation)
    return ActorChannel(learner.address, learner.run, number, incarnation, **named)


@contextlib.contextmanager
def stranger(learner):
    """A socket at its address that nobody let in."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.connect(learner.address)
        yield socket


def told_to_stop(socket):
    assert socket.poll(WATCHDOG_S * 1000)
    return isinstance(wire.unpack(socket.recv_multipart())[0], wire.Stop)


def receive(learner):
    arrival = learner.receive(WATCHDOG_S)
    assert arrival is not None, "nothing arrived"
    return arrival


def weights(version):
    return {"w": np.full(3, version, np.float32)}


def test_an_unroll_comes_through(learner):
    channel = actor(learner)
    assert channel.settings == {"hello": [1, 2]}
    learner.publish(0, weights(0))
    ticket, arrays = channel.work(-1)
    assert (ticket.number, ticket.version, ticket.fresh) == (0, 0, True)
    np.testing.assert_array_equal(arrays["w"], [0, 0, 0])
    channel.deliver(ticket, {"x": np.arange(5)}, [(1.5, 7)], {"waiting": 0.1})
    arrival = receive(learner)
    assert arrival.header.episodes == [(1.5, 7)] and arrival.header.number == 0
    np.testing.assert_array_equal(arrival.arrays["x"], range(5))
    channel.close()


def test_with_an_unroll_the_next_one_can_be_asked_for(learner, until):
    channel = actor(learner)
    learner.publish(0, weights(0))
    ticket, _ = channel.work(-1)
    channel.deliver(ticket, {"x": np.arange(5)}, [], {}, more=True)
    until(lambda: learner.traffic.begun == 2)  # before it says any more
    ticket, held = channel.work(0)
    assert (ticket.number, ticket.version, ticket.fresh) == (1, 0, False) and not held
    learner.publish(1, weights(1))
    channel.deliver(ticket, {"x": np.arange(5)}, [], {}, more=True)
    ticket, arrays = channel.work(0)
    assert ticket.version == 1
    np.testing.assert_array_equal(arrays["w"], [1, 1, 1])
    channel.deliver(ticket, {"x": np.arange(5)}, [], {})
    until(lambda: learner.traffic.delivered == 3)
    assert learner.traffic.begun == 3 and not learner.waiting()
    learner.publish(2, weights(2))
    ticket, _ = channel.work(1)  # as who had not asked
    assert ticket.number == 3 and learner.traffic.rejected == 0
    channel.close()


def test_who_asks_for_more_with_an_unroll_that_is_not_its_own_is_told_to_stop(learner):
    channel = actor(learner)
    learner.publish(0, weights(0))
    ticket, _ = channel.work(-1)
    other = ticket.model_copy(update={"number": ticket.number + 1})
    channel.deliver(other, {"x": np.arange(5)}, [], {}, more=True)
    assert channel._dealer.poll(WATCHDOG_S * 1000)
    assert channel.work(0) is None and learner.traffic.rejected == 1
    channel.close()


def test_one_at_work_hears_of_the_end(learner):
    """Else it is waited for, and killed, wherever a training stops on its way."""
    looks = iter([True] * 50)
    channel = actor(learner, alive=lambda: next(looks, False))
    learner.publish(0, weights(0))
    ticket, _ = channel.work(-1)
    learner.close()
    channel.deliver(ticket, {"x": np.zeros(100_000)}, [], {})
    assert channel.work(0) is None
    assert next(looks, False), "it gave up by itself"
    channel.close()


def test_who_asks_again_before_it_delivered_gets_no_second_ticket(learner, until):
    looks = iter([True, True, False])
    channel, other = actor(learner, alive=lambda: next(looks, True)), actor(learner, 1)
    learner.publish(0, weights(0))
    first, _ = channel.work(-1)
    assert channel.work(0) is None and learner.traffic.rejected == 1
    assert other.work(-1)[0].number == first.number + 1
    channel.deliver(first, {}, [], {})
    assert receive(learner).header.number == first.number
    for each in (channel, other):
        each.close()


def test_weights_travel_once_a_version(learner):
    channel = actor(learner)
    learner.publish(0, weights(0))
    ticket, arrays = channel.work(-1)
    channel.deliver(ticket, {}, [], {})
    again, none = channel.work(0)
    assert again.version == 0 and not none
    learner.publish(1, weights(1))
    channel.deliver(again, {}, [], {})
    third, fresh = channel.work(0)
    assert third.version == 1 and fresh["w"][0] == 1
    channel.close()


def test_credits_hold_actors_back_until_the_learner_moves(learner):
    learner.publish(0, weights(0))
    waits = iter([True, True, False, *[True] * 100])
    first, second = actor(learner, 0, alive=lambda: next(waits)), actor(learner, 1)
    tickets = [channel.work(-1)[0] for channel in (first, second)]
    assert [ticket.number for ticket in tickets] == [0, 1]
    first.deliver(tickets[0], {}, [], {})
    receive(learner)
    # max_lag 1 and batch 1 allow two unrolls until version 1 is there.
    assert first.work(0) is None
    learner.publish(1, weights(1))
    # Version 1 alone does not do: the other actor is still at work with version 0.
    second.deliver(tickets[1], {}, [], {})
    receive(learner)
    # The request that was given up on still stands, and its answer comes.
    assert first.work(0)[0].number == 2
    first.close()
    second.close()


def test_what_a_dead_actor_held_is_counted_and_given_out_again(learner, until):
    learner.publish(0, weights(0))
    dead = actor(learner)
    held, _ = dead.work(-1)
    reborn = actor(learner, incarnation=1)
    again, _ = reborn.work(-1)
    assert again.number == held.number and again.fresh
    traffic = learner.traffic
    assert (traffic.begun, traffic.dropped, traffic.ended_at_work) == (2, 1, 1)
    dead.deliver(held, {}, [], {})
    # Two sockets' messages come in any order: the dead one's has to be here first.
    until(lambda: learner.receive(0.01) is not None or learner.traffic.rejected)
    assert learner.traffic.rejected == 1
    reborn.deliver(again, {}, [], {})
    arrival = receive(learner)
    assert arrival.header.incarnation == 1
    learner.expect(0, 2)  # dead again, but at no unroll
    assert (traffic.begun, traffic.dropped, traffic.ended_at_work) == (2, 1, 1)
    for channel in (dead, reborn):
        channel.close()


def test_strangers_are_turned_away(learner):
    learner.publish(0, weights(0))
    with pytest.raises(RunFailed, match="does not know"):
        actor(learner, number=1, expected=False)
    learner.expect(1, 0)
    with stranger(learner) as socket:
        socket.send_multipart([b"GET / HTTP/1.1"])
        socket.send_multipart(wire.pack(wire.Hello(run="another", actor=1, incarnation=0)))
        socket.send_multipart(wire.pack(wire.Ready(actor=1, incarnation=0, version=-1)))
        for _ in range(2):  # the last two are told to stop, so all were read
            assert told_to_stop(socket)
        assert learner.traffic.rejected == 4


def test_no_address_tells_the_runs_name(learner):
    assert learner.run not in learner.address


def test_a_hello_that_was_heard_before_is_no_hello(learner):
    learner.publish(0, weights(0))
    channel = actor(learner)
    with stranger(learner) as socket:
        socket.send_multipart(wire.pack(wire.Hello(run=learner.run, actor=0, incarnation=0)))
        assert told_to_stop(socket)
    assert learner.traffic.rejected == 1
    ticket, _ = channel.work(-1)
    channel.deliver(ticket, {}, [], {})
    assert receive(learner).header.number == ticket.number
    channel.close()


def test_without_a_door_nobody_joins(learner, until):
    with stranger(learner) as socket:
        join = wire.Join(host="h", version=str(code_version()["veldt"]), count=2)
        socket.send_multipart(wire.pack(join))
        until(lambda: learner.traffic.rejected == 1)
        assert not socket.poll(200) and learner.hosts() == 0


def test_an_actor_that_breaks_the_terms_is_given_up_and_its_unroll_made_again(until):
    def check(header, arrays):
        if "x" not in arrays:
            raise WireError("an unroll has x.")

    tickets = Tickets(actors=2, batch=1, done=0, updates=6, max_lag=1)
    learner = LearnerChannel(tickets, {}, "ipc", check=check)
    learner.publish(0, weights(0))
    broken, whole = actor(learner, 0), actor(learner, 1)
    held, _ = broken.work(-1)
    broken.deliver(held, {"y": np.arange(3)}, [], {})
    assert broken.work(0) is None  # told to stop
    until(lambda: learner.traffic.rejected == 2)  # its unroll, and that it was ready for more
    assert learner.traffic.dropped == 1
    with stranger(learner) as socket:  # nor does it come back so
        socket.send_multipart(wire.pack(wire.Hello(run=learner.run, actor=0, incarnation=0)))
        assert told_to_stop(socket)
    again, _ = whole.work(-1)
    assert again.number == held.number
    whole.deliver(
        again.model_copy(update={"version": 7}), {"x": np.arange(3)}, [], {}
    )  # weights it does not have
    until(lambda: learner.traffic.rejected == 4)
    whole.deliver(again, {"x": np.arange(3)}, [], {})
    assert receive(learner).header.number == held.number
    learner.close()
    for channel in (broken, whole):
        channel.close()


def test_who_asks_twice_is_answered_once(until):
    tickets = Tickets(actors=1, batch=1, done=0, updates=6, max_lag=1)
    learner = LearnerChannel(tickets, {}, "ipc", central=True)
    learner.publish(0, weights(0))
    channel = actor(learner)
    ticket, _ = channel.work(-1)
    ask = wire.Ask(actor=0, incarnation=0, number=ticket.number, version=ticket.version, step=0)
    for _ in range(3):
        channel._send(ask)
    channel._send(ask.model_copy(update={"version": 5}))
    until(lambda: learner.traffic.rejected == 3)
    assert learner.questions.qsize() == 1
    learner.close()
    channel.close()


def test_what_is_longer_than_anything_of_this_run_is_not_taken_in(until):
    limits = wire.Limits.of(unroll=100_000, question=0, episodes=10)
    learner = LearnerChannel(
        Tickets(actors=1, batch=1, done=0, updates=6, max_lag=1), {}, "ipc", limits=limits
    )
    context = zmq.Context()
    with context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        socket.connect(learner.address)
        learner.expect(0, 0)
        hello = wire.pack(wire.Hello(run=learner.run, actor=0, incarnation=0))[0]
        socket.send(hello + b" " * limits.head)  # as good a JSON as without
        until(lambda: learner.traffic.rejected == 1, WATCHDOG_S)
        socket.send_multipart([b"x" * (limits.frame + 1)])  # whoever sends it is cut off
        assert monitor.poll(WATCHDOG_S * 1000)
        until(lambda: learner.traffic.refused == 1, WATCHDOG_S)  # and counted
        socket.disable_monitor()
        monitor.close(linger=0)
    context.term()
    assert learner.traffic.rejected == 1
    learner.close()


def test_who_floods_is_kept_waiting_and_nothing_piles_up():
    learner = LearnerChannel(Tickets(actors=1, batch=1, done=0, updates=6, max_lag=1), {}, "tcp")
    context = zmq.Context()
    with context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, 1)
        socket.connect(learner.address)
        ready = wire.pack(wire.Ready(actor=0, incarnation=0, version=-1))
        sent = 0
        with learner._lock:  # it reads nothing
            while sent < 500 and socket.poll(300, zmq.POLLOUT):
                socket.send_multipart([*ready, b"x" * 1_000_000])
                sent += 1
        assert sent < 100  # megabytes, most of them the system's own buffers
    context.term()
    learner.close()


@pytest.mark.parametrize(("diverged", "kind"), [(False, EnvironmentFault), (True, Diverged)])
def test_a_fault_of_an_actor_reaches_the_learner(learner, diverged, kind):
    channel = actor(learner)
    channel.fault("the reward is NaN", diverged=diverged)
    with pytest.raises(kind, match="the reward is NaN"):
        for _ in range(200):
            learner.receive(0.1)
    channel.close()


def test_closing_tells_the_waiting_and_counts_the_rest():
    tickets = Tickets(actors=2, batch=1, done=0, updates=2, max_lag=0)
    learner = LearnerChannel(tickets, {}, "ipc")
    learner.publish(0, weights(0))
    busy, waiting = actor(learner, 0), actor(learner, 1)
    busy.work(-1)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(waiting.work(-1)))
    thread.start()
    while not learner.waiting():
        pass
    learner.close()
    thread.join(WATCHDOG_S)
    assert answers == [None]
    assert learner.traffic.dropped == 1
    busy.close()
    waiting.close()
