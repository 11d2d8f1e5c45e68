"""A search over settings in optuna-dashboard: its pages, served from a mirror of the log.

    /dashboard/studies/0    the study; what else its pages ask for is under PATHS

The mirror is made anew whenever the log has grown. It is looked at, and not written to: what
its pages would change is refused.
"""

import importlib.util
import io
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from veldt.platform.errors import InputError
from veldt.platform.runs import read_settings

STUDY = "/dashboard/studies/0"
PATHS = ("/dashboard", "/api/", "/static/", "/csv/", "/favicon.ico")
LOG = ("study.sqlite", "study.sqlite-wal", "store.json")  # what changes when it grows
ABSENT = "the study as Optuna sees it needs optuna-dashboard: pip install 'veldt[dashboard]'"


def installed() -> bool:
    return importlib.util.find_spec("optuna_dashboard") is not None


def is_study(folder: Path) -> bool:
    """Whether a folder is of a search over settings."""
    try:
        return "space" in read_settings(folder)
    except InputError:
        return False


class OptunaPage:
    """The pages of one study.

    Args:
        folder: The study's; need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._stamp: tuple[Any, ...] = ()
        self._app: Any = None

    def answer(
        self, path: str, headers: Mapping[str, str]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """(status, headers, body) of a GET.

        Args:
            path: Of the request, with its query.
            headers: Of the request.

        Raises:
            VeldtError: if the study cannot be read.
        """
        place, _, query = path.partition("?")
        environment = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": place,
            "QUERY_STRING": query,
            "SCRIPT_NAME": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.0",
            "HTTP_HOST": headers.get("Host", "localhost"),
            "HTTP_ACCEPT_ENCODING": headers.get("Accept-Encoding", ""),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        said: list[Any] = []
        parts = self._made()(environment, lambda *started: said.append(started))
        try:
            body = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return int(said[0][0].split()[0]), said[0][1], body

    def _made(self) -> Any:
        """Their application, over a mirror of the log as it is now."""
        # Here, for whoever has a dashboard beside a run that needs none of it.
        from optuna_dashboard import wsgi

        from veldt.launch.trials import Trials
        from veldt.search.optuna_mirror import mirror
        from veldt.search.settings import SearchSettings

        with self._lock:
            files = [file for name in LOG if (file := self._folder / name).exists()]
            stamp = tuple((f.name, f.stat().st_mtime_ns, f.stat().st_size) for f in files)
            if self._app is None or stamp != self._stamp:
                settings = SearchSettings.parse(read_settings(self._folder))
                trials = Trials(self._folder, settings)
                stages = {number: trial.stage for number, trial in trials.all.items()}
                name = self._folder.resolve().name
                storage = mirror(name, settings.searched, trials.view, trials.events, stages)
                self._app, self._stamp = wsgi(storage), stamp
            return self._app
