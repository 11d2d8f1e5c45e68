"""Trainings as settings: what is chosen where nothing is said."""

import socket
import sys

import pytest

from veldt.agents import actor, settings
from veldt.agents.settings import TrainSettings, chosen_before
from veldt.platform import machine
from veldt.platform.errors import InputError
from veldt.platform.runs import RunFolder

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
    monkeypatch.setattr(settings, "whole_cores", lambda: cores)
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
