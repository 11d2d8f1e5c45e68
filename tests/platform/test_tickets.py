"""Tickets: what they bound, and the order they keep, under any speeds of the actors."""

import heapq

import numpy as np
import pytest

from veldt.agents.settings import TrainSettings
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


def simulate(actors, batch, max_lag, *, strict, slow=1.0, updates=1000):
    """Actors and a learner that could do twice as much, by a simulated clock.

    Args:
        slow: How much longer actor 0 takes than the others, whose unrolls take about 1 s.

    Returns:
        Unrolls a second by what the actors could make, and the lag of each that was used.
    """
    random = np.random.default_rng(0)
    tickets = Tickets(
        actors=actors, batch=batch, done=0, updates=updates, max_lag=max_lag, strict=strict
    )
    events, arrived, lags = [], [], []  # events: (time, actor; -1: the learner)
    waiting, learning, now = list(range(actors)), False, 0.0
    while tickets.version < updates:
        for actor in list(waiting):
            if ticket := tickets.request(actor):
                waiting.remove(actor)
                takes = random.uniform(0.5, 1.5) * (1.0 if actor else slow)
                heapq.heappush(events, (now + takes, actor, ticket))
        if not learning and len(arrived) >= batch:
            lags += [tickets.version - ticket.version for ticket in arrived[:batch]]
            del arrived[:batch]
            learning = True
            heapq.heappush(events, (now + 0.5 * batch / actors, -1, None))
        now, actor, ticket = heapq.heappop(events)
        if ticket is None:
            learning = False
            tickets.version += 1
        else:
            assert tickets.delivered(actor, ticket.number, ticket.version)
            arrived.append(ticket)
            waiting.append(actor)
    return updates * batch / now / (actors - 1 + 1 / slow), lags


@pytest.mark.parametrize(("actors", "batch"), [(2, 2), (8, 2), (16, 4), (32, 8)])
def test_by_default_no_actor_idles_and_a_slow_one_throttles_nobody(actors, batch):
    settings = TrainSettings.parse(
        {
            "environment": {"id": "CartPole-v1"},
            "frames": 1,
            "actors": {"count": actors},
            "learner": {"batch": batch},
        }
    )
    credit = settings.max_lag
    share, lags = simulate(actors, batch, credit, strict=False)
    assert share > 0.9 and np.mean(lags) < actors / batch + 1
    share, lags = simulate(actors, batch, credit, strict=False, slow=10.0)
    assert share > 0.9 and max(lags) > credit
    share, lags = simulate(actors, batch, credit, strict=True, slow=10.0)
    assert share < 0.5 and max(lags) <= credit  # the price of a bound on all
