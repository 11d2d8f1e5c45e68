"""How much of a search's time is its coordinator's.

    event_ms            of the coordinator, for an event of the log, when there are 1,000 trials:
                        the scheduler, the searcher, the view, and the log on the disk (ASHA,
                        random points; other schedulers beside it)
    commit_ms           of that, waiting for the disk
    utilisation_sim_64  of 64 simulated workers whose segments take about a second of virtual
                        time; the real seconds that the coordinator takes pass there as well,
                        and workers that are free stay idle in them
    utilisation_2       of 2 ranks with real processes that are at work for times with a
                        log-normal distribution, the 5th and the 95th percentile 10-fold apart
    tpe_ms_at_1000      one question of TPE, after 1,000 answers in 6 dimensions

`python -m veldt.launch.search_bench` is what each of the 2 ranks runs.
"""

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rich.table

from veldt.launch import rank_bench
from veldt.launch.console import Console
from veldt.platform.errors import Interrupted
from veldt.platform.keys import Key
from veldt.platform.ranks import Ranks
from veldt.platform.runs import write_json
from veldt.search.coordinator import conduct
from veldt.search.crew import News
from veldt.search.journal import Event, Journal, read
from veldt.search.optuna_search import Tpe, TpeSettings
from veldt.search.run import search
from veldt.search.settings import SearchSettings
from veldt.search.simulator import Played, Simulator
from veldt.search.space.space import Space
from veldt.search.study import Study
from veldt.search.supervisor import Supervisor
from veldt.search.trial import RESULT, Job, Outcome, Reported

FRAMES = 8_100
WORKERS = 64
TRIALS = 1_000
WINDOW = 100  # trials up to that, over which events are timed
REPORTS = 10  # of a whole trial
MEDIAN_S = 0.8  # of the times on 2 ranks; their mean is about a second
SPREAD = math.log(10.0) / (2 * 1.645)  # 10-fold from the 5th percentile to the 95th
QUESTIONS = 15  # of TPE
SPACE: dict[str, Any] = {
    "optimizer.learning_rate": {"kind": "log", "low": 1e-5, "high": 1e-1},
    "optimizer.epsilon": {"kind": "log", "low": 1e-6, "high": 1.0},
    "agent.discount": {"kind": "real", "low": 0.9, "high": 0.999},
    "agent.entropy_cost": {"kind": "log", "low": 1e-5, "high": 1e-1},
    "agent.baseline_cost": {"kind": "log", "low": 0.1, "high": 1.0},
    "actors.unroll_length": {"kind": "integer", "low": 5, "high": 40},
}
SCHEDULERS: dict[str, dict[str, Any]] = {
    "asha": {"brackets": 2},
    "halving": {"trials": 81, "brackets": 1_000},
    "median": {},
    "whole": {},
}


def overhead(seconds: float, console: Console, trials: int = TRIALS) -> dict[str, Any]:
    """All the figures.

    Args:
        seconds: For the real ranks.
        console: For words in between.
        trials: So many simulated ones, and answers of TPE.
    """
    found: dict[str, Any] = {"trials": trials}
    for scheduler in SCHEDULERS:
        console.say(f"{scheduler}: {WORKERS} simulated workers, {trials:,} trials ...")
        measured = simulated(scheduler, trials)
        if scheduler == "asha":
            found |= measured
        else:
            found[f"event_ms_{scheduler}"] = measured["event_ms"]
    console.say("2 ranks with processes that are at work for 0.25 to 2.5 seconds ...")
    with tempfile.TemporaryDirectory(prefix="veldt-bench-") as folder:
        job = {"folder": folder, "seconds": seconds}
        found |= rank_bench.measured("veldt.launch.search_bench", 2, job)
    console.say(f"TPE after {trials:,} answers ...")
    found["tpe_ms_at_1000" if trials == TRIALS else "tpe_ms"] = tpe_ms(trials)
    return found


