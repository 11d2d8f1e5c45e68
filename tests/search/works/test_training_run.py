"""A stretch of a training as a search runs it."""

from veldt.agents.settings import TrainSettings
from veldt.platform.runs import read_settings
from veldt.search.trial import Job
from veldt.search.works import training_run

TINY = {
    "frames": 320,
    "environment": {"id": "CartPole-v1"},
    "actors": {"count": 1, "environments": 4, "unroll_length": 10},
    "learner": {"batch": 1, "checkpoint_updates": 2, "threads": 1},
    "optimizer": {"anneal": False},
}


def test_a_trial_goes_on_on_a_larger_machine_with_what_was_chosen_where_it_began(tmp_path):
    (tmp_path / "trial").mkdir()

    def job(threads, until):
        settings = TrainSettings.parse(TINY | {"learner": TINY["learner"] | {"threads": threads}})
        folder = str(tmp_path / "trial")
        plain = Job("trial", str(tmp_path), settings.dump(), {"episodes": 1}, 0, folder)
        return Job(**plain.plain() | {"until": until})

    first = training_run.run(job(1, 160), lambda: False)
    assert first.frames == 160
    assert training_run.run(job(2, None), lambda: False).frames == 320
    assert read_settings(tmp_path / "trial")["learner"]["threads"] == 1
