"""The conformance suite passes what is right and finds what is wrong; the catalogue's names."""

import dataclasses
import importlib.metadata
import itertools
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from veldt.platform.envs import catalogue
from veldt.platform.envs.conformance import check
from veldt.platform.envs.gymnasium_vector import GymnasiumVector
from veldt.platform.envs.vector import Actions, Episode
from veldt.platform.errors import EnvironmentFault, SettingsError, UnknownName
from veldt.platform.keys import Key

COUNTER = itertools.count()  # goes on from run to run, as a clock does


@pytest.mark.parametrize(
    "name, options, steps",
    [
        ("CartPole-v1", {"max_episode_steps": 30}, 200),
        ("FrozenLake-v1", {"max_episode_steps": 9}, 200),
        ("Blackjack-v1", {}, 200),
        ("Taxi-v4", {}, 250),
        ("Acrobot-v1", {"max_episode_steps": 30}, 100),
        ("Pendulum-v1", {}, 200),
        ("veldt/Catch-v0", {}, 100),
        ("veldt/TMaze-v0", {"max_episode_steps": 12, "length": 3}, 100),
        ("family/direction", {}, 120),
        ("family/goal", {"half": "left"}, 120),
        ("atari/breakout", {"max_frames": 520, "threads": 2}, 200),
        ("atari/pong", {"max_frames": 300, "sticky": 0.25}, 160),
        ("ALE/Pong-v5", {"max_episode_steps": 15}, 20),
    ],
)
def test_the_catalogue_conforms(name, options, steps):
    check(lambda: catalogue.make(name, 2, options), steps=steps)


class Bad(GymnasiumVector):
    """A vector with one thing wrong with it."""

    def __init__(self, change):
        super().__init__("CartPole-v1", 3, max_episode_steps=12)
        self.change = change
        self.buffer = np.zeros((3, 4), np.float32)

    def step(self, action):
        return self.change(self, super().step(action))


def altered(**changes):
    """A change of fields; each from the step."""

    def change(vector, step):
        return dataclasses.replace(step, **{k: f(step) for k, f in changes.items()})

    return change


def overwrite(vector, step):
    vector.buffer[...] = step.observation
    return dataclasses.replace(step, observation=vector.buffer)


def either(step):
    return step.terminated | step.truncated


@pytest.mark.parametrize(
    "change, complaint",
    [
        (altered(observation=lambda s: s.observation + next(COUNTER) * 1e-6), "another vector"),
        (overwrite, "was overwritten"),
        (altered(observation=lambda s: s.observation.astype(float)), "observation is float64"),
        (altered(observation=lambda s: s.observation[:, :3]), "observation is float32 .3, 3."),
        (altered(observation=lambda s: s.observation * np.float32(np.nan)), "not finite"),
        (altered(reward=lambda s: s.reward.astype(int)), "reward is int64"),
        (altered(reward=lambda s: s.reward * np.float32(np.inf)), "reward is not finite"),
        (altered(terminated=either), "terminated and truncated"),
        (altered(terminated=lambda s: s.terminated.astype(np.uint8)), "terminated is uint8"),
        (altered(truncated=either, terminated=lambda s: s.truncated & False), "final_rows is"),
        (altered(final_rows=lambda s: s.final_rows[::-1]), "but truncated are"),
        (altered(final_observation=lambda s: s.observation), "final_observation is"),
        (altered(episodes=lambda s: ()), "truncated are"),
        (
            altered(
                episodes=lambda s: tuple(
                    Episode(e.environment, e.episode_return + 1, e.steps) for e in s.episodes
                )
            ),
            "its rewards sum to",
        ),
        (
            altered(
                episodes=lambda s: tuple(
                    Episode(e.environment, e.episode_return, e.steps - 1) for e in s.episodes
                )
            ),
            "steps, but took",
        ),
        (altered(episodes=lambda s: s.episodes * 2), "names one twice"),
        (altered(episodes=lambda s: s.episodes or (Episode(0, 1.0, 1),)), "but flagged are"),
    ],
)
def test_a_broken_vector_is_found(change, complaint):
    with pytest.raises(EnvironmentFault, match="CartPole-v1.*breaks the contract.*" + complaint):
        check(lambda: Bad(change), steps=60)


