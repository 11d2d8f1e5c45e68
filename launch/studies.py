"""A search as a user meets it: progress, a table of trials, the winner, a report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich.table

from veldt.launch.console import Console, number
from veldt.launch.ranks import on_ranks
from veldt.launch.report import write
from veldt.platform.ranks import Ranks
from veldt.search.journal import read
from veldt.search.run import search
from veldt.search.settings import SearchSettings
from veldt.search.supervisor import Supervisor


class Progress:
    """Prints a line for each event of a study."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._best: float | None = None

    def __call__(self, kind: str, body: dict[str, Any]) -> None:
        name = body.get("name", "")
        match kind:
            case "session" if body["trials"]:
                self._best = body["best_score"]
                self._console.say(
                    f"going on after {body['trials']} trials, best {number(self._best)}"
                )
            case "start":
                again = f", attempt {body['attempt'] + 1}" if body["attempt"] else ""
                self._console.say(f"{name:>15}  started on worker {body['worker']}{again}")
            case "fail":
                self._console.say(f"{name:>15}  came to nothing: {body['reason']}")
            case "tell" if body["score"] is not None:
                best = self._best is None or body["score"] > self._best
                self._best = body["score"] if best else self._best
                rate = body["summary"].get("steps_per_second", 0.0)
                self._console.say(
                    f"{name:>15}  score {number(body['score']):>8}  best {number(self._best):>8}"
                    f"  {rate:>7,.0f} steps/s{'  new best' if best else ''}"
                )
            case "validate" if body["score"] is not None:
                self._console.say(
                    f"{name:>15}  trial {body['number']} on a validation seed: "
                    f"mean return {number(body['score'])}"
                )
            case "heldout" if body["score"] is not None:
                found = body["evaluation"]
                self._console.say(
                    f"{name:>15}  trial {body['number']} trained again on a fresh seed: "
                    f"mean return {number(found['mean_return'])} +- "
                    f"{number(found['standard_error'])} over {found['episodes']} episodes"
                )


def run(
    settings: SearchSettings, folder: Path, *, resume: bool, console: Console, title: str
) -> None:
    """Searches on the ranks this process belongs to; rank 0 does the talking."""
    supervisor = Supervisor(settings.trial, folder / "logs")

    def work(ranks: Ranks, stop: Callable[[], bool]) -> None:
        if ranks.rank == 0:
            console.say(
                f"searching in {folder} on {ranks.size} rank(s); stopped at any time, "
                "the same command with --resume goes on"
            )
        summary = search(
            settings,
            folder,
            ranks,
            supervisor,
            resume=resume,
            report=Progress(console),
            stop=stop,
        )
        if summary is not None:
            console.say(trials_table(folder))
            path = write(folder, folder / "report.html")
            console.summary(summary | {"report": str(path)}, f"{title}: {folder}")

    on_ranks(work)


def trials_table(folder: Path, limit: int = 40) -> rich.table.Table:
    """The trials of a study, best first."""
    points: dict[int, dict[str, Any]] = {}
    told: list[dict[str, Any]] = []
    for event in read(folder / "study.sqlite"):
        if event.kind == "ask":
            points[event.body["number"]] = event.body["point"]
        elif event.kind == "tell":
            told.append(event.body)
    told.sort(key=lambda body: (body["score"] is None, -(body["score"] or 0.0), body["number"]))
    table = rich.table.Table(title=f"trials, best first ({len(told)})", title_justify="left")
    names = sorted({name for point in points.values() for name in point})
    for name in ("trial", "score", *(name.rpartition(".")[2] for name in names)):
        table.add_column(name, justify="right")
    for body in told[:limit]:
        point = points[body["number"]]
        score = "failed" if body["score"] is None else number(body["score"])
        table.add_row(str(body["number"]), score, *(number(point.get(name)) for name in names))
    return table
