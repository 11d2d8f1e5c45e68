"""A supervisor: has one job done in a child process, and outlives whatever happens to it."""

import dataclasses
import json
import signal
import time
from pathlib import Path

from veldt.platform.errors import RunFailed
from veldt.platform.runs import Heartbeat
from veldt.platform.zygote import Child, Zygote, exit_reason
from veldt.search.trial import (
    PAUSE,
    REPORTS,
    RESULT,
    GivenUp,
    Heard,
    Job,
    Outcome,
    Reported,
    read_result,
)

TARGET = "veldt.search.trial:main"
PRELOAD = (
    "veldt.search.trial",
    "veldt.search.works.training_run",
    "veldt.agents.impala",
    "veldt.agents.actor",
    "veldt.platform.envs.gymnasium_vector",
)


class Supervisor:
    """Starts a job, is asked now and then, never waits.

    Made before this process joins an MPI job, it is up at once: see `Zygote`.

    Args:
        target: What the children run, if not a trial.
    """

    def __init__(self, target: str | None = None) -> None:
        self._target = target
        self._zygote: Zygote | None = Zygote(PRELOAD)
        self._job: Job | None = None
        self._child: Child | None = None
        self._interrupted = self._giving_up = self._terminated = False

    @property
    def busy(self) -> bool:
        return self._job is not None

    def start(self, job: Job) -> None:
        """Begins a job; only one at a time."""
        folder = Path(job.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._log(job).parent.mkdir(parents=True, exist_ok=True)
        self._giving_up = self._terminated = False
        for name in (RESULT, PAUSE, REPORTS):
            (folder / name).unlink(missing_ok=True)
        self._read = 0  # bytes of the reports
        self._heartbeat = Heartbeat(folder)
        self._job, self._begun = job, time.monotonic()
        try:
            self._child = self._spawn(job)
        except RunFailed:  # somebody killed the zygote; a new one is as good
            self._child = self._spawn(job)

    def _spawn(self, job: Job) -> Child:
        if self._zygote is not None and self._zygote.lost:
            self._zygote.close()
            self._zygote = None
        if self._zygote is None:
            self._zygote = Zygote(PRELOAD)
        return self._zygote.spawn(self._target or TARGET, job.plain(), self._log(job))

    def poll(self) -> Heard | None:
        """The outcome, once, and before it what was reported; None while there is nothing."""
        job, child = self._job, self._child
        if job is None or child is None or self._interrupted:
            return None
        if job.listen and (reported := self._reported(job)) is not None:
            return reported
        status = child.poll()
        outcome = None
        if status is None:
            outcome = self._overdue(job)
            if outcome is None:
                return None
            child.signal(signal.SIGKILL)
            child.wait(5.0)
        else:
            outcome = read_result(Path(job.folder))
        self._job = self._child = None
        if outcome is None and self._giving_up:
            return GivenUp(job.segment)
        if outcome is None:
            outcome = Outcome(job.segment, None, self._died(job, status or 0), final=False)
        return dataclasses.replace(outcome, attempt=job.attempt)

    def _reported(self, job: Job) -> Reported | None:
        """The next line of the job's reports."""
        path = Path(job.folder, REPORTS)
        if not path.exists():
            return None
        with path.open("rb") as file:
            file.seek(self._read)
            line = file.readline()
        if not line.endswith(b"\n"):
            return None
        self._read += len(line)
        return Reported(job.segment, **json.loads(line))

    def pause(self) -> None:
        """Has the job end at its next checkpoint, with a score."""
        if self._job is not None:
            Path(self._job.folder, PAUSE).touch()

    def give_up(self) -> None:
        """Has the job end at once, with a checkpoint."""
        self._giving_up = True
        self._terminate()

    def _overdue(self, job: Job) -> Outcome | None:
        """What becomes of a job that should be given up."""
        timeout_s, silence_s = job.timeout_s, job.silence_s
        if time.monotonic() - self._begun > timeout_s:
            return Outcome(job.segment, None, f"took longer than trial.timeout_s = {timeout_s:g}")
        if self._heartbeat.silence_s > silence_s:
            reason = f"hung: no update and no report for trial.silence_s = {silence_s:g}"
            return Outcome(job.segment, None, reason, final=False)
        return None

    def _died(self, job: Job, status: int) -> str:
        log = self._log(job)
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        last = f": {lines[-1]}" if lines and status > 0 else ""
        return f"its process ended with {exit_reason(status)}{last}"

    def _log(self, job: Job) -> Path:
        return Path(job.study, "logs", f"{job.name}.log")

    def interrupt(self) -> None:
        """Has the job write a checkpoint and end, unwaited for; its end is no outcome."""
        self._interrupted = True
        self._terminate()

    def _terminate(self) -> None:
        # Once: a second signal would end it before it has written anything.
        if self._child is not None and not self._terminated:
            self._terminated = True
            self._child.signal(signal.SIGTERM)

    def stop(self, grace_s: float = 10.0) -> None:
        """Has the job write a checkpoint and end, and waits for that."""
        self.interrupt()
        if self._child is not None:
            self._child.wait(grace_s)
        if self._zygote is not None:
            self._zygote.close()
        self._job = self._child = self._zygote = None
