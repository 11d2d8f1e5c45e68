"""Trainings as settings: what is chosen where nothing is said."""

import socket
import sys

import pytest
import torch

from veldt.agents import actor, settings
from veldt.agents.build import look, make_environments
from veldt.agents.learner import OPTIMIZERS
from veldt.agents.settings import OWN, OptimizerSettings, TrainSettings, chosen_before
from veldt.launch import cookbook
from veldt.platform import machine
from veldt.platform.errors import InputError, SettingsError
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
    RunFolder(tmp_path, now, True, complete=TrainSettings.completed).close()


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


@pytest.mark.parametrize(
    ("cores", "gpu", "data", "threads", "count"),
    [
        (2, False, {}, 1, 2),
        (4, False, {}, 1, 4),
        (16, False, {}, 4, 12),  # the learner's threads have cores of their own
        (16, False, {"learner": {"count": 2}}, 2, 12),
        (16, False, {"learner": {"threads": 8}}, 8, 8),
        (16, False, {"learner": {"threads": 64}}, 64, 1),
        (16, False, {"actors": {"count": 3}}, 4, 3),
        (16, False, {"deterministic": True}, 1, 16),
        (16, True, {}, 1, 16),
        (16, True, {"learner": {"device": "cpu"}}, 4, 12),
        (16, False, {"learner": {"device": "cuda"}}, 1, 16),
    ],
)
def test_threads_and_actors_are_chosen_from_the_machine(
    cores, gpu, data, threads, count, monkeypatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(settings, "whole_cores", lambda: cores)
    monkeypatch.setattr(settings, "has_gpu", lambda: gpu)
    found = TrainSettings.parse(ONE | data)
    assert (found.learner.threads, found.actors.count) == (threads, count)


@pytest.mark.parametrize(
    ("asked", "gpu", "data", "threads", "count"),
    [
        ("1", False, {}, 1, 16),
        ("6", False, {}, 6, 10),
        ("6", True, {}, 6, 10),
        ("3,2", False, {"learner": {"count": 2}}, 3, 10),  # of each learner
        ("6", False, {"learner": {"threads": 2}}, 2, 14),
        ("6", False, {"deterministic": True}, 1, 16),
        ("9999", False, {"actors": {"count": 3}}, 1024, 3),
        ("", False, {}, 4, 12),
        ("0", False, {}, 4, 12),
        ("many", False, {}, 4, 12),
    ],
)
def test_threads_that_the_surroundings_ask_for_are_the_default(
    asked, gpu, data, threads, count, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(settings, "whole_cores", lambda: 16)
    monkeypatch.setattr(settings, "has_gpu", lambda: gpu)
    found = TrainSettings.parse(ONE | data)
    assert (found.learner.threads, found.actors.count) == (threads, count)


def test_a_run_goes_on_elsewhere_with_what_was_chosen_where_it_began(monkeypatch):
    monkeypatch.setattr(settings, "whole_cores", lambda: 4)
    old = TrainSettings.parse(ONE).dump()
    monkeypatch.setattr(settings, "whole_cores", lambda: 64)
    assert TrainSettings.parse(chosen_before(ONE, old)).dump() == old
    said = ONE | {"actors": {"count": 7}}
    assert chosen_before(said, old)["actors"]["count"] == 7


def test_a_run_of_an_older_version_goes_on_with_the_defaults_of_what_is_new(tmp_path):
    new = TrainSettings.parse(ONE).dump()
    old = new | {"actors": {n: v for n, v in new["actors"].items() if n not in ("groups", "bind")}}
    RunFolder(tmp_path, old, resume=False).close()
    with pytest.raises(InputError, match="actors.bind"):
        RunFolder(tmp_path, new, resume=True)
    RunFolder(tmp_path, new, resume=True, complete=TrainSettings.completed).close()
    assert TrainSettings.completed({"no": "settings"}) == {"no": "settings"}


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_each_core_is_claimed_once(monkeypatch):
    cores = {100_001, 100_002}  # that no machine has
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: cores, raising=False)
    one, two = machine.claim_core(), machine.claim_core()
    assert {one.number, two.number} == cores and machine.claim_core() is None
    one.close()
    again = machine.claim_core()
    assert again.number == one.number
    again.close()
    two.close()


@pytest.mark.parametrize(
    ("actors", "cores", "quota", "bound"),
    [
        ({"count": 3}, 4, False, [7]),  # and a core for the learner
        ({"count": 4}, 4, False, []),
        ({"count": 3}, 4, True, []),
        ({"count": 3, "bind": False}, 4, False, []),
        ({"count": 3, "groups": 2}, 4, False, []),  # threads of their own, which want cores
        ({"count": 9, "cores": [5, 6]}, 4, True, [6]),
    ],
)
def test_an_actor_has_a_core_of_its_own_where_there_are_enough(
    actors, cores, quota, bound, monkeypatch
):
    found = []
    core = machine.Core(7, socket.socket(socket.AF_UNIX))
    monkeypatch.setattr(actor, "whole_cores", lambda: cores)
    monkeypatch.setattr(actor, "quota", lambda: quota)
    monkeypatch.setattr(actor, "claim_core", lambda: core)
    monkeypatch.setattr(actor, "bind", found.append)
    own = actor.own_core(TrainSettings.parse(ONE | {"actors": actors}), 1)
    assert found == bound and (own is core) == (bound == [7])
    core.close()
