"""Trainings that are formulas, for studies in virtual time."""

import math

import numpy as np

from veldt.search.coordinator import conduct
from veldt.search.journal import Journal
from veldt.search.settings import SearchSettings
from veldt.search.simulator import Played, Simulator
from veldt.search.study import Study
from veldt.search.trial import Outcome, Reported

R = 8_100  # frames of a whole training
SCHEDULERS = {
    "whole": {"name": "whole"},
    "halving": {"name": "halving", "trials": 9, "rungs": 3},
    "hyperband": {"name": "hyperband", "least_frames": R // 9},
    "asha": {"name": "asha", "rungs": 4, "eta": 3, "brackets": 2},
    "median": {"name": "median", "least_trials": 3},
    "curve": {"name": "curve", "least_trials": 3},
    "freeze-thaw": {"name": "freeze-thaw", "stretches": 4, "first": 2},
    "pbt": {"name": "pbt", "population": 5, "stretches": 9},
    "pb2": {"name": "pb2", "population": 3, "stretches": 6},
}


class Curves:
    """Trainings whose scores are a function of the learning rate and of the frames.

    The best rate is 1e-3. With `crossing`, the smallest are the best, and begin slowly.
    """

    def __init__(self, crossing=False, seconds=lambda job: 1.0, noise=0.0):
        self.crossing, self.seconds, self.noise = crossing, seconds, noise

    def score(self, job, frames):
        rate = job.settings["optimizer"]["learning_rate"]
        distance = abs(math.log10(rate) + 3.0)
        share = frames / R
        best = 100.0 * math.exp(-distance)
        if self.crossing:
            if rate > 10**-2.2:  # three in ten begin fast, and end there
                return 60.0 * (1.0 - math.exp(-20.0 * share)) + 1e-3 * distance
            slow = 100.0 if rate < 10**-4.97 else 30.0
            return slow * share**0.43 + 1e-3 * distance
        drawn = np.random.default_rng(job.settings["seed"] % 2**32).normal()
        return best * share**0.5 + self.noise * drawn

    def play(self, job):
        end = job.until or job.settings["frames"]
        tenths = [R * i // 10 for i in range(1, 10) if R * i // 10 < end]
        seconds = self.seconds(job)
        reports = [
            (seconds * (i + 1) / (len(tenths) + 1), Reported(job.segment, f, self.score(job, f)))
            for i, f in enumerate(tenths)
        ]
        return Played(seconds, self.outcome(job, end), reports)

    def paused(self, job, reported):
        return self.outcome(job, reported.frames)

    def outcome(self, job, frames):
        score = self.score(job, frames)
        evaluation = {
            "mean_return": score,
            "standard_error": 0.0,
            "episodes": 1,
            "returns": [score],
        }
        summary = {"steps": frames, "updates": frames // 10, "frames": frames}
        return Outcome(job.segment, score, frames=frames, summary=summary, evaluation=evaluation)


def settings(scheduler, trials=100, **more):
    return SearchSettings.parse(
        {
            "train": {"frames": R, "environment": {"id": "CartPole-v1"}},
            "space": {"optimizer.learning_rate": {"kind": "log", "low": 1e-5, "high": 1e-1}},
            "stages": [{"method": "random", "trials": trials}],
            "scheduler": scheduler,
        }
        | more
    )


def run(folder, made, landscape, workers=3, stop=lambda: False):
    folder.mkdir(exist_ok=True)
    journal = Journal(folder / "study.sqlite")
    crew = Simulator(landscape, workers)
    study = Study(made, folder, journal, lambda kind, body: None)
    try:
        summary = conduct(study, crew, stop)
    finally:
        journal.close()
    return study, summary, crew


def spent(view):
    """Frames of all tuning."""
    return sum(
        view.results[number]["frames"] - segment.begin
        for number, segment in view.segments.items()
        if segment.purpose == "tune"
    )


class JobOf:  # a job's settings, for the landscape
    def __init__(self, trial):
        self.settings = {
            "optimizer": {"learning_rate": trial.point["optimizer.learning_rate"]},
            "seed": 0,
        }


class Drifting(Curves):
    """A score that grows by what the rate brings now; the best rate falls with the frames."""

    def __init__(self):
        super().__init__()
        self.theta = {}

    def gain(self, rate, frames):
        return math.exp(-2.0 * abs(rate - (-2.0 - 2.0 * frames / R)))

    def play(self, job):
        end = job.until or job.settings["frames"]
        before = 0.0
        name = job.folder
        if job.parent is not None and name not in self.theta:
            before = self.theta[job.parent[0]][job.parent[1]]
            self.theta[name] = {job.parent[1]: before}
        if name in self.theta:
            before = self.theta[name][max(self.theta[name])]
        frames = max(self.theta.get(name, {0: 0})) * 10
        rate = math.log10(job.settings["optimizer"]["learning_rate"])
        value = before + self.gain(rate, frames) * (end - frames) / R
        self.theta.setdefault(name, {})[end // 10] = value
        outcome = self.outcome(job, end)
        evaluation = outcome.evaluation | {"mean_return": value}
        return Played(
            1.0,
            Outcome(
                job.segment, value, frames=end, summary=outcome.summary, evaluation=evaluation
            ),
        )
