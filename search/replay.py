"""A trial's schedule of settings, trained again from the very beginning.

What the best member of a population scores is what its whole ancestry was chosen for, so it is
partly luck. What its schedule is worth (the schedules of Jaderberg et al. 2017,
arXiv:1711.09846) is what comes of it on seeds that nothing was chosen by:

    leg 0   the settings of the first ancestor, from nothing to where it was left
    leg 1   the settings of the second, from the checkpoint of leg 0 on, and so forth

Each leg is a training in a folder of its own under `STUDY/replays`, and what became of it is
there, so that a replay that was killed goes on where it was. It is not in the study's log: that
has one writer, the search, which may be under way, and holds what a search follows from; nothing
follows from a replay.

With the ancestors' own seeds, in a deterministic training, a replay comes to the trial's bits.
"""

import dataclasses
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from veldt.platform import checkpoints
from veldt.platform.errors import InputError, Interrupted
from veldt.platform.keys import Key
from veldt.platform.ranks import Ranks
from veldt.platform.runs import RunFolder, write_json
from veldt.search.crew import POLL_S, Crew, Hands, Lost, lead
from veldt.search.jobs import FOLDERS
from veldt.search.schedulers.pbt import lineage
from veldt.search.settings import SearchSettings
from veldt.search.space.space import Point
from veldt.search.supervisor import Supervisor
from veldt.search.trial import Job, Outcome, read_result
from veldt.search.view import Trial, View, trial_name
from veldt.search.works.kept import KEPT

SUMMARY = "replay.json"
OWN = -1  # in the place of a replay's number: with the ancestors' own seeds
Report = Callable[[int, int, int, Outcome], None]
"""(replay, leg, legs, what it came to)"""


@dataclasses.dataclass(frozen=True)
class Leg:
    """A stretch of the schedule; plain JSON."""

    trial: int
    begin: int
    end: int
    """frames"""
    point: Point


class Replay:
    """The plan: which trainings there are, and what each is to do.

    Args:
        settings: The study's.
        folder: The study's.
        view: The study's.
        trial: Whose schedule it is.
    """

    def __init__(self, settings: SearchSettings, folder: Path, view: View, trial: Trial) -> None:
        self._settings, self._study, self._view, self.trial = settings, folder, view, trial
        line = lineage(view, trial)
        begins = [0, *(left for _, left in line)]
        self.legs = [
            Leg(ancestor.number, begin, left, ancestor.point)
            for begin, (ancestor, left) in zip(begins, line, strict=False)
        ]
        self.folder = folder / "replays" / f"{trial_name(trial.number)}-{trial.frames}"

    def place(self, replay: int, leg: int) -> Path:
        """A leg's folder."""
        name = "own-seeds" if replay == OWN else f"seed-{replay}"
        return self.folder / name / f"leg-{leg:04d}"

    def place_of(self, segment: int) -> tuple[int, int]:
        """The replay and the leg of a job's segment."""
        replay, leg = divmod(segment, len(self.legs))
        return replay + OWN, leg

    def job(self, replay: int, leg: int) -> Job:
        """A leg's training, and its evaluation: the last one's as a winner's is."""
        settings, this = self._settings, self.legs[leg]
        last, home = leg == len(self.legs) - 1, self.place(replay, leg)
        key = Key(settings.seed).child("trial", this.trial)
        if replay != OWN:
            key = Key(settings.seed).child("replay", self.trial.number, replay, leg)
        proof = settings.heldout.evaluation if last and replay != OWN else settings.evaluation
        train = settings.work.settings(this.point, key.child("train").integer(), {})
        train["frames"] = max(train["frames"], this.end)
        parent = None
        if leg:
            before = read_result(self.place(replay, leg - 1))
            assert before is not None
            parent = str(self.place(replay, leg - 1)), before.summary["updates"]
        return Job(
            name="-".join(home.parts[-3:]),
            study=str(self._study),
            settings=train,
            evaluation=proof.dump(),
            evaluation_seed=key.child("evaluate").integer(),
            folder=str(home),
            segment=(replay - OWN) * len(self.legs) + leg,
            until=this.end if this.end < train["frames"] else None,
            parent=parent,
            keep=True,
            work=settings.work.kind,
            timeout_s=settings.trial.timeout_s,
            silence_s=settings.trial.silence_s,
        )

    def done(self, replay: int) -> list[Outcome]:
        """Of the legs that are over, in order."""
        found: list[Outcome] = []
        for leg in range(len(self.legs)):
            outcome = read_result(self.place(replay, leg))
            if outcome is None or outcome.score is None:
                break
            found.append(outcome)
        return found

    def tidy(self, replay: int, leg: int) -> None:
        """Forgets the checkpoints of legs that nobody will begin with again."""
        for before in range(leg):
            for name in ("checkpoints", KEPT):
                shutil.rmtree(self.place(replay, before) / name, ignore_errors=True)

    def same_weights(self) -> bool | None:
        """Whether the replay with its ancestors' seeds ended with the trial's own checkpoint;
        None if that is gone, or there is no such replay yet."""
        update = self.trial.updates[self.trial.frames]
        homes = (
            self._study / FOLDERS["tune"] / trial_name(self.trial.number),
            self.place(OWN, len(self.legs) - 1),
        )
        theirs, ours = (checkpoints.load(home, lambda n: n == update) for home in homes)
        if theirs is None or ours is None:
            return None
        return theirs[1].keys() == ours[1].keys() and all(
            array.tobytes() == ours[1][name].tobytes() for name, array in theirs[1].items()
        )

    def summary(self, failed: dict[int, str]) -> dict[str, Any]:
        """What is known so far; plain JSON."""
        line = [self._view.trials[leg.trial] for leg in self.legs]
        tests = self._view.proofs("test", self.trial.number)
        begun = [int(home.name.removeprefix("seed-")) for home in self.folder.glob("seed-*")]
        return {
            "trial": self.trial.number,
            "member": self.trial.member,
            "frames": self.trial.frames,
            "legs": [dataclasses.asdict(leg) for leg in self.legs],
            "score": self.trial.score,
            "scores": [
                (frames, ancestor.scores[frames])
                for leg, ancestor in zip(self.legs, line, strict=True)
                for frames in sorted(ancestor.scores)
                if leg.begin < frames <= leg.end
            ],
            "replays": [self._played(number, failed) for number in sorted(begun)],
            "own_seeds": self._played(OWN, failed) if self.place(OWN, 0).exists() else None,
            "same_weights": self.same_weights(),
            "heldout": [score for score in tests.values() if score is not None],
            "heldout_settings": self._settings.heldout.settings,
            "policies": [
                self._settings.evaluation.policy,
                self._settings.heldout.evaluation.policy,
            ],
        }

    def _played(self, replay: int, failed: dict[int, str]) -> dict[str, Any]:
        done = self.done(replay)
        whole = len(done) == len(self.legs)
        return {
            "replay": replay,
            "scores": [(leg.end, o.score) for leg, o in zip(self.legs, done, strict=False)],
            "score": done[-1].score if whole else None,
            "reason": "" if whole else failed.get(replay, ""),
        }


