"""Append-only records of a run: JSON lines, and TensorBoard events beside them.

Each line carries the session that wrote it (0, then 1 after the first resume...) and
the update it is about. What a session wrote after the checkpoint that the next one
went on from is superseded: it stays in the file, and `read` leaves it out.
"""

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from veldt.platform.runs import finite

log = logging.getLogger("veldt")


class Records:
    """The writer; one per run and process.

    Args:
        folder: The run's folder.
        update: The update that this session goes on from, 0 for a new run.
        tensorboard: Write events too.
    """

    def __init__(self, folder: Path, update: int = 0, tensorboard: bool = True) -> None:
        path = folder / "metrics.jsonl"
        lines = _lines(path)
        self.session = 1 + max((line["session"] for line in lines), default=-1)
        _drop_torn_tail(path)
        self._file = path.open("ab")
        self._events = Events(folder / "tensorboard", self.session) if tensorboard else None
        self.write(update, {}, kind="session")

    def write(self, update: int, values: dict[str, Any], kind: str = "metrics") -> None:
        """Appends one record and hands it to the operating system at once."""
        line = {"kind": kind, "session": self.session, "update": update} | finite(values)
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._file.flush()
        if self._events is not None and kind == "metrics":
            step = values.get("frames", values.get("generation", update))
            self._events.write(values, step)

    def close(self) -> None:
        """Safe on a full disk, and to call twice."""
        with contextlib.suppress(ValueError, OSError):
            self._file.flush()
            os.fsync(self._file.fileno())
        with contextlib.suppress(OSError):
            self._file.close()
        if self._events is not None:
            self._events.close()


class Events:
    """A TensorBoard file. Written at once: a thread that writes would die unseen on a full disk.

    Args:
        folder: Of the files.
        session: Which writes it.
    """

    def __init__(self, folder: Path, session: int) -> None:
        folder.mkdir(exist_ok=True)
        with _without_torch():
            from tensorboardX import event_file_writer
            from tensorboardX.proto import event_pb2, summary_pb2
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._writer = event_file_writer.EventsWriter(str(folder / "events"), f".{session}")

    def write(self, values: dict[str, Any], step: int) -> None:
        """Those of the values that are numbers, as one event."""
        scalars = [
            self._summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
            if isinstance(value, int | float)
        ]
        summary = self._summary(value=scalars)
        self._writer.write_event(self._event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()

    def close(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            self._writer.close()


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """TensorboardX imports torch where it can: seconds, for who has no use for it."""
    without = "torch" not in sys.modules
    if without:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if without:
            del sys.modules["torch"]


def read(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a run, in order, without what a later session superseded."""
    kept: list[dict[str, Any]] = []
    for line in _lines(folder / "metrics.jsonl"):
        if line["kind"] == "session":
            kept = [old for old in kept if old["update"] <= line["update"]]
        else:
            kept.append(line)
    return kept


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = []
    for number, raw in enumerate(path.read_bytes().splitlines(), 1):
        try:
            lines.append(json.loads(raw))
        except ValueError:
            log.warning("%s: line %d is torn and left out.", path, number)
    return lines


def _drop_torn_tail(path: Path) -> None:
    """Cuts a last line that was being written when the process died."""
    if path.exists():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(path, len(whole))
