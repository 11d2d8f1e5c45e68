"""What the bench of killed actors makes of a training, and of its samples."""

import pytest

from veldt.agents import feed, train
from veldt.agents.progress import Progress
from veldt.agents.settings import TrainSettings
from veldt.launch import faults_bench
from veldt.platform import checkpoints
from veldt.platform.errors import Interrupted

SETTINGS = TrainSettings.parse({"environment": {"id": "CartPole-v1"}, "frames": 4_000})


def of(monkeypatch, seen, **counted):
    """What the bench says of a training that it saw so many updates of, which counted this."""

    def training(settings, folder, *, beat, stop):
        for _ in range(seen):
            beat()
        assert stop()
        checkpoints.save(folder, counted["updates"], {}, Progress(**counted).state())
        raise Interrupted("stopped")

    monkeypatch.setattr(train, "train", training)
    return faults_bench._train(SETTINGS, 0.0, None)


def test_what_is_lost_is_seen(monkeypatch):
    right = {"updates": 10, "trajectories": 10, "trajectories_begun": 13}
    right |= {"trajectories_dropped": 3, "actors_ended_at_work": 2}
    found = of(monkeypatch, 10, **right)
    assert found["updates_lost"] == found["unrolls_unaccounted"] == 0
    assert found["actors_ended_at_work"] == 2 and found["learner_megabytes_late"] > 10
    back = right | {"updates": 7, "trajectories": 7, "trajectories_begun": 10}
    found = of(monkeypatch, 10, **back)  # three were made, and are not there
    assert found["updates_lost"] == 3 and found["unrolls_unaccounted"] == 0
    silent = right | {"trajectories_dropped": 0}
    assert of(monkeypatch, 10, **silent)["unrolls_unaccounted"] == 3


def test_what_was_gathered_for_an_update_that_never_came_is_dropped(monkeypatch, tmp_path):
    feeds, publish = [], feed.Feed.publish
    monkeypatch.setattr(
        feed.Feed, "publish", lambda self, *some: feeds.append(self) or publish(self, *some)
    )
    data = {"environment": {"id": "CartPole-v1"}, "frames": 10**6, "learner": {"batch": 3}}
    settings = TrainSettings.parse(data | {"actors": {"count": 1}})
    with pytest.raises(Interrupted):
        train.train(settings, tmp_path, stop=lambda: len(feeds) > 3 and feeds[0]._unlearnt == 2)
    state = checkpoints.load(tmp_path)[2]
    assert state["trajectories"] == 3 * state["updates"] and state["trajectories_dropped"] >= 2
    assert faults_bench.unaccounted(state) == 0


def test_the_memory_of_all_samples_has_a_slope():
    line = [(seconds, 200.0 + 0.5 * seconds) for seconds in range(100)]
    assert faults_bench.per_minute(line) == pytest.approx(30.0)
    low = [*line[:-1], (99, 200.0)]  # the last one falls where little is held
    assert 25.0 < faults_bench.per_minute(low) < 30.0