def replay(
    plan: Replay,
    replays: Sequence[int],
    ranks: Ranks,
    supervisors: Sequence[Supervisor],
    *,
    retries: int,
    report: Report = lambda replay, leg, legs, outcome: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Trains what is not trained yet; returns the summary on rank 0, None on the others.

    Args:
        plan: What.
        replays: Numbers, each a seed of its own.
        ranks: The processes at hand.
        supervisors: Of this rank's trainings.
        retries: Of a leg whose process died.
        report: Called on rank 0 with what each leg came to.
        stop: Asked often, on every rank.

    Raises:
        InputError: if another process is at it.
        Interrupted: if `stop` ended it.
    """

    def coordinate(crew: Hands, inherited: bool) -> dict[str, Any]:
        document = {"legs": [dataclasses.asdict(leg) for leg in plan.legs]}
        run = RunFolder(plan.folder, document, resume=True)
        try:
            failed = _play(plan, replays, crew, retries, report, stop)
            return plan.summary(failed)
        finally:
            run.close()

    return lead(ranks, supervisors, stop, coordinate)


def _play(
    plan: Replay,
    replays: Sequence[int],
    crew: Crew,
    retries: int,
    report: Report,
    stop: Callable[[], bool],
) -> dict[int, str]:
    """Keeps the crew busy until all is done; the replays that failed, and why."""
    # Segment -> replay, leg; some are under way if another's rank died who had begun them.
    working = {task[1]: plan.place_of(task[1]) for task in crew.under_way.values()}
    done = {number: len(plan.done(number)) for number in replays}
    attempts: Counter[tuple[int, int]] = Counter()
    failed: dict[int, str] = {}
    while True:
        busy = {number for number, _ in working.values()} | failed.keys()
        waiting = [
            (leg, number)
            for number, leg in done.items()
            if leg < len(plan.legs) and number not in busy
        ]
        # Those that are furthest behind first.
        for worker, (leg, number) in zip(crew.idle(), sorted(waiting), strict=False):
            job = plan.job(number, leg)
            working[job.segment] = number, leg
            crew.start(worker, job)
        if not working:
            write_json(plan.folder / SUMMARY, plan.summary(failed))
            return failed
        if stop():
            raise Interrupted("stopped; the same command goes on where it was.")
        news = crew.poll(POLL_S)
        if isinstance(news, Lost):
            for segment in news.undone.values():
                del working[segment]
        heard = news[1] if isinstance(news, tuple) else None
        if not isinstance(heard, Outcome) or heard.segment not in working:
            continue
        number, leg = working.pop(heard.segment)
        if heard.wrong_input:
            raise InputError(f"replay {number}, leg {leg}: {heard.reason}")
        report(number, leg, len(plan.legs), heard)
        write_json(plan.folder / SUMMARY, plan.summary(failed))
        attempts[number, leg] += 1
        if heard.score is not None:
            done[number] += 1
            plan.tidy(number, leg)
        elif heard.final or attempts[number, leg] > retries:
            failed[number] = heard.reason
