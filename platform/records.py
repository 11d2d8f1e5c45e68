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
        self._events: Any = None
        if tensorboard:
            self._events = _event_writer()(str(folder / "tensorboard"), write_to_disk=True)
        self.write(update, {}, kind="session")

    def write(self, update: int, values: dict[str, Any], kind: str = "metrics") -> None:
        """Appends one record and hands it to the operating system at once."""
        line = {"kind": kind, "session": self.session, "update": update} | finite(values)
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._file.flush()
        if self._events is not None and kind == "metrics":
            step = values.get("frames", values.get("generation", update))
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._events.add_scalar(name, value, step)

    def close(self) -> None:
        with contextlib.suppress(ValueError):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
        if self._events is not None:
            self._events.close()


def _event_writer() -> Any:
    """TensorboardX's class. It imports torch where it can: seconds, for who has no use for it."""
    without = "torch" not in sys.modules
    if without:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        from tensorboardX import SummaryWriter
    finally:
        if without:
            del sys.modules["torch"]
    return SummaryWriter


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
