"""A run's learned loss: copied into its folder, and never looked for elsewhere again."""

import shutil

import numpy as np
import pytest

from veldt.agents import actor
from veldt.agents.build import environment_spec, make_agent
from veldt.agents.kept_loss import kept, without
from veldt.agents.lives import loss_file
from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.learned_loss import LearnedLoss, LossSettings
from veldt.agents.lives.settings import LifeSettings
from veldt.agents.settings import TrainSettings
from veldt.platform import checkpoints
from veldt.platform.envs.vector import Actions
from veldt.platform.runs import read_settings

LOSS = LossSettings(context=5, units=4, memory=2, memory_weights=3)
BOX = Actions("box", (), (-1.0, -1.0), (1.0, 1.0))
RECIPE = """
frames = 1_024
environment = {id = "family/direction"}
actors = {count = 1, environments = 4, unroll_length = 64}
learner = {batch = 1}
optimizer = {anneal = false}
evaluation = {every = 512, episodes = 2}
agent = {name = "impala", loss = "here.safetensors"}
"""


@pytest.fixture
def loss():
    """Writes one."""

    def write(path):
        one = Anatomy(4, BOX, (8,), False, (2, 3))
        numbers = LearnedLoss(LOSS, one).begin(np.random.default_rng(0)).astype(np.float32)
        life = LifeSettings.parse({"environment": {"id": "family/direction"}, "buffer": 64})
        words = loss_file.words(LOSS, life, 4, BOX)
        checkpoints.save_arrays(path, {"loss": numbers}, words)
        return path

    return write


def test_a_run_needs_the_file_it_was_given_no_more(veldt, loss):
    file = loss(veldt.folder / "here.safetensors")
    (veldt.folder / "point.toml").write_text(RECIPE)
    summary = veldt.summary("train", "point.toml", "--out", "run")
    assert summary["updates"] == 4 and summary["hidden_tasks"][0].startswith("family/direction: x")
    content = file.read_bytes()
    file.unlink()
    shutil.move(veldt.folder / "run", veldt.folder / "moved")
    assert (veldt.folder / "moved" / "loss.safetensors").read_bytes() == content
    assert veldt.summary("evaluate", "moved", "--episodes", 2)["episodes"] == 2
    more = ("--set", "frames=2048", "--resume")
    assert veldt.summary("train", "point.toml", "--out", "moved", *more)["updates"] == 8
    assert read_settings(veldt.folder / "moved")["agent"]["loss"] == "here.safetensors"
    assert veldt("train", "point.toml", "--out", "new").returncode == 2


def test_who_only_acts_needs_no_loss(tmp_path, loss):
    file = loss(tmp_path / "one.safetensors")
    settings = TrainSettings.parse(
        {
            "frames": 1,
            "environment": {"id": "family/direction"},
            "agent": {"name": "impala", "loss": str(file)},
        }
    )
    spec = environment_spec(settings)
    learner = make_agent(settings, spec)
    file.unlink()
    agent = make_agent(without(kept(settings, tmp_path)), spec)
    weights = {name: part.numpy() for name, part in learner.network.state_dict().items()}
    actor.load_weights(agent, actor.acting_part(weights))
    for name, part in agent.network.state_dict().items():
        np.testing.assert_array_equal(part.numpy(), weights[name])
