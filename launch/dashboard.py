"""A run to be watched in a browser while it goes on: its report, and numbers for Prometheus.

    /            the report, which is kept up to date
    /metrics     the newest numbers, in Prometheus' text form
    /dashboard   of a search over settings: optuna-dashboard, with a mirror of it

A process of its own that reads the run's folder, so that whoever trains is not kept from it.
It answers this host alone: from elsewhere, tunnel (`ssh -L 8000:localhost:8000 host`).
"""

import argparse
import contextlib
import http.server
import importlib.util
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from veldt.launch.optuna_page import ABSENT, PATHS, STUDY, OptunaPage, installed, is_study
from veldt.launch.page import body_of, live_page, paragraph
from veldt.launch.report import content
from veldt.platform.errors import InputError, MissingProgram, VeldtError
from veldt.platform.interrupts import Interrupts
from veldt.platform.records import read

HOST = "127.0.0.1"
OWN_NAMES = frozenset({HOST, "localhost"})
WATCH_S = 0.5  # between looks whether it is to end
# Not study.sqlite-shm: who reads the log touches it.
WATCHED = (
    *("settings.json", "metrics.jsonl", "study.sqlite", "study.sqlite-wal", "store.json"),
    *("summary.json", "evaluation.json", "evaluations/*.json"),
)


def listen(port: int) -> socket.socket:
    """A socket that browsers of this host can reach.

    Raises:
        InputError: if the port is taken.
        MissingProgram: if what the page needs is not installed.
    """
    if importlib.util.find_spec("prometheus_client") is None:
        raise MissingProgram(
            "a dashboard needs prometheus-client: pip install 'veldt[dashboard]'."
        )
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as error:
        found.close()
        raise InputError(f"port {port} of {HOST}: {error.strerror}; take another.") from None
    found.listen()
    return found


@contextlib.contextmanager
def beside(folder: Path, port: int | None) -> Iterator[str]:
    """While entered, a dashboard of the folder is there; its address, or "" without a port."""
    if port is None:
        yield ""
        return
    with listen(port) as listening:
        number = listening.getsockname()[1]
        line = [sys.executable, "-P", "-m", __name__, str(folder), str(listening.fileno())]
        child = subprocess.Popen(
            line,
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the training's to deal with
        )
    try:
        yield f"http://{HOST}:{number}"
    finally:
        child.terminate()
        child.wait()


