"""Tickets: what they bound, and the order they keep, under any speeds of the actors."""

import numpy as np
import pytest

from veldt.platform.tickets import Tickets


def play(seed, *, actors, batch, updates, max_lag, segment=None, done=0, deaths=0.0):
    """Runs actors of random speed against one learner; returns what the learner used.

    Yields (number, version at acting, update at use, fresh, actor) in order of use.
    """
    random = np.random.default_rng(seed)
    tickets = Tickets(
        actors=actors, batch=batch, done=done, updates=updates, max_lag=max_lag, segment=segment
    )
    tickets.version = done
    working, queue, used, lost = {}, [], [], 0
    expected = done * batch
    for _ in range(100_000):
        actor = int(random.integers(actors))
        if actor in working:
            if random.random() < deaths:
                lost += tickets.lost(actor)
                del working[actor]
            else:
                ticket = working.pop(actor)
                assert tickets.delivered(actor, ticket.number, ticket.version)
                queue.append((ticket, actor))
        elif ticket := tickets.request(actor):
            working[actor] = ticket
        assert len(working) + len(queue) <= (max_lag + 1) * batch
        if segment is not None:
            queue.sort(key=lambda item: item[0].number)
        while len(queue) >= batch and (
            segment is None
            or [t.number for t, _ in queue[:batch]] == list(range(expected, expected + batch))
        ):
            assert all(tickets.version - t.version <= max_lag for t, _ in queue[:batch])
            used += [(t.number, t.version, tickets.version, t.fresh, a) for t, a in queue[:batch]]
            del queue[:batch]
            expected += batch
            tickets.version += 1
        if tickets.version == updates:
            break
    assert tickets.version == updates, "the run came to a standstill"
    return used, lost, working, queue


@pytest.mark.parametrize("segment", [None, 5])
@pytest.mark.parametrize(
    ("actors", "batch", "max_lag"), [(1, 1, 0), (3, 2, 1), (7, 2, 4), (2, 5, 1)]
)
def test_every_unroll_is_made_once_and_none_too_many(actors, batch, max_lag, segment):
    used, _, working, queue = play(
        0, actors=actors, batch=batch, updates=40, max_lag=max_lag, segment=segment
    )
    assert sorted(number for number, *_ in used) == list(range(40 * batch))
    assert not working and not queue


@pytest.mark.parametrize("segment", [None, 5])
def test_the_unrolls_of_the_dead_are_made_again(segment):
    used, lost, *_ = play(1, actors=3, batch=2, updates=60, max_lag=2, segment=segment, deaths=0.2)
    assert lost > 5
    assert sorted(number for number, *_ in used) == list(range(120))


def test_lockstep_does_not_depend_on_the_speeds():
    runs = [
        play(seed, actors=3, batch=2, updates=40, max_lag=1, segment=7)[0] for seed in range(5)
    ]
    assert all(run == runs[0] for run in runs)
    for number, version, update, _, actor in runs[0]:
        assert actor == number % 3
        assert update - version <= 1
        assert version >= update - update % 7  # nothing older than the segment's beginning


def test_resuming_lockstep_at_a_segment_is_exact():
    whole = play(0, actors=3, batch=2, updates=40, max_lag=2, segment=8)[0]
    resumed = play(9, actors=3, batch=2, updates=40, max_lag=2, segment=8, done=16)[0]
    assert whole[-len(resumed) :] == resumed


def test_new_episodes_begin_with_segments_and_actors():
    tickets = Tickets(actors=1, batch=1, done=0, updates=9, max_lag=0, segment=3)
    fresh = []
    for update in range(9):
        tickets.version = update
        ticket = tickets.request(0)
        tickets.delivered(0, ticket.number, ticket.version)
        fresh.append(ticket.fresh)
    assert fresh == [True, False, False] * 3


def test_a_ticket_is_given_back_once_and_by_its_holder():
    tickets = Tickets(actors=2, batch=1, done=0, updates=9, max_lag=3)
    ticket = tickets.request(0)
    assert not tickets.delivered(1, ticket.number, ticket.version)
    assert not tickets.delivered(0, ticket.number, ticket.version + 1)
    assert tickets.delivered(0, ticket.number, ticket.version)
    assert not tickets.delivered(0, ticket.number, ticket.version)
    assert tickets.lost(0) == 0
