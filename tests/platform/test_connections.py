"""Which of a socket's connections came to nothing, by what ZeroMQ tells of them."""

import pytest
import zmq

from veldt.platform.channels.connections import Handshakes


@pytest.fixture
def refused():
    return []


@pytest.fixture
def handshakes(refused):
    found = Handshakes(lambda: refused.append(1))
    found.say = lambda event, number: found.take({"event": event, "value": number})
    return found


def test_whoever_comes_at_the_same_time_is_told_apart(handshakes, refused):
    handshakes.say(zmq.EVENT_ACCEPTED, 7)  # says nothing
    handshakes.say(zmq.EVENT_ACCEPTED, 8)
    handshakes.heard(8)
    handshakes.say(zmq.EVENT_ACCEPTED, 9)
    handshakes.say(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400)
    handshakes.say(zmq.EVENT_DISCONNECTED, 8)  # a member leaves
    assert len(refused) == 1
    handshakes.say(zmq.EVENT_DISCONNECTED, 9)  # that was told already
    assert len(refused) == 1
    handshakes.say(zmq.EVENT_DISCONNECTED, 7)
    assert len(refused) == 2


def test_a_failure_excuses_nobody_who_comes_later(handshakes, refused):
    handshakes.say(zmq.EVENT_ACCEPTED, 7)
    handshakes.say(zmq.EVENT_DISCONNECTED, 7)
    handshakes.say(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, 0)  # of nobody who is there
    handshakes.say(zmq.EVENT_ACCEPTED, 8)
    handshakes.say(zmq.EVENT_DISCONNECTED, 8)
    assert len(refused) == 3


def test_a_number_that_was_a_members_is_the_next_ones(handshakes, refused):
    for _ in range(2):
        handshakes.say(zmq.EVENT_ACCEPTED, 7)
        handshakes.heard(7)
        handshakes.say(zmq.EVENT_DISCONNECTED, 7)
    assert not refused
    handshakes.say(zmq.EVENT_ACCEPTED, 7)
    handshakes.say(zmq.EVENT_DISCONNECTED, 7)
    assert len(refused) == 1
