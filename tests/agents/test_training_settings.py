"""Trainings as settings: what is chosen where nothing is said."""

import pytest
import torch

from veldt.agents import settings
from veldt.agents.build import look, make_environments
from veldt.agents.learner import OPTIMIZERS
from veldt.agents.settings import OWN, OptimizerSettings, TrainSettings
from veldt.launch import cookbook
from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key
from veldt.platform.runs import RunFolder, write_json

ONE = {"environment": {"id": "CartPole-v1"}, "frames": 100}


@pytest.mark.parametrize(
    ("data", "count"),
    [
        ({}, 4),
        ({"actors": {"environments": 3}}, 4),
        ({"actors": {"count": 7}}, 7),
        ({"environment": {"tasks": 3}}, 6),
        ({"environment": {"tasks": 3}, "learner": {"count": 2}}, 6),
        ({"learner": {"count": 3, "batch": 3}}, 6),
        ({"environment": {"tasks": 9}}, 9),
    ],
)
def test_an_actor_for_each_core_in_even_shares(data, count, monkeypatch):
    monkeypatch.setattr(settings, "whole_cores", lambda: 4)
    if "environment" in data:
        tasks = [{"id": f"task-{i}"} for i in range(data["environment"]["tasks"])]
        data = data | {"environment": {"tasks": tasks}}
    found = TrainSettings.parse(ONE | data)
    assert found.actors.count == count
    again = TrainSettings.parse(found.dump())
    monkeypatch.setattr(settings, "whole_cores", lambda: 64)
    assert TrainSettings.parse(again.dump()) == found  # on another machine too


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_has_its_own_defaults(name):
    found = OptimizerSettings.parse({"name": name})
    assert found.own == OWN[name] and OptimizerSettings.parse(found.dump()) == found
    assert found.epsilon == {"rmsprop": 0.01}.get(name, 1e-8)  # the paper's; torch's
    parameter = torch.nn.Parameter(torch.ones(1))
    OPTIMIZERS[name]([("p", parameter)], **found.own).step(0.1)
    assert found.own.keys() == {key for key in OWN[name] if getattr(found, key) is not None}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "adam", "decay": 0.9}, "decay would have no effect on adam, whose own"),
        ({"name": "adam", "decay": 0.99}, "leave decay out, or take name = 'rmsprop'"),
        ({"name": "adam", "momentum": 0.0}, "momentum would have no effect"),
        ({"beta1": 0.5, "beta2": 0.9}, "beta1, beta2 would have no effect on rmsprop"),
        ({"name": "adamw"}, "optimizer.name.*'adam'"),
        ({"name": ["adam"]}, "optimizer.name"),
    ],
)
def test_what_an_optimiser_would_not_look_at_is_refused(given, words):
    with pytest.raises(SettingsError, match=words):
        TrainSettings.parse(ONE | {"optimizer": given})


def test_a_run_of_before_is_read_and_gone_on_with(tmp_path):
    """Every run's settings had a decay and a momentum then, looked at or not."""
    now = TrainSettings.parse(ONE | {"optimizer": {"name": "adam", "epsilon": 0.01}}).dump()
    old = now | {"optimizer": {"name": "adam", "decay": 0.99, "momentum": 0.0, "epsilon": 0.01}}
    assert TrainSettings.parse(old).dump() == now
    write_json(tmp_path / "settings.json", {"settings": old})
    RunFolder(tmp_path, now, True, present=lambda old: TrainSettings.parse(old).dump()).close()


def test_the_papers_recipe_is_its_table_g_1():
    """Espeholt et al. 2018, table G.1, and section 5.3.2 for the network and the no-ops."""
    found = TrainSettings.parse(cookbook.load("atari/paper", "train"))
    agent, optimizer = found.agent, found.optimizer
    assert found.frames == 200_000_000 and found.environment.id.startswith("atari/")
    assert found.environment.options == {}  # the protocol "paper"
    assert found.actors.unroll_length == 20
    assert found.actors.environments * found.learner.batch == 32  # trajectories in a batch
    assert (agent.discount, agent.baseline_cost, agent.entropy_cost) == (0.99, 0.5, 0.01)
    assert (agent.reward_clipping, agent.reduction, agent.lambda_) == ("abs_one", "sum", 1.0)
    assert (agent.minibatches, found.learner.replay) == (1, 0)
    assert (optimizer.name, optimizer.anneal) == ("rmsprop", True)
    assert optimizer.own == {"decay": 0.99, "momentum": 0.0, "epsilon": 0.01}
    assert (optimizer.learning_rate, optimizer.max_gradient_norm) == (0.0006, 40.0)
    assert (agent.network.torso, agent.network.core) == ("nature", "none")  # three convolutions
    assert not (agent.network.last_action or agent.network.last_reward)


def test_a_run_on_a_family_is_of_one_hidden_task_unless_many_are_asked_for():
    def tasks(seed, size=3, **environment):
        settings = TrainSettings.parse(
            {"frames": 1, "seed": seed, "environment": {"id": "family/goal"} | environment}
        )
        vector = make_environments(settings, size)
        vector.reset(Key(seed).child("actor", size))
        vector.close()
        return vector.tasks.round(3).tolist(), look(settings)[1]

    (first, hidden), (again, _) = tasks(0), tasks(0, size=1)
    assert first[0] == first[1] == first[2] == again[0]
    assert hidden == ["family/goal: x {:.3f}, y {:.3f}".format(*first[0])]
    assert tasks(1)[0] != first
    many, hidden = tasks(0, hidden_tasks="many")
    assert many[0] != many[1] != many[2] and hidden == []
