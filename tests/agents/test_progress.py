"""What is recorded of a training: of the time since the record before, not of the whole."""

import pytest

from veldt.agents.progress import Progress, Recent


def test_a_record_shows_what_has_changed_since_the_one_before():
    progress = Progress(updates=50, steps=5000, wall_seconds=10.0, trajectories=50, lag_sum=500)
    recent = Recent(progress)  # a session that goes on from there

    def record(updates, seconds, lag, waiting, forward):
        for _ in range(updates):
            progress.count_trajectory(lag, [])
        progress.updates += updates
        progress.steps += 100 * updates
        progress.wall_seconds += seconds
        actors["waiting"] = actors.get("waiting", 0.0) + waiting
        actors["environment"] = actors.get("environment", 0.0) + 1.0
        learner["forward"] = learner.get("forward", 0.0) + forward
        learner["step"] = learner.get("step", 0.0) + 1.0
        return recent.since(progress, actors, learner)

    actors, learner = {}, {}
    first = record(100, 10.0, lag=1, waiting=0.0, forward=1.0)
    assert first["steps_per_second"] == 1000.0 and first["policy_lag_mean"] == 1.0
    assert first["actor_waiting_share"] == 0.0 and first["learner_forward_share"] == 0.5
    assert first["learner_forward_ms"] == pytest.approx(10.0) == first["learner_step_ms"]
    second = record(10, 2.0, lag=4, waiting=3.0, forward=3.0)
    assert second["record_updates"] == 10
    assert second["steps_per_second"] == 500.0 and second["policy_lag_mean"] == 4.0
    assert second["actor_waiting_share"] == 0.75 == second["learner_forward_share"]
    assert second["learner_forward_ms"] == pytest.approx(300.0)
    assert "replayed_lag_mean" not in second
    summary = progress.summary()  # of the whole run
    assert summary["steps_per_second"] == round(16_000 / 22.0, 1)
    assert summary["policy_lag_mean"] == (500 + 100 + 40) / 160


def test_what_is_replayed_has_a_lag_of_its_own():
    progress = Progress()
    recent = Recent(progress)
    assert "replayed_lag_mean" not in progress.summary()
    for lags in ([3, 5], [10]):
        progress.count_trajectory(1, [])
        progress.count_replayed(lags)
        newest = recent.since(progress, {}, {})
    summary = progress.summary()
    assert newest["replayed_lag_mean"] == 10.0 and summary["replayed_lag_mean"] == 6.0
    assert summary["trajectories_replayed"] == 3 and summary["policy_lag_mean"] == 1.0
