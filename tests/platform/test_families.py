"""Families of tasks: hidden, each environment's own, and kept."""

import numpy as np
import pytest

from veldt.platform.envs import catalogue
from veldt.platform.errors import SettingsError, UnknownName
from veldt.platform.keys import Key


def make(name="family/direction", size=40, **options):
    return catalogue.make(name, size, options)


def push(vector, actions, steps=50):
    """What is earned by the same actions all the time, [B]."""
    totals = np.zeros(vector.size)
    for _ in range(steps):
        totals += vector.step(actions.astype(np.float32)).reward
    return totals


def test_a_direction_pays_along_it_and_nothing_shows_it():
    vector = make()
    first = vector.reset(Key(0))
    assert not first.any()
    tasks = vector.tasks.copy()
    np.testing.assert_allclose(np.linalg.norm(tasks, axis=1), 1.0)
    along = push(vector, tasks)
    np.testing.assert_array_equal(vector.tasks, tasks)  # kept in the next episode
    against = push(vector, -tasks)
    np.testing.assert_allclose(along, -against, rtol=1e-5)
    assert along.min() > 50
    across = push(vector, tasks[:, ::-1] * [1, -1])
    np.testing.assert_allclose(across, 0.0, atol=1e-3)


def test_a_goal_pays_for_being_near():
    vector = make("family/goal")
    vector.reset(Key(0))
    staying = push(vector, np.zeros((40, 2)))
    np.testing.assert_allclose(staying, -50.0, rtol=1e-5)
    assert (push(vector, 0.1 * vector.tasks) > staying).all()


def test_halves_are_disjoint():
    for half, sign in (("right", 1), ("left", -1)):
        vector = make(half=half)
        vector.reset(Key(1))
        assert (sign * vector.tasks[:, 0] > 0).all()
        assert (vector.tasks[:, 1] > 0).any() and (vector.tasks[:, 1] < 0).any()
    vector = make()
    vector.reset(Key(1))
    assert 10 < (vector.tasks[:, 0] > 0).sum() < 30


def test_each_has_the_task_of_its_own_key():
    keys = [Key(3).child("life", i) for i in range(4)]
    all_of_them, one = make(size=4), make(size=1)
    all_of_them.begin(keys)
    one.begin(keys[2:3])
    np.testing.assert_array_equal(one.tasks[0], all_of_them.tasks[2])


def test_what_is_asked_for_wrongly():
    with pytest.raises(UnknownName, match="family/direction, family/goal"):
        make("family/directions")
    with pytest.raises(SettingsError, match="half must be one of all, right, left"):
        make(half="upper")
    with pytest.raises(SettingsError, match="takes"):
        make(colour=1)
