"""Trainings in stretches: stopped on purpose, gone on with, and made longer than they were."""

import time
import types

import numpy as np
import pytest

import veldt.agents.train
from veldt.agents.actor_pool import MODULE, PRELOAD
from veldt.agents.learner import Learner
from veldt.agents.settings import TrainSettings
from veldt.agents.train import train
from veldt.platform import checkpoints
from veldt.platform.errors import SettingsError
from veldt.platform.runs import read_settings
from veldt.platform.zygote import Zygote

FRAMES = 8_000


@pytest.fixture(scope="module")
def zygote():
    made = Zygote([MODULE, PRELOAD])
    yield made
    made.close()


@pytest.fixture(autouse=True)
def one_zygote(zygote, monkeypatch):
    """For all trainings: pytest has threads, so each would start its own anew, for seconds."""
    lent = types.SimpleNamespace(spawn=zygote.spawn, close=lambda: None)
    monkeypatch.setattr(veldt.agents.train, "Zygote", lambda preload: lent)


def settings(frames=FRAMES, **more):
    data = {
        "environment": {"id": "CartPole-v1"},
        "agent": {"name": "impala", "network": {"hidden": [8]}},
        "actors": {"count": 2, "environments": 4, "unroll_length": 10},
        "learner": {"batch": 2, "max_lag": 1, "checkpoint_updates": 10},
        "optimizer": {"anneal": False},
        "deterministic": True,
        "frames": frames,
        "seed": 3,
    }
    return TrainSettings.parse(data | more)


def weights(folder):
    _, arrays, state = checkpoints.load(folder)
    return arrays, state


def same(one, other):
    assert one[0].keys() == other[0].keys()
    for name, array in one[0].items():
        np.testing.assert_array_equal(array, other[0][name], err_msg=name)
    for part in ("updates", "steps", "episodes"):
        assert one[1][part] == other[1][part]


@pytest.mark.parametrize("learners", [1, 2])
def test_stretches_come_to_the_bits_of_the_whole(tmp_path, learners):
    learner = {"batch": 2, "max_lag": 1, "checkpoint_updates": 10, "count": learners}
    whole = settings(learner=learner)
    train(whole, tmp_path / "whole", tensorboard=False)
    folder = tmp_path / "stretches"
    # 80 steps an update: 2,500 frames end at update 40, the first checkpoint's after it.
    for until, updates in ((2_500, 40), (2_500, 40), (7_000, 90), (None, 100)):
        summary = train(whole, folder, resume=True, until=until, tensorboard=False)
        assert summary["updates"] == updates == weights(folder)[1]["updates"]
        assert (folder / "summary.json").exists() == (updates == 100)
    same(weights(folder), weights(tmp_path / "whole"))


def test_a_training_made_longer_comes_to_the_bits_of_a_long_one(tmp_path):
    annealed = {"anneal": True, "horizon_frames": 16_000}
    train(settings(12_000, optimizer=annealed), tmp_path / "long", tensorboard=False)
    folder = tmp_path / "grown"
    short = settings(FRAMES - 300, optimizer=annealed)  # its end is between two checkpoints
    assert train(short, folder, tensorboard=False)["updates"] == 97
    grown = settings(12_000, optimizer=annealed)
    assert train(grown, folder, resume=True, tensorboard=False)["updates"] == 150
    assert read_settings(folder)["frames"] == 12_000
    same(weights(folder), weights(tmp_path / "long"))


def test_a_learning_rate_that_knew_its_end_keeps_it(tmp_path):
    annealed = settings(800, optimizer={"anneal": True})
    train(annealed, tmp_path / "run", tensorboard=False)
    longer = settings(1_600, optimizer={"anneal": True})
    with pytest.raises(SettingsError, match="to be 0 after 800 frames.*horizon_frames"):
        train(longer, tmp_path / "run", resume=True, tensorboard=False)


def test_a_slow_learner_is_told_of_the_actors_that_wait_for_it(tmp_path, monkeypatch):
    update, told = Learner.update, []

    def slow(self, batch, done, meanwhile, idle):
        told.append(idle)
        time.sleep(0.2)
        return update(self, batch, done, meanwhile, idle)

    monkeypatch.setattr(Learner, "update", slow)
    train(settings(frames=800), tmp_path / "run", tensorboard=False)
    assert len(told) == 10 and set(told) <= {0, 1, 2} and max(told) == 2
