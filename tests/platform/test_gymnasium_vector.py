"""GymnasiumVector against environments stepped by hand, and against bad ones."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from veldt.platform.envs.gymnasium_vector import GymnasiumVector
from veldt.platform.envs.parts import hash_words
from veldt.platform.envs.spaces_shown import actions_of
from veldt.platform.envs.vector import Episode
from veldt.platform.errors import (
    EnvironmentFault,
    MissingProgram,
    SettingsError,
    UnknownName,
    UnsupportedSpace,
)
from veldt.platform.keys import Key

KEY = Key(7).child("test")
SHOWS = {
    "box": (spaces.Box(-1e30, 1e30, (2,), np.float32), [1.0, 2.0]),
    "double": (spaces.Box(-np.inf, np.inf, (2,), np.float64), [1.0, 2.0]),
    "dict": (spaces.Dict(a=spaces.Discrete(3), b=spaces.Box(-9, 9, (2,))), {"a": 2, "b": [5, 6]}),
    "multi": (spaces.MultiDiscrete([2, 3]), [1, 0]),
    "picture": (spaces.Box(0, 255, (5, 4, 3), np.uint8), np.arange(60, dtype=np.uint8)),
    "planes": (spaces.Box(0, 255, (3, 5, 6), np.uint8), np.arange(90, dtype=np.uint8)),
    "text": (spaces.Dict(a=spaces.Text(5)), {"a": "hello"}),
    "sequence": (spaces.Sequence(spaces.Discrete(3)), (1, 2)),
}


class Puppet(gymnasium.Env):
    """Shows one thing, rewards 1 (100 at its end), takes 5..7; breaks where it is told to."""

    def __init__(self, shows="box", end=None, breaks=(), missing=None):
        if missing:
            raise missing
        self.observation_space, self.shown = SHOWS[shows]
        if isinstance(self.observation_space, spaces.Box):
            dtype = self.observation_space.dtype
            self.shown = np.array(self.shown, dtype).reshape(self.observation_space.shape)
        self.action_space = spaces.Discrete(3, start=5)
        self.end, self.breaks = end, dict(breaks)  # {step: what}

    def seen(self):
        what = self.breaks.get(self.t)
        if what in ("nan", "huge", "shape"):
            bad = {"nan": [np.nan, 1], "huge": [1e300, 1], "shape": [0.0]}[what]
            return np.array(bad)
        if what == "float":
            return self.shown.astype(np.float32)
        return self.shown

    def reset(self, *, seed=None, options=None):
        self.t, self.seed = 0, seed
        if self.breaks.get(0) == "raise":
            raise RuntimeError("no start")
        return self.seen(), {}

    def step(self, action):
        if action not in self.action_space:
            raise AssertionError(f"{action!r} is not one of mine")
        self.t += 1
        what = self.breaks.get(self.t)
        if what == "raise":
            raise RuntimeError("out of order")
        if isinstance(self.shown, np.ndarray) and self.shown.dtype == np.float32:
            self.shown[...] = [self.t, action]  # the same buffer again, as some do
        reward = {"reward": np.nan, "big reward": 1e300}.get(what, 100 if what == "end" else 1)
        return self.seen(), reward, self.t == self.end, what == "cut", {}


gymnasium.register("veldt_test/Puppet-v1", entry_point=Puppet)


def puppet(size=2, **options):
    return GymnasiumVector("veldt_test/Puppet-v1", size, **options)


def by_hand(name, size, key, actions, options):
    """The same as the vector, one plain environment at a time, as literally as can be."""
    columns = []
    for b in range(size):
        environment = gymnasium.make(name, **options)
        flat = environment.observation_space
        k, total, steps, column = 0, 0.0, 0, []
        first, _ = environment.reset(seed=key.child("episode", b, k).integer())
        for a in actions[:, b]:
            seen, reward, terminated, truncated, _ = environment.step(int(a))
            total, steps, final, episode = total + reward, steps + 1, None, None
            if terminated or truncated:
                final = None if terminated else spaces.flatten(flat, seen)
                episode = Episode(b, total, steps)
                k, total, steps = k + 1, 0.0, 0
                seen, _ = environment.reset(seed=key.child("episode", b, k).integer())
            cut = truncated and not terminated
            column.append((spaces.flatten(flat, seen), reward, terminated, cut, final, episode))
        columns.append((spaces.flatten(flat, first), column))
    return columns


@pytest.mark.parametrize(
    "name, options",
    [
        ("CartPole-v1", {"max_episode_steps": 20}),
        ("FrozenLake-v1", {"max_episode_steps": 6}),
        ("Acrobot-v1", {"max_episode_steps": 40}),
        ("MountainCar-v0", {}),
    ],
)
def test_equals_environments_stepped_by_hand(name, options):
    size, steps = 3, 250
    vector = GymnasiumVector(name, size, **options)
    actions = KEY.generator().integers(vector.spec.actions.count, size=(steps, size))
    columns = by_hand(name, size, KEY, actions, options)
    firsts = vector.reset(KEY)
    given = [vector.step(action) for action in actions]  # looked at only when all are done
    for b, (first, column) in enumerate(columns):
        assert firsts[b].tobytes() == first.astype(np.float32).tobytes()
        for step, (seen, reward, terminated, truncated, final, episode) in zip(
            given, column, strict=True
        ):
            assert step.observation[b].tobytes() == seen.astype(np.float32).tobytes()
            assert step.reward[b] == np.float32(reward)
            assert (step.terminated[b], step.truncated[b]) == (terminated, truncated)
            assert [e for e in step.episodes if e.environment == b] == [episode] * bool(episode)
            if truncated:
                row = step.final_observation[step.final_rows.tolist().index(b)]
                assert row.tobytes() == final.astype(np.float32).tobytes()
            else:
                assert b not in step.final_rows
    assert any(step.episodes for step in given)


def test_final_observation_is_what_an_unlimited_environment_shows():
    vector = GymnasiumVector("CartPole-v1", 2, max_episode_steps=7)
    vector.reset(KEY)
    actions = np.array([[0, 1], [1, 0]] * 3 + [[0, 1]])
    for action in actions:
        step = vector.step(action)
    assert step.truncated.all() and not step.terminated.any()
    assert step.final_rows.tolist() == [0, 1]
    for b in range(2):
        bare = gymnasium.make("CartPole-v1").unwrapped
        bare.reset(seed=KEY.child("episode", b, 0).integer())
        for action in actions:
            seen, *_ = bare.step(int(action[b]))
        assert step.final_observation[b].tobytes() == seen.tobytes()
        assert (step.observation[b] != seen).any()


def test_an_environment_depends_on_its_own_actions_only():
    one, three = GymnasiumVector("CartPole-v1", 1), GymnasiumVector("CartPole-v1", 3)
    actions = KEY.generator().integers(2, size=(100, 3))
    assert (one.reset(KEY)[0] == three.reset(KEY)[0]).all()
    ended = 0
    for action in actions:
        alone, among = one.step(action[:1]), three.step(action)
        assert alone.observation[0].tobytes() == among.observation[0].tobytes()
        ended += len(alone.episodes)
    assert ended > 1
    other = three.reset(Key(8))
    assert (other != three.reset(KEY)).any()


def test_terminated_wins_over_the_time_limit():
    vector = puppet(end=3, max_episode_steps=3)
    vector.reset(KEY)
    for _ in range(3):
        step = vector.step(np.zeros(2, np.int64))
    assert step.terminated.all() and not step.truncated.any()
    assert step.final_rows.size == 0 and step.final_observation.shape == (0, 2)
    assert step.episodes == (Episode(0, 3.0, 3), Episode(1, 3.0, 3))


def test_actions_are_numbered_from_zero():
    vector = puppet()
    assert (vector.spec.actions.kind, vector.spec.actions.count) == ("discrete", 3)
    vector.reset(KEY)
    step = vector.step(np.array([0, 2]))
    assert step.observation.tolist() == [[1, 5], [1, 7]]
    for bad in ([0, 3], [-1, 0], [0, 0, 0]):
        with pytest.raises(EnvironmentFault):
            vector.step(np.array(bad))


@pytest.mark.parametrize(
    "shows, shape, values",
    [
        ("double", (2,), [1, 2]),
        ("dict", (5,), [0, 0, 1, 5, 6]),
        ("multi", (5,), [0, 1, 1, 0, 0]),
    ],
)
def test_numbers_become_float32(shows, shape, values):
    vector = puppet(shows=shows)
    observation = vector.reset(KEY)
    assert (vector.spec.observations.shape, vector.spec.observations.dtype) == (shape, "float32")
    assert observation.dtype == np.float32 and observation.tolist() == [values] * 2


def test_images_become_channels_first():
    vector = puppet(shows="picture")
    observation = vector.reset(KEY)
    assert (vector.spec.observations.shape, vector.spec.observations.dtype) == ((3, 5, 4), "uint8")
    expected = np.arange(60, dtype=np.uint8).reshape(5, 4, 3).transpose(2, 0, 1)
    assert observation.dtype == np.uint8 and (observation == expected).all()
    assert puppet(shows="planes").reset(KEY).shape == (2, 3, 5, 6)


def test_observations_without_a_fixed_size_are_refused():
    with pytest.raises(UnsupportedSpace, match="have no fixed number of numbers"):
        puppet(shows="sequence")


def test_texts_are_packed():
    vector = puppet(shows="text")
    (part,) = vector.spec.observations.parts
    assert (part.name, part.kind) == ("a", "words")
    first = vector.reset(KEY)[:, : part.size].copy().view(np.int32)
    assert (first == hash_words("hello")).all() and (first[0] > 0).sum() == 1


def test_numbers_are_clipped_to_their_box():
    one, other = GymnasiumVector("Pendulum-v1", 2), GymnasiumVector("Pendulum-v1", 2)
    actions = one.spec.actions
    assert (actions.kind, actions.low, actions.high) == ("box", (-2.0,), (2.0,))
    one.reset(KEY), other.reset(KEY)
    far, edge = (np.array([[x], [-x]], np.float32) for x in (9.0, 2.0))
    np.testing.assert_array_equal(one.step(far).observation, other.step(edge).observation)
    with pytest.raises(EnvironmentFault, match="an action is not finite"):
        one.step(np.full((2, 1), np.nan, np.float32))


TAKES = [
    (spaces.Discrete(3, start=5), "discrete", (), [2, 0], [7, 5]),
    (
        spaces.MultiDiscrete([2, 3], start=[1, 10]),
        "multi_discrete",
        (2,),
        [[1, 2], [0, 0]],
        [[2, 12], [1, 10]],
    ),
    (spaces.MultiBinary((2, 2)), "multi_discrete", (4,), [[1, 0, 0, 1]], [[[1, 0], [0, 1]]]),
    (spaces.Box(-1, 1, (1, 2)), "box", (2,), [[0.5, -3.0]], [[[0.5, -1.0]]]),
]


@pytest.mark.parametrize("space, kind, shape, ours, theirs", TAKES, ids=str)
def test_actions_become_the_environments_own(space, kind, shape, ours, theirs):
    actions, translate = actions_of(space)
    assert (actions.kind, actions.shape) == (kind, shape)
    given = translate(np.array(ours, actions.dtype))
    np.testing.assert_array_equal(given, theirs)
    assert all(space.contains(each) for each in given)


def test_other_actions_can_be_seen_but_not_stepped():
    class Sequences(gymnasium.Env):
        observation_space, action_space = spaces.Box(0, 1, (2,)), spaces.Text(3)

        def reset(self, *, seed=None, options=None):
            return np.zeros(2, np.float32), {}

    gymnasium.register("Sequences-v0", Sequences)
    vector = GymnasiumVector("Sequences-v0", 2)
    assert vector.spec.actions.kind == "other" and vector.reset(KEY).shape == (2, 2)
    with pytest.raises(UnsupportedSpace, match="only Discrete, MultiDiscrete"):
        vector.step(np.zeros((2, 0), np.int64))


@pytest.mark.parametrize(
    "options, step, words",
    [
        ({"breaks": {3: "nan"}}, 3, "observation is not finite"),
        ({"breaks": {3: "huge"}, "shows": "double"}, 3, "observation is not finite"),
        ({"breaks": {0: "nan"}}, 0, "observation is not finite"),
        ({"breaks": {3: "reward"}}, 3, "reward is nan"),
        ({"breaks": {3: "big reward"}}, 3, "reward is 1e[+]300"),
        ({"breaks": {3: "reward"}, "end": 3}, 3, "reward is nan"),
        ({"breaks": {3: "nan"}, "max_episode_steps": 3}, 3, "final observation is not finite"),
        ({"breaks": {2: "raise"}}, 2, "RuntimeError: out of order"),
        ({"breaks": {0: "raise"}}, 0, "RuntimeError: no start"),
        ({"breaks": {2: "shape"}}, 2, "its observation is .1,., its space says .2,."),
        ({"breaks": {2: "float"}, "shows": "picture"}, 2, "is float32 .*says uint8"),
    ],
)
def test_a_fault_names_environment_seed_and_step(options, step, words):
    vector = puppet(size=1, **options)
    seed = KEY.child("episode", 0, 0).integer()
    where = f"veldt_test/Puppet-v1: environment 0, episode 0 [(]seed {seed}[)], step {step}: "
    with pytest.raises(EnvironmentFault, match=where + ".*" + words) as caught:
        vector.reset(KEY)
        for _ in range(4):
            vector.step(np.zeros(1, np.int64))
    assert str(caught.value).count("seed") == 1
    if "raise" in options["breaks"].values():
        assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_fault_in_a_later_episode():
    vector = puppet(size=2, end=3)
    vector.reset(KEY)
    for _ in range(4):
        vector.step(np.zeros(2, np.int64))
    vector._places[1].environment.unwrapped.breaks = {2: "reward"}
    seed = KEY.child("episode", 1, 1).integer()
    with pytest.raises(EnvironmentFault, match=f"environment 1, episode 1 .seed {seed}., step 2"):
        vector.step(np.zeros(2, np.int64))


def test_what_a_terminated_environment_shows_last_may_be_anything():
    vector = puppet(end=2, breaks={2: "nan"})
    vector.reset(KEY)
    for _ in range(4):
        assert np.isfinite(vector.step(np.zeros(2, np.int64)).observation).all()


@pytest.mark.parametrize(
    "name, near",
    [
        ("CartPol-v1", "CartPole-v1"),
        ("CARTPOLE-V1", "CartPole-v1"),
        ("Taxi-v3", "Taxi-v4"),
        ("CartPole-v9", "CartPole-v1"),
        ("Atari/pong", "atari/pong"),
        ("ALE/Pnog-v5", "ALE/Pong-v5"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
def test_unknown_names_come_with_the_nearest(name, near):
    with pytest.raises(UnknownName, match=f"no '{name}'. Did you mean '{near}'"):
        GymnasiumVector(name, 1)


@pytest.mark.parametrize("name", ["", "a b", "nothing_like/it_at_all-v7"])
def test_names_that_are_near_nothing(name):
    with pytest.raises(UnknownName):
        GymnasiumVector(name, 1)


@pytest.mark.parametrize(
    "options", [{"wings": 2}, {"max_episode_steps": 0}, {"sutton_barto_reward": 1, "legs": 4}]
)
def test_wrong_options(options):
    with pytest.raises(SettingsError, match="CartPole-v1 refuses its options"):
        GymnasiumVector("CartPole-v1", 1, **options)


def test_size_zero():
    with pytest.raises(SettingsError, match="size 0"):
        GymnasiumVector("CartPole-v1", 0)


def test_missing_libraries():
    absent = gymnasium.error.DependencyNotInstalled("MuJoCo is not installed, run `pip ...`")
    with pytest.raises(MissingProgram, match=r"pip install 'veldt\[mujoco\]'"):
        puppet(missing=absent)
    with pytest.raises(MissingProgram, match="no box2d here"):
        puppet(missing=gymnasium.error.DependencyNotInstalled("no box2d here"))
    with pytest.raises(MissingProgram, match="no_such_module"):
        GymnasiumVector("no_such_module:Thing-v0", 1)


def test_an_old_version_works_and_says_so():
    with pytest.warns(DeprecationWarning, match="out of date"):
        vector = GymnasiumVector("CartPole-v0", 1)
    assert vector.reset(KEY).shape == (1, 4)


def test_order_of_calls():
    vector = GymnasiumVector("CartPole-v1", 2)
    with pytest.raises(EnvironmentFault, match="reset this vector before"):
        vector.step(np.zeros(2, np.int64))
    vector.reset(KEY)
    vector.close()
    vector.close()
    with pytest.raises(EnvironmentFault, match="reset this vector before"):
        vector.step(np.zeros(2, np.int64))
    with pytest.raises(EnvironmentFault, match="closed"):
        vector.reset(KEY)


def test_frames_behind_a_step():
    assert GymnasiumVector("CartPole-v1", 1).spec.frames_per_step == 1
    vector = GymnasiumVector("ALE/Pong-v5", 1, frameskip=3)
    assert vector.spec.frames_per_step == 3
    assert vector.spec.observations.shape == (3, 210, 160)
    assert GymnasiumVector("ALE/Pong-v5", 1, frameskip=(2, 5)).spec.frames_per_step == 1
