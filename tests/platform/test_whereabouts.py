"""What is read of an actor that can say nothing any more."""

import dataclasses
import sys

import numpy as np
import pytest

from veldt.platform.envs import catalogue
from veldt.platform.keys import Key
from veldt.platform.whereabouts import ENVIRONMENT, STEP, UNROLL, Board, Page, Traced, Whereabouts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


def test_an_actors_page_is_its_owners_to_read():
    board = Board(3, 2)
    pages = [Page(**dataclasses.asdict(board.page(place))) for place in range(3)]
    actor = pages[1].open()
    assert board.read(1).say() == "nothing, before its first unroll"
    actor.begin("CartPole-v1")
    actor.at[UNROLL], actor.at[STEP] = 7, 3
    assert board.read(1).say() == "outside CartPole-v1, at step 3 of unroll 7"
    assert board.read(0).say() == board.read(2).say() == "nothing, before its first unroll"
    board.page(1)  # another process takes its place
    assert board.read(1).say() == "nothing, before its first unroll"
    board.close()
    assert isinstance(pages[2].open(), Whereabouts)  # its owner is gone: it goes on


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CartPole-v1", "in CartPole-v1, environment 1, episode 0 (seed {1}), step 4"),
        ("atari/pong", "in one of the 2 environments atari/pong (seeds {0}, {1})"),
    ],
)
def test_environments_say_where_they_are(name, words):
    vector, where = catalogue.make(name, 2, {}), Whereabouts(2)
    assert isinstance(vector, Traced)
    where.begin(name)
    vector.trace(where)
    vector.reset(Key(1))
    where.at[UNROLL] = 0
    for step in range(4):
        where.at[STEP], where.at[ENVIRONMENT] = step, -2
        vector.step(np.zeros(2, np.int64))
    vector.close()
    seeds = [Key(1).child("episode", b, 0).integer() for b in range(2)]
    assert where.say().startswith(words.format(*seeds))
    assert "step 3 of unroll 0" in where.say()
