"""Memory shared between a learner and the actors of its host."""

import pathlib
import resource
import subprocess
import sys
import threading

import numpy as np
import pytest

from veldt.platform import wire
from veldt.platform.channels.actor_end import ActorChannel
from veldt.platform.channels.door import Door
from veldt.platform.channels.host_end import HostChannel
from veldt.platform.channels.learner_end import LearnerChannel
from veldt.platform.channels.storage import Storage
from veldt.platform.errors import WireError
from veldt.platform.tickets import Tickets

WATCHDOG_S = 20.0
pytestmark = pytest.mark.skipif(not pathlib.Path("/proc/self/fd").exists(), reason="Linux only")


@pytest.fixture
def learner():
    tickets = Tickets(actors=2, batch=1, done=0, updates=50, max_lag=1)
    channel = LearnerChannel(tickets, {}, "shared")
    channel.publish(0, {})
    yield channel
    channel.close()


def join(learner, number=0, incarnation=0):
    learner.expect(number, incarnation)
    return ActorChannel(learner.address, learner.run, number, incarnation)


def unroll(value, size=5000):
    return {"x": np.full(size, value, np.float32), "y": np.arange(3)}


def turn(learner, actor, version, arrays):
    """The actor makes one unroll and the learner takes it: the ticket and the arrival."""
    work, _ = actor.work(version)
    actor.deliver(work, arrays, [], {})
    arrival = learner.receive(WATCHDOG_S)
    np.testing.assert_array_equal(arrival.arrays["x"], arrays["x"])
    np.testing.assert_array_equal(arrival.arrays["y"], arrays["y"])
    return work, arrival


@pytest.mark.parametrize("gone", [True, False])
def test_a_slot_is_nobodys_while_who_had_it_may_still_write(gone):
    storage = Storage(1)
    assert storage.offer(0) == {}  # before it is known how large they have to be
    said = {"actor": 0, "incarnation": 0, "number": 0, "version": 0, "slot": -1}
    storage.keep(wire.Delivery(**said, episodes=[], seconds={}), unroll(0.0))
    assert storage.offer(0)["slot"] == 0
    storage.forget(0, gone)
    assert storage.offer(1).get("slot", -1) == (0 if gone else -1)
    storage.close()


def test_after_the_first_unroll_they_stay_where_they_are(learner):
    actor = join(learner)
    first, arrival = turn(learner, actor, -1, unroll(0.0))
    assert first.slot == -1 and arrival.header.slot == -1
    kept = []
    for version in range(1, 20):
        learner.publish(version, {})
        work, arrival = turn(learner, actor, version, unroll(float(version)))
        assert work.slot == arrival.header.slot >= 0
        assert not arrival.arrays["x"].flags.writeable
        kept.append((float(arrival.arrays["x"][7]), work.slot))
        arrival.release()
    assert [value for value, _ in kept] == list(range(1, 20))
    actor.close()


def test_what_is_not_released_is_not_written_over_and_the_rest_travels(learner):
    actor, held = join(learner), []
    turn(learner, actor, -1, unroll(0.0))
    for version in range(1, 12):
        learner.publish(version, {})
        held.append(turn(learner, actor, version, unroll(float(version)))[1])
    values = [float(arrival.arrays["x"][-1]) for arrival in held]
    assert values == list(range(1, 12))
    places = [arrival.header.slot for arrival in held if arrival.header.slot >= 0]
    assert len(set(places)) == len(places) == 2 < len(held)
    for arrival in held:
        arrival.release()
    learner.publish(12, {})
    assert turn(learner, actor, 12, unroll(3.0))[0].slot in places
    actor.close()


def test_what_does_not_fit_travels_by_socket(learner):
    actor = join(learner)
    turn(learner, actor, -1, unroll(0.0))
    for version in range(1, 6):
        learner.publish(version, {})
        work, arrival = turn(learner, actor, version, unroll(1.0, size=50_000))
        assert work.slot >= 0 and arrival.header.slot == -1
        arrival.release()
    actor.close()


def test_a_dead_actors_slot_is_given_to_another(learner):
    actor = join(learner)
    turn(learner, actor, -1, unroll(0.0))
    learner.publish(1, {})
    for incarnation in range(1, 10):
        held, _ = actor.work(1)
        assert held.slot >= 0
        actor.close()
        actor = join(learner, 0, incarnation)
    actor.close()


@pytest.mark.parametrize("beside", [1, 70, -3])
def test_who_names_a_slot_that_it_does_not_have_is_given_up(learner, beside, until):
    actor = join(learner)
    turn(learner, actor, -1, unroll(0.0))
    learner.publish(1, {})
    work, _ = actor.work(1)
    said = {"actor": 0, "incarnation": 0, "number": work.number, "version": 1}
    header = wire.Delivery(**said, episodes=[], seconds={}, slot=work.slot + beside)
    actor._send(header, wire.Body(unroll(1.0)), sent=False)
    assert actor.work(1) is None
    until(lambda: learner.traffic.rejected == 2)  # its unroll, and that it was ready for more
    other = join(learner, 1)
    again, _ = other.work(1)
    assert again.number == work.number
    other.deliver(again, unroll(2.0), [], {})
    assert learner.receive(WATCHDOG_S).arrays["x"][0] == 2.0
    for each in (actor, other):
        each.close()


