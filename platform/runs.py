"""A run's folder, and writing to it so that a crash leaves no half a file.

DIR/settings.json     the settings as used, the seed and the version of the code
DIR/metrics.jsonl     records, appended (records.py)
DIR/checkpoints/      whole or not at all (checkpoints.py)
DIR/summary.json      at the end
DIR/lock              held while a process works here
"""

import contextlib
import fcntl
import functools
import importlib.metadata
import json
import math
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.platform.errors import FolderInUse, FolderTaken, InputError

LOCK_GRACE_S = 5.0  # a killed process and its children may take a moment to let go


@functools.cache
def code_version() -> dict[str, str | None]:
    """The distribution's version, and the commit where the code is a checkout."""
    root = Path(__file__).resolve().parents[1]
    commit = None
    if (root / ".git").exists():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
            commit = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()
    return {"veldt": importlib.metadata.version("veldt"), "commit": commit}


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that readers see the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.partial")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames inside `folder` outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    write_whole(path, json.dumps(finite(value), indent=2, allow_nan=False).encode() + b"\n")


def read_json(path: Path) -> Any:
    """Reads a file of ours.

    Raises:
        InputError: if it is not there or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is {path.parent} the folder of a run?") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}).") from None


def finite(value: Any) -> Any:
    """`value` with NaN and infinities as None: JSON has no word for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def read_settings(run: Path) -> dict[str, Any]:
    """The settings of a run, as used.

    Raises:
        InputError: if the folder is not a run's.
    """
    document = read_json(run / "settings.json")
    if not isinstance(document, dict) or not isinstance(document.get("settings"), dict):
        raise InputError(f"{run / 'settings.json'}: not the settings of a run of ours.")
    settings: dict[str, Any] = document["settings"]
    return settings


class Heartbeat:
    """A file whose age says how long a run's process has got nowhere."""

    def __init__(self, run: Path) -> None:
        self._file = run / ".heartbeat"
        self._file.touch()
        self._last = time.monotonic()

    def __call__(self) -> None:
        """The process got somewhere; written down at most once a second."""
        if time.monotonic() - self._last > 1.0:
            self._last = time.monotonic()
            self._file.touch()

    @property
    def silence_s(self) -> float:
        """Seconds since anybody's last beat, by the clock of the file's host and ours."""
        return max(0.0, time.time() - self._file.stat().st_mtime)


class RunFolder:
    """The folder of one run, held by this process.

    Args:
        path: Made if it is not there.
        settings: As used; written to settings.json.
        resume: Go on with what is there. The settings must be the same.
        may_differ: Names of settings that what is there does not depend on; the newest are kept.
        may_grow: Names of numbers in them that may be larger than they were; then what is there
            is over no more.
        complete: Brings settings that an older version wrote to what this one would have written.

    Raises:
        FolderInUse: if another process holds it.
        FolderTaken: if something is there and `resume` is False.
        InputError: if the run there had other settings.
    """

    def __init__(
        self,
        path: Path,
        settings: dict[str, Any],
        resume: bool,
        may_grow: tuple[str, ...] = (),
        may_differ: tuple[str, ...] = (),
        complete: Callable[[dict[str, Any]], dict[str, Any]] = lambda settings: settings,
    ) -> None:
        self._complete = complete
        self.path, self._may_grow, self._may_differ = path, may_grow, may_differ
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "lock").open("a")
        except OSError as error:
            raise InputError(f"{path}: cannot write there ({error.strerror}).") from error
        try:
            self._acquire()
            self._claim(settings, resume)
        except BaseException:
            self._lock.close()
            raise

    def _acquire(self) -> None:
        deadline = time.monotonic() + LOCK_GRACE_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise FolderInUse(
                        f"{self.path}: another process is at work there; wait for it to end, "
                        "stop it, or choose another folder with --out."
                    ) from None
                time.sleep(0.05)

    def _claim(self, settings: dict[str, Any], resume: bool) -> None:
        file = self.path / "settings.json"
        if not file.exists():
            names = [item.name for item in self.path.iterdir()]
            # Hidden files are ours: a heartbeat, or a write that was cut short.
            others = [name for name in names if name != "lock" and not name.startswith(".")]
            if others:
                raise FolderTaken(
                    f"{self.path}: holds other things ({', '.join(sorted(others)[:3])}); "
                    "choose an empty folder with --out."
                )
            write_json(file, {"settings": settings, "code": code_version()})
            return
        if not resume:
            raise FolderTaken(
                f"{self.path}: holds a run already; add --resume to go on with it, "
                "or choose another folder with --out."
            )
        old = self._complete(read_settings(self.path))
        grown = {
            name: settings[name]
            for name in self._may_grow
            if name in old and old[name] < settings[name]
        }
        new = json.loads(json.dumps(settings))
        other = {name: new[name] for name in self._may_differ if new.get(name) != old.get(name)}
        changed = differences(old | grown | other, new)
        if changed:
            raise InputError(
                f"{self.path}: --resume keeps a run's settings, but these differ: "
                f"{'; '.join(changed[:5])}. Drop the change or choose another --out."
            )

        if grown:
            (self.path / "summary.json").unlink(missing_ok=True)
        if grown or other:
            write_json(file, read_json(file) | {"settings": settings})

    @property
    def summary(self) -> dict[str, Any] | None:
        """What the run came to, if it is over."""
        file = self.path / "summary.json"
        return read_json(file) if file.exists() else None

    def fileno(self) -> int:
        """Of the lock: who inherits it holds the folder too."""
        return self._lock.fileno()

    def close(self) -> None:
        """Lets others have it."""
        self._lock.close()


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """The leaves in which two settings differ, as "path: old -> new"."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for name in sorted(old.keys() | new.keys()):
            lines += differences(old.get(name), new.get(name), f"{at}.{name}" if at else name)
        return lines
    return [] if old == new else [f"{at}: {old!r} -> {new!r}"]
