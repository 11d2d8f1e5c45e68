"""A supervisor: has one job done in a child process, and outlives whatever happens to it."""

import signal
import time
from pathlib import Path

from veldt.agents.actor_pool import exit_reason
from veldt.platform.zygote import Child, Zygote
from veldt.search.settings import TrialSettings
from veldt.search.trial import Job, Outcome, read_result

TARGET = "veldt.search.trial:main"
PRELOAD = (
    "veldt.search.trial",
    "veldt.agents.impala",
    "veldt.agents.actor",
    "veldt.platform.envs.gymnasium_vector",
)


class Supervisor:
    """Starts a job, is asked now and then, never waits.

    Args:
        settings: How long a trial may take, and be silent.
        logs: The folder for what the children print.
    """

    def __init__(self, settings: TrialSettings, logs: Path) -> None:
        self._settings, self._logs = settings, logs
        self._zygote: Zygote | None = None  # hatched for the first job
        self._job: Job | None = None
        self._child: Child | None = None

    @property
    def busy(self) -> bool:
        return self._job is not None

    def start(self, job: Job) -> None:
        """Begins a job; only one at a time."""
        Path(job.folder).mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        (Path(job.folder) / "result.json").unlink(missing_ok=True)
        self._job, self._begun = job, time.monotonic()
        self._grown, self._size = self._begun, -1
        if self._zygote is None:
            self._zygote = Zygote(PRELOAD)
        self._child = self._zygote.spawn(TARGET, job.plain(), self._log(job))

    def poll(self) -> Outcome | None:
        """The outcome, once; None while there is none."""
        job, child = self._job, self._child
        if job is None or child is None:
            return None
        status, overdue = child.poll(), self._overdue(job)
        if status is None and overdue:
            child.signal(signal.SIGKILL)
            child.wait(5.0)
        elif status is None:
            return None
        self._job = self._child = None
        result = read_result(Path(job.folder))
        if result is not None and not overdue:
            return result
        return Outcome(job.name, None, overdue or self._died(job, status or 0), final=False)

    def _overdue(self, job: Job) -> str:
        """Why the job should be given up, if it should."""
        now = time.monotonic()
        if now - self._begun > self._settings.timeout_s:
            return f"took longer than trial.timeout_s = {self._settings.timeout_s:g}"
        metrics = Path(job.folder) / "metrics.jsonl"
        size = metrics.stat().st_size if metrics.exists() else 0
        if size != self._size:
            self._size, self._grown = size, now
        if now - self._grown > self._settings.silence_s:
            return f"hung: no update for trial.silence_s = {self._settings.silence_s:g}"
        return ""

    def _died(self, job: Job, status: int) -> str:
        log = self._log(job)
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        last = f": {lines[-1]}" if lines and status > 0 else ""
        return f"its process ended with {exit_reason(status)}{last}"

    def _log(self, job: Job) -> Path:
        return self._logs / f"{job.name}.log"

    def stop(self, grace_s: float = 10.0) -> None:
        """Has the job write a checkpoint and end."""
        if self._child is not None:
            self._child.signal(signal.SIGTERM)
            self._child.wait(grace_s)
        if self._zygote is not None:
            self._zygote.close()
        self._job = self._child = None
