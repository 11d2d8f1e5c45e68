"""A study's folder as the real coordinator leaves it, of trainings that were only calculated."""

import math

import numpy as np

from veldt.platform.errors import Interrupted
from veldt.platform.runs import RunFolder, write_json
from veldt.search.coordinator import conduct
from veldt.search.journal import Journal
from veldt.search.settings import SearchSettings
from veldt.search.simulator import Played, Simulator
from veldt.search.study import Study
from veldt.search.trial import Outcome, Reported

FRAMES = 8_100
SPACE = {
    "optimizer.learning_rate": {"kind": "log", "low": 1e-5, "high": 1e-1},
    "agent.entropy_cost": {"kind": "log", "low": 1e-4, "high": 1e-1},
}


class Landscape:
    """The best learning rate is 1e-3; the seed moves the score at each length, and a
    learning rate above `worst` fails."""

    def __init__(self, noise=5.0, worst=1.0):
        self.noise, self.worst = noise, worst

    def score(self, job, frames):
        distance = abs(math.log10(job.settings["optimizer"]["learning_rate"]) + 3.0)
        drawn = np.random.default_rng([job.settings["seed"], frames]).normal()
        return 100.0 * math.exp(-distance) * (frames / FRAMES) ** 0.5 + self.noise * drawn

    def play(self, job):
        end = job.until or job.settings["frames"]
        tenths = [FRAMES * i // 10 for i in range(1, 10) if FRAMES * i // 10 < end]
        reports = [
            ((i + 1) / (len(tenths) + 1), Reported(job.segment, f, self.score(job, f)))
            for i, f in enumerate(tenths)
        ]
        if job.settings["optimizer"]["learning_rate"] > self.worst:
            return Played(0.1, Outcome(job.segment, None, "Diverged: the loss is inf"), ())
        return Played(1.0, self.outcome(job, end), reports)

    def paused(self, job, reported):
        return self.outcome(job, reported.frames)

    def outcome(self, job, frames):
        score = self.score(job, frames)
        evaluation = {
            "mean_return": score,
            "standard_error": 1.0,
            "episodes": 3,
            "returns": [score - 1.0, score, score + 1.0],
        }
        summary = {"steps": frames, "updates": frames // 10, "frames": frames}
        return Outcome(job.segment, score, frames=frames, summary=summary, evaluation=evaluation)


def simulated(
    folder, scheduler="whole", trials=12, workers=2, landscape=None, events=None, report=None,
    **more,
):  # fmt: skip
    """Searches, and returns the settings.

    Args:
        folder: The study's; gone on with if there is one.
        scheduler: Of the study.
        trials: That random search asks for.
        workers: In virtual time.
        landscape: What trainings come to.
        events: After so many the search is stopped.
        report: Called with each event.
        more: Settings.
    """
    settings = SearchSettings.parse(
        {
            "train": {"frames": FRAMES, "environment": {"id": "CartPole-v1"}},
            "space": SPACE,
            "stages": [{"method": "random", "trials": trials}],
            "scheduler": scheduler,
        }
        | more
    )
    run = RunFolder(folder, settings.dump(), resume=True)
    journal = Journal(folder / "study.sqlite")
    study = Study(settings, folder, journal, report or (lambda kind, body: None))
    try:
        summary = conduct(
            study,
            Simulator(landscape or Landscape(), workers),
            lambda: events is not None and len(journal.events) >= events,
        )
        write_json(folder / "summary.json", summary)
    except Interrupted:
        assert events is not None
    finally:
        journal.close()
        run.close()
    return settings