def test_questions_lie_behind_the_unroll_and_leave_it_alone(until):
    tickets = Tickets(actors=1, batch=1, done=0, updates=50, max_lag=1)
    limits = wire.Limits.of(unroll=1 << 20, question=8000, episodes=0)
    learner = LearnerChannel(tickets, {}, "shared", central=True, limits=limits)
    learner.publish(0, {})
    actor = join(learner)
    turn(learner, actor, -1, unroll(0.0))
    learner.publish(1, {})
    work, _ = actor.work(1)
    seen = {"observation": np.arange(1000, dtype=np.float32), "first": np.ones(3, bool)}
    asking = threading.Thread(target=lambda: actor.ask(work, 0, seen))
    asking.start()
    question = learner.questions.get(timeout=WATCHDOG_S)
    assert question.header.slot == work.slot >= 0
    for name, array in seen.items():
        np.testing.assert_array_equal(question.arrays[name], array)
    with learner.answers() as answers:
        answers.send(question.identity, {})
        asking.join(WATCHDOG_S)
    actor.deliver(work, unroll(2.0), [], {})
    arrival = learner.receive(WATCHDOG_S)
    assert arrival.header.slot == work.slot and (arrival.arrays["x"] == 2.0).all()
    np.testing.assert_array_equal(question.arrays["observation"], seen["observation"])
    actor._send(question.header.model_copy(update={"slot": work.slot + 1}))
    until(lambda: learner.traffic.rejected == 1)
    learner.close()
    actor.close()


@pytest.mark.parametrize("near", [True, False])
def test_a_host_on_the_same_machine_shares_the_memory_and_another_does_not(near):
    entrances = []
    address = "" if near else "tcp://127.0.0.1:0"
    tickets = Tickets(actors=1, batch=1, done=0, updates=50, max_lag=1)
    door = Door(address, opened=entrances.append)
    learner = LearnerChannel(tickets, {}, "shared", door)
    learner.publish(0, {})
    (told,) = entrances
    host = HostChannel(told.here if near else told.elsewhere, None, told.run if near else "")
    host.join(1, WATCHDOG_S, lambda: True)
    host.expect(0, 0)
    actor = ActorChannel(host.address, host.run, 0, 0)
    turn(learner, actor, -1, unroll(0.0))
    learner.publish(1, {})
    work, arrival = turn(learner, actor, 1, unroll(1.0))
    assert (work.slot >= 0) == (arrival.header.slot >= 0) == near
    learner.close()
    for channel in (actor, host):
        channel.close()


def test_an_array_that_lies_outside_its_slot_is_refused():
    body = wire.Body({"x": np.zeros(100)})
    header = wire.Delivery(
        actor=0, incarnation=0, number=0, version=0, episodes=[], seconds={}, slot=0
    )
    frames = wire.pack(header, body, sent=False)
    assert wire.unpack(frames, lambda header: memoryview(bytes(1024)))[1]["x"].shape == (100,)
    with pytest.raises(WireError, match="too short"):
        wire.unpack(frames, lambda header: memoryview(bytes(512)))
    with pytest.raises(WireError, match="slot 0"):
        wire.unpack(frames)


HOLDER = """
import signal, sys
from veldt.platform.channels.slots import Slot, Slots
made = Slots(4, 1 << 20)
Slot(made.path, made.bytes).buffer(1, 100)[:] = 7
sys.stdout.buffer.write(bytes(made.view(1)[:100]))
sys.stdout.flush()
signal.pause()
"""


def test_nothing_is_left_of_them_after_sigkill():
    """Nor can be: no file that has a name is among what it has mapped."""
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE) as child:
        assert child.stdout.read(100) == b"\7" * 100
        maps = pathlib.Path(f"/proc/{child.pid}/maps").read_text().splitlines()
        shared = {line.split(maxsplit=5)[5] for line in maps if line.split()[1] == "rw-s"}
        child.kill()
    assert shared == {"/memfd:veldt (deleted)"}


def test_without_memory_to_share_unrolls_travel_by_socket(learner, caplog):
    """A limit of the system's own, which holds for nameless memory as for files."""
    actor, (soft, hard) = join(learner), resource.getrlimit(resource.RLIMIT_FSIZE)
    for version in range(5):
        learner.publish(version, {})
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        try:
            assert turn(learner, actor, version - 1, unroll(1.0))[1].header.slot == -1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caplog.text.count("File too large") == 1
    actor.close()
