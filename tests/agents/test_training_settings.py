"""Trainings as settings: what is chosen where nothing is said."""

import pytest

from veldt.agents import settings
from veldt.agents.build import look, make_environments
from veldt.agents.settings import TrainSettings
from veldt.platform.keys import Key

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