class Dashboard(http.server.ThreadingHTTPServer):
    """The server.

    Args:
        folder: Of a training, a search, or several; need not be there yet.
        listening: A socket that listens.
    """

    daemon_threads = True

    def __init__(self, folder: Path, listening: socket.socket) -> None:
        super().__init__(listening.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.folder, self._lock = folder, threading.Lock()
        self.optuna = OptunaPage(folder)
        self._stamp, self._body = "", ""

    def stamp(self) -> str:
        """Changes whenever the run has written something."""
        files = [file for pattern in WATCHED for file in self.folder.glob(f"**/{pattern}")]
        newest, size = 0, 0
        for file in files:
            with contextlib.suppress(OSError):
                status = file.stat()
                newest, size = max(newest, status.st_mtime_ns), size + status.st_size
        return f"{len(files)}-{newest}-{size}"

    def body(self, stamp: str) -> str:
        """The report as it is now, as what stands inside a page."""
        with self._lock:  # one at a time: it is the same for all
            if stamp != self._stamp:
                self._body = self._report()
                self._stamp = stamp
            return self._body

    def _report(self) -> str:
        try:
            return body_of(
                content(self.folder, f"veldt dashboard {shlex.quote(str(self.folder))}")
            )
        except VeldtError as error:
            return paragraph(f"Nothing to show yet: {error}", "state")

    def links(self) -> dict[str, str]:
        """What else there is of this run: what it is called, and where."""
        shown = installed() and is_study(self.folder)
        return {"the same in optuna-dashboard": STUDY} if shown else {}

    def metrics(self) -> bytes:
        """The newest record's numbers."""
        from prometheus_client import CollectorRegistry, Gauge, generate_latest

        registry, gauges = CollectorRegistry(), dict[str, Gauge]()
        for run, record in self._newest():
            for name, value in sorted(record.items()):
                if isinstance(value, bool) or not isinstance(value, int | float):
                    continue
                name, _, task = name.partition("/")
                if name not in gauges:
                    told = f"{name.replace('_', ' ')}, newest record"
                    gauges[name] = Gauge(f"veldt_{name}", told, ["run", "task"], registry=registry)
                gauges[name].labels(run, task).set(value)
        return generate_latest(registry)

    def _newest(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(run, its last record) of every run in the folder, itself among them."""
        for file in sorted(self.folder.glob("**/metrics.jsonl")):
            records = [r for r in read(file.parent) if r["kind"] == "metrics"]
            if records:
                place = file.parent.relative_to(self.folder)
                yield str(place) if place.parts else self.folder.name, records[-1]


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Dashboard
    server_version, sys_version = "veldt", ""

    def do_GET(self) -> None:
        # Another page's script may reach this host under a name of its own; it gets nothing.
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in OWN_NAMES:
            self._answer(403, "text/plain", b"this is for 127.0.0.1 and localhost\n")
        elif self.path == "/":
            shown = self.server.body(self.server.stamp())
            page = live_page(str(self.server.folder), shown, self.server.links())
            self._answer(200, "text/html; charset=utf-8", page.encode())
        elif self.path == "/body":
            stamp = self.server.stamp()
            if self.headers.get("If-None-Match") == stamp:
                self._answer(304, "text/html", b"")
            else:
                body = self.server.body(stamp).encode()
                self._answer(200, "text/html; charset=utf-8", body, stamp)
        elif self.path == "/metrics":
            self._answer(200, "text/plain; version=0.0.4; charset=utf-8", self.server.metrics())
        elif self.path.startswith(PATHS) and is_study(self.server.folder):
            self._optuna()
        else:
            self._answer(404, "text/plain", b"there is /, and /metrics\n")

    def _optuna(self) -> None:
        """A page of optuna-dashboard's, or what it asks for."""
        if not installed():
            self._answer(404, "text/plain", f"{ABSENT}\n".encode())
            return
        try:
            sent = dict(self.headers.items())
            status, headers, body = self.server.optuna.answer(self.path, sent)
        except VeldtError as error:
            self._answer(503, "text/plain; charset=utf-8", f"{error}\n".encode())
            return
        given = {name.lower(): value for name, value in headers}
        kept = ("content-encoding", "content-security-policy", "location", "content-disposition")
        kind = given.get("content-type", "text/plain")
        self._answer(status, kind, body, **{n: given[n] for n in kept if n in given})

    def _answer(
        self, status: int, kind: str, content: bytes, stamp: str = "", **more: str
    ) -> None:
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        if stamp:
            self.send_header("ETag", stamp)
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked is gone
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Nothing: nobody reads it."""


def serve(folder: Path, port: int) -> None:
    """Serves until it is interrupted.

    Raises:
        InputError: if the folder is not there, or the port is taken.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no folder there.")
    with Interrupts() as stop, listen(port) as listening:
        _serve(folder, listening, stop)


def _serve(folder: Path, listening: socket.socket, over: Callable[[], bool]) -> None:
    with Dashboard(folder, listening) as dashboard:
        threading.Thread(target=dashboard.serve_forever, daemon=True).start()
        while not over():
            time.sleep(WATCH_S)
        dashboard.shutdown()


def main() -> None:
    """Beside a run: `python -m veldt.launch.dashboard FOLDER SOCKET`, until its parent ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("socket", type=int)
    given, parent = parser.parse_args(), os.getppid()
    _serve(given.folder, socket.socket(fileno=given.socket), lambda: os.getppid() != parent)


if __name__ == "__main__":
    main()
