"""Trainings as settings: what is chosen where nothing is said."""

import pytest

from veldt.agents import settings
from veldt.agents.settings import TrainSettings

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
