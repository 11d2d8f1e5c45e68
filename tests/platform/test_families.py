"""Families of tasks: hidden, each environment's own, and kept."""

import numpy as np
import pytest

from veldt.platform.envs import catalogue
from veldt.platform.envs.conformance import check
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


@pytest.mark.parametrize("name", ["goal", "random-reacher"])
def test_a_pinned_task_is_everybody_s_and_named(name):
    vector = make(f"family/{name}", 3)

    def tasks():
        return vector.tasks.tolist() if name == "goal" else bodies(vector)

    words = vector.pin(Key(1))
    vector.reset(Key(0))
    first = tasks()
    assert first[0] == first[1] == first[2]
    vector.reset(Key(5))
    assert tasks() == first
    if name == "goal":
        assert words == "x {:.3f}, y {:.3f}".format(*first[0])
    assert vector.pin(Key(2)) != words
    vector.reset(Key(0))
    assert tasks()[0] != first[0]
    vector.close()


def test_what_is_asked_for_wrongly():
    with pytest.raises(
        UnknownName, match="families are family/direction, family/goal, family/rand"
    ):
        make("family/directions")
    with pytest.raises(SettingsError, match="half must be one of all, right, left"):
        make(half="upper")
    with pytest.raises(SettingsError, match="takes"):
        make(colour=1)


@pytest.mark.parametrize("name", ["random-hopper", "random-walker", "random-reacher"])
def test_tasks_without_a_right_and_a_left_know_no_half(name):
    with pytest.raises(SettingsError, match="takes: horizon"):
        make(f"family/{name}", 1, half="left")


ROBOTS = ["random-hopper", "random-walker", "random-reacher", "directional-hopper"]
ROBOTS += ["directional-halfcheetah", "goal-ant"]


def bodies(vector):
    """What of the robots' models may differ, a row each."""
    parts = ("body_mass", "geom_friction", "geom_size", "geom_pos")
    models = [robot.model for robot in vector._robots]
    return [
        [*(getattr(model, part).tobytes() for part in parts), model.opt.gravity[2]]
        for model in models
    ]


@pytest.mark.parametrize("name", ROBOTS)
def test_robots_conform(name):
    check(lambda: make(f"family/{name}", 2, horizon=20), steps=70)


@pytest.mark.parametrize("name", ["random-hopper", "random-walker", "random-reacher"])
def test_each_robot_has_a_body_of_its_own(name):
    vector = make(f"family/{name}", 3)
    vector.reset(Key(0))
    first = bodies(vector)
    assert first[0] != first[1] != first[2]
    vector.reset(Key(1))
    assert bodies(vector) != first
    vector.reset(Key(0))
    assert bodies(vector) == first  # nothing is left of the one between
    if name != "random-reacher":
        assert all(-20.0 <= row[-1] <= -2.0 for row in first)
    vector.close()


def test_a_cheetah_is_paid_for_the_direction_it_is_to_run_in():
    one, other = (make("family/directional-halfcheetah", 1, half=h) for h in ("right", "left"))
    for vector in (one, other):
        vector.reset(Key(0))
    actions = np.random.default_rng(0).uniform(-1, 1, (50, 1, 6)).astype(np.float32)
    for action in actions:
        assert one.step(action).reward[0] == -other.step(action).reward[0] != 0.0


def distances(vector):
    """Of the robots from their goals."""
    places = [robot.data.qpos[:2] for robot in vector._robots]
    return np.linalg.norm(vector.tasks - np.array(places), axis=1)


def test_an_ant_is_paid_for_coming_nearer():
    vector = make("family/goal-ant", 4, half="left", horizon=30)
    vector.reset(Key(0))
    np.testing.assert_allclose(np.linalg.norm(vector.tasks, axis=1), 5.0)
    assert (vector.tasks[:, 0] < 0).all()
    places = [robot.data.qpos[:2].copy() for robot in vector._robots]
    before = [
        np.linalg.norm(task - place) for task, place in zip(vector.tasks, places, strict=True)
    ]
    total = np.zeros(4)
    for _ in range(10):
        total += vector.step(np.zeros((4, 8), np.float32)).reward
    places = [robot.data.qpos[:2] for robot in vector._robots]
    after = [
        np.linalg.norm(task - place) for task, place in zip(vector.tasks, places, strict=True)
    ]
    np.testing.assert_allclose(total * 0.05, np.subtract(before, after), atol=1e-5)