def show(result: dict[str, Any], console: Console) -> None:
    """The figures as a table."""
    table = rich.table.Table(title="search: the coordinator", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in result.items():
        table.add_row(name, f"{value:.1%}" if name.startswith("util") else f"{value:,.3g}")
    console.say(table)


def settings(scheduler: str, trials: int) -> SearchSettings:
    """A study of points that nothing is learnt from."""
    return SearchSettings.parse(
        {
            "train": {"frames": FRAMES, "environment": {"id": "CartPole-v1"}},
            "space": SPACE,
            "stages": [{"method": "random", "trials": trials}],
            "scheduler": {"name": scheduler} | SCHEDULERS[scheduler],
            "heldout": {"finalists": 1},
        }
    )


class Seconds:
    """Trainings whose segments take from half a second to one and a half."""

    def play(self, job: Job) -> Played:
        end = job.until or int(job.settings["frames"])
        seconds = 0.5 + float(Key(job.segment).generator().random())
        on_the_way = [i * FRAMES // REPORTS for i in range(1, REPORTS)]
        reports = [
            (seconds * frames / end, Reported(job.segment, frames, score(job, frames)))
            for frames in on_the_way
            if frames < end
        ]
        return Played(seconds, outcome(job, end), reports)

    def paused(self, job: Job, reported: Reported) -> Outcome:
        return outcome(job, reported.frames)


def score(job: Job, frames: int) -> float:
    distance = abs(math.log10(job.settings["optimizer"]["learning_rate"]) + 3.0)
    noise = float(Key(job.evaluation_seed).child("noise", frames).generator().normal())
    return float(100.0 * math.exp(-distance) * (frames / FRAMES) ** 0.5 + 5.0 * noise)


def outcome(job: Job, frames: int, **more: Any) -> Outcome:
    mean = score(job, frames)
    summary = {"steps": frames, "updates": frames // 10, "frames": frames} | more
    evaluation = {"mean_return": mean, "standard_error": 0.0, "episodes": 1, "returns": [mean]}
    return Outcome(job.segment, mean, frames=frames, summary=summary, evaluation=evaluation)


class Charged(Simulator):
    """Virtual time that passes while the coordinator is at work too, as long as that takes."""

    def __init__(self, workers: int) -> None:
        super().__init__(Seconds(), workers)
        self.coordinating = 0.0
        """seconds that the coordinator took"""
        self._left: float | None = None

    def _enter(self) -> None:
        if self._left is not None:
            self.coordinating += time.perf_counter() - self._left
            self.seconds += time.perf_counter() - self._left

    def start(self, worker: int, job: Job) -> None:
        self._enter()
        super().start(worker, job)
        self._left = time.perf_counter()

    def pause(self, worker: int) -> None:
        self._enter()
        super().pause(worker)
        self._left = time.perf_counter()

    def poll(self, timeout_s: float) -> News | None:
        self._enter()
        now, heard = self.seconds, None
        if timeout_s > 0.0 or (self._queue and self._queue[0][0] <= now):
            heard = super().poll(1.0)  # of who was ready before, its own time
            self.seconds = max(now, self.seconds)
        self._left = time.perf_counter()
        return heard

    @property
    def utilisation(self) -> float:
        """Of the workers so far, those at work included."""
        ends = {w: at for at, _, w, _, heard in self._queue if isinstance(heard, Outcome)}
        under_way = (min(ends[w], self.seconds) - begun for w, begun in self._begun.items())
        return (self.busy_seconds + sum(under_way)) / (self.size * self.seconds)


def simulated(scheduler: str, trials: int) -> dict[str, Any]:
    """A study in virtual time, up to so many trials."""
    crew, marks = Charged(WORKERS), []
    with tempfile.TemporaryDirectory(prefix="veldt-bench-") as folder:
        journal = Journal(Path(folder, "study.sqlite"))
        waited, commit = [0.0], journal.commit

        def timed() -> None:
            begun = time.perf_counter()
            commit()
            waited[0] += time.perf_counter() - begun

        journal.commit = timed  # type: ignore[method-assign]
        made = settings(scheduler, 100 * trials)
        study = Study(made, Path(folder), journal, lambda kind, body: None)

        def stop() -> bool:
            there = len(study.view.trials)
            if there >= trials - WINDOW:
                marks.append((len(journal.events), crew.coordinating, waited[0]))
            return there >= trials

        try:
            conduct(study, crew, stop)
        except Interrupted:
            pass
        finally:
            journal.close()
    events, seconds, disk = (last - first for first, last in zip(marks[0], marks[-1], strict=True))
    return {
        "event_ms": 1e3 * seconds / events,
        "commit_ms": 1e3 * disk / events,
        "utilisation_sim_64": crew.utilisation,
    }


def tpe_ms(answers: int) -> float:
    """Of a question, the middle of several."""
    space = Space(SPACE)
    random = Key(0).generator()
    searcher = Tpe(TpeSettings(trials=2 * answers, first=answers), space, Key(1), None)
    taken = []
    for number in range(answers + QUESTIONS):
        begun = time.perf_counter()
        question = searcher.ask()
        taken.append(time.perf_counter() - begun)
        assert question is not None
        vector = space.encode(question.point)
        searcher.tell(number, -float(((vector - 0.3) ** 2).sum() + 0.1 * random.normal()))
    return 1e3 * float(np.median(taken[answers:]))


def work(argument: dict[str, Any]) -> None:
    """A job: takes its time, says when it began and ended, and what it came to."""
    begun = time.time()
    job = Job(**argument)
    deadline = begun + MEDIAN_S * math.exp(
        SPREAD * float(Key(job.evaluation_seed).child("seconds").generator().normal())
    )
    while time.time() < deadline:
        pass
    done = outcome(job, job.until or FRAMES, begun=begun, ended=time.time())
    write_json(Path(job.folder) / RESULT, done.plain())


def measure(job: dict[str, Any], ranks: Ranks, supervisor: Supervisor) -> dict[str, Any]:
    """This rank's part of the real study."""
    folder = Path(job["folder"], "study")
    trials = max(2 * ranks.size, round(ranks.size * job["seconds"]))
    search(settings("whole", trials), folder, ranks, [supervisor])
    if ranks.rank:
        return {}
    return {f"utilisation_{ranks.size}": used(read(folder / "study.sqlite"), ranks.size)}


def used(events: list[Event], workers: int) -> float:
    """The share of the workers' time in which they worked, until there was no more to begin."""
    starts = [e.time for e in events if e.kind == "start" and e.body["name"].startswith("trial")]
    first, last = starts[0], starts[-1]
    works = [e.body["summary"] for e in events if e.kind == "result"]
    busy = sum(max(0.0, min(w["ended"], last) - max(w["begun"], first)) for w in works)
    return float(busy / (workers * (last - first)))


if __name__ == "__main__":
    # Before MPI is there, a zygote is up at once.
    processes = Supervisor("veldt.launch.search_bench:work")
    rank_bench.take_part(lambda job, ranks: measure(job, ranks, processes))