def test_a_reset_that_is_not_by_the_key_is_found():
    class Forgetful(GymnasiumVector):
        resets = 0

        def reset(self, key):
            self.resets += 1
            return super().reset(key.child("again", self.resets))

    with pytest.raises(EnvironmentFault, match="the same vector, reset differs at step 0"):
        check(lambda: Forgetful("CartPole-v1", 2))


@pytest.mark.parametrize("wrong, complaint", [(np.clip, "it took the actions"), (None, "raised")])
def test_a_vector_that_takes_any_action_is_found(wrong, complaint):
    class Lenient(GymnasiumVector):
        def step(self, action):
            if wrong is None and action.max() > 1:
                raise IndexError("out of range")
            return super().step(wrong(action, 0, 1) if wrong else action)

    with pytest.raises(EnvironmentFault, match=complaint):
        check(lambda: Lenient("CartPole-v1", 2), steps=3)


def test_a_wrong_spec_is_found():
    class Vague(GymnasiumVector):
        def __init__(self):
            super().__init__("CartPole-v1", 2)
            self.spec = dataclasses.replace(self.spec, actions=Actions("discrete", (0,)))

    with pytest.raises(EnvironmentFault, match=r"declares the counts \(0,\)"):
        check(Vague)


def test_names_are_families_and_newest_versions():
    names = catalogue.names()
    assert names == sorted(set(names))
    assert {"atari/pong", "CartPole-v1", "ALE/Pong-v5", "Hopper-v5"} <= set(names)
    assert not {"CartPole-v0", "Hopper-v4", "PongNoFrameskip-v4"} & set(names)


class PlugIn(GymnasiumVector):
    """What another distribution would ship."""

    def __init__(self, name, size, *, slippery=False):
        super().__init__("FrozenLake-v1", size, is_slippery=slippery)
        self.name = name


def test_plug_ins_are_found_by_family_and_by_id(monkeypatch):
    points = [
        importlib.metadata.EntryPoint(name, f"{__name__}:PlugIn", "veldt.environments")
        for name in ("lake", "sea/one")
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    for name in ("lake", "lake/deep", "sea/one"):
        vector = catalogue.make(name, 2, {"slippery": True})
        assert isinstance(vector, PlugIn) and vector.name == name and vector.size == 2
    assert {"lake", "sea/one"} <= set(catalogue.names())
    with pytest.raises(UnknownName, match="Did you mean 'sea/one'"):
        catalogue.make("sea/on", 2, {})
    with pytest.raises(SettingsError, match="'wet'.*It takes: slippery"):
        catalogue.make("lake", 2, {"wet": True})


class Sized(gymnasium.Env):
    """A plug-in that is a class of Gymnasium's, with options called like our own arguments."""

    observation_space = action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, size=1, name="", render_mode=None):
        self.size = size

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 1, float(self.size), True, False, {}


def test_a_plug_in_may_be_a_class_of_gymnasiums(monkeypatch):
    points = [
        importlib.metadata.EntryPoint(name, f"{__name__}:Sized", "veldt.environments")
        for name in ("sized", "theirs/Sized-v0")
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    for name in ("sized", "theirs/Sized-v0"):
        vector = catalogue.make(name, 2, {"size": 5, "name": "x"})
        vector.reset(Key(0))
        assert vector.step(np.zeros(2, np.int64)).reward.tolist() == [5.0, 5.0]
    with pytest.raises(SettingsError, match="refuses its options"):
        catalogue.make("sized", 2, {"colour": 1})


def test_wrong_options():
    with pytest.raises(SettingsError, match="'colour'.*It takes: protocol, life_loss"):
        catalogue.make("atari/pong", 1, {"colour": True})
    with pytest.raises(SettingsError, match="refuses its options"):
        catalogue.make("CartPole-v1", 1, {"colour": True})


def test_an_option_may_be_called_size():
    with pytest.raises(SettingsError, match="CartPole-v1 refuses its options {'size': 3"):
        catalogue.make("CartPole-v1", 2, {"size": 3, "name": 1})


def test_nothing_heavy_is_imported_before_it_is_asked_for():
    code = (
        "import sys, veldt.platform.envs.catalogue, veldt.platform.envs.conformance; "
        "sys.exit(bool({'gymnasium', 'ale_py', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
