"""A command at work: started, listened to, paused, stopped, and its end understood.

    TRIAL/guest/         its own folder, where its checkpoint lives
    TRIAL/guest.jsonl    what it says (said.py)
    TRIAL/guest.json     its settings
    TRIAL/output.txt     what it prints

It leads a process group, which is ended as a whole; what leaves that is ended with the session
of this process, whatever becomes of this process (`platform/offspring.py`).
"""

import contextlib
import functools
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.platform.errors import (
    BrokenContract,
    Diverged,
    Interrupted,
    RunFailed,
    SettingsError,
)
from veldt.platform.runs import Heartbeat, RunFolder, write_json
from veldt.platform.zygote import child_environment, die_with_parent, exit_reason
from veldt.search.trial import PAUSE, Job, Outcome, Reports
from veldt.search.works.command import no_program
from veldt.search.works.kept import copy, keep, kept
from veldt.search.works.placeholders import fill
from veldt.search.works.said import Said

GUEST, SAID, VALUES, OUTPUT = "guest", "guest.jsonl", "guest.json", "output.txt"
POLL_S = 0.05
GRACE_S = 8.0  # after SIGTERM; less than a supervisor waits
LAST_LINES, LAST_LETTERS = 8, 1000  # of the output, in a reason


def run(job: Job, stop: Callable[[], bool], grace_s: float = GRACE_S) -> Outcome:
    """Runs the command once, to the end of the stretch or to where it is paused."""
    folder = Path(job.folder).resolve()
    home = RunFolder(folder, job.settings, resume=True, may_grow=("frames",))
    try:
        return _Attempt(job, folder, home).run(stop, grace_s)
    finally:
        home.close()


class _Attempt:
    """One run of the command."""

    def __init__(self, job: Job, folder: Path, home: RunFolder) -> None:
        self._job, self._folder, self._home = job, folder, home
        self._end: int = job.settings["frames"] if job.until is None else job.until
        self._resume: bool = job.settings["resume"]
        self._beat = Heartbeat(folder)
        self._pause = folder / PAUSE
        if not self._resume:
            shutil.rmtree(folder / GUEST, ignore_errors=True)
            (folder / SAID).unlink(missing_ok=True)
        if not (folder / GUEST).exists():
            if job.parent is None:
                (folder / GUEST).mkdir()
            else:
                copy(kept(Path(job.parent[0]), job.parent[1]), folder / GUEST)
        write_json(folder / VALUES, job.settings["values"])
        self._said = Said(folder / SAID)

    def run(self, stop: Callable[[], bool], grace_s: float) -> Outcome:
        job, begun = self._job, time.monotonic()
        reports = Reports(self._folder, job.settings["frames"]) if job.listen else None
        output = self._folder / OUTPUT
        with output.open("ab") as file:
            start = file.tell()
            process = self._started(file)
        try:
            while (status := _ended(process)) is None:
                self._hear(reports)
                if stop():
                    _tell(process, signal.SIGTERM)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(grace_s)
                    raise Interrupted("stopped; it goes on from what is in its folder.")
        finally:
            _tell(process, signal.SIGKILL)  # and what it left running
            process.wait()
        last = _last_lines(output, start)
        if status != 0:
            raise RunFailed(f"the command ended with {exit_reason(status)}{last}")
        try:
            self._hear(reports, last=True)
            steps, score = self._said.result(self._end, self._pause.exists())
        except BrokenContract as error:
            raise BrokenContract(f"{error}{' It printed' if last else ''}{last}") from None
        return self._outcome(steps, score, time.monotonic() - begun)

    def _started(self, output: Any) -> subprocess.Popen[bytes]:
        settings, own = self._job.settings, self._own()
        values = settings["values"] | own
        line = [fill(text, values) for text in settings["run"]]
        more = {name: fill(text, values) for name, text in settings["environment"].items()}
        paths = {"reports": self._folder / SAID, "pause": self._pause}
        protocol = {f"VELDT_{name.upper()}": str(value) for name, value in (own | paths).items()}
        try:
            return subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=child_environment() | more | protocol,
                process_group=0,
                pass_fds=[self._home.fileno()],  # nobody else is begun there while it lives
                preexec_fn=functools.partial(die_with_parent, os.getpid()),
            )
        except (FileNotFoundError, PermissionError):
            raise SettingsError(no_program(line[0])) from None
        except OSError as error:
            raise SettingsError(
                f"command.run: {line[0]!r} cannot be run ({error.strerror}); a script needs its "
                "interpreter before it, or a first line that names it."
            ) from None

    def _own(self) -> dict[str, Any]:
        """What `command.OWN` stands for."""
        settings = self._job.settings
        return {
            "seed": settings["seed"],
            "steps": self._end,
            "total_steps": settings["total_steps"],
            "folder": str(self._folder / GUEST),
            "trial": self._job.name,
            "settings": str(self._folder / VALUES),
        }

    def _hear(self, reports: Reports | None, last: bool = False) -> None:
        for line in self._said.news(last):
            self._beat()
            if reports is not None and line.steps is not None:
                reports(line.steps, line.value)

    def _outcome(self, steps: int, score: float, seconds: float) -> Outcome:
        job = self._job
        summary = {
            "steps": steps,
            "frames": steps,
            "checkpoint": steps,
            "wall_seconds": round(seconds, 3),
            "from_zero": not self._resume,
        }
        if not math.isfinite(score):
            reason = f"{Diverged.__name__}: its score is {score}"
            return Outcome(job.segment, None, reason, frames=steps, summary=summary, diverged=True)
        if job.keep:
            keep(self._folder, self._folder / GUEST, steps)
        evaluation: dict[str, Any] = {"mean_return": score, "returns": [score]}
        evaluation |= {"standard_error": None, "episodes": 1}
        return Outcome(job.segment, score, frames=steps, summary=summary, evaluation=evaluation)


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """Its exit status; None if it runs for a moment longer."""
    try:
        return process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return None


def _tell(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _last_lines(output: Path, start: int) -> str:
    """Of what this attempt printed."""
    with output.open("rb") as file:
        file.seek(start)
        file.seek(max(start, file.seek(0, os.SEEK_END) - 4 * LAST_LETTERS))
        lines = file.read().decode(errors="replace").strip().splitlines()
    text = "\n".join(lines[-LAST_LINES:])[-LAST_LETTERS:]
    return f": {text}" if len(lines) == 1 else f":\n{text}" if lines else ""
