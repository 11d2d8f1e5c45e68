"""A search as a user meets it: progress, a table of trials, the winner, a report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich.table

from veldt.launch.console import Console, number
from veldt.launch.ranks import on_ranks
from veldt.launch.report import write
from veldt.launch.setting_axis import short_names
from veldt.launch.trials import Trials
from veldt.platform.ranks import Ranks
from veldt.platform.runs import read_settings
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
            case "result" if body["score"] is not None:
                self._result(name, body)

    def _result(self, name: str, body: dict[str, Any]) -> None:
        if name.startswith("trial"):
            best = self._best is None or body["score"] > self._best
            self._best = body["score"] if best else self._best
            rate = body["summary"].get("steps_per_second", 0.0)
            self._console.say(
                f"{name:>15}  score {number(body['score']):>8}  best {number(self._best):>8}"
                f"  {body['frames']:>12,} frames  {rate:>7,.0f} steps/s"
                f"{'  new best' if best else ''}"
            )
            return
        found = body["evaluation"]
        what = "on a validation seed" if name.startswith("validate") else "again on a fresh seed"
        self._console.say(
            f"{name:>15}  trained {what}: mean return {number(found['mean_return'])} +- "
            f"{number(found['standard_error'])} over {found['episodes']} episodes"
        )


def run(
    settings: SearchSettings,
    folder: Path,
    *,
    resume: bool,
    console: Console,
    title: str,
    workers: int = 1,
    extend: tuple[int, int] | None = None,
    store: str | None = None,
) -> None:
    """Searches on the ranks this process belongs to; rank 0 does the talking."""
    supervisors = [Supervisor(settings.trial, folder / "logs") for _ in range(workers)]

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
            supervisors,
            resume=resume,
            extend=extend,
            store=store,
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
    found = Trials(folder, SearchSettings.parse(read_settings(folder)))
    failed = [trial for trial in found.all.values() if trial.score is None]
    shown = found.scored + failed
    table = rich.table.Table(title=f"trials, best first ({len(shown)})", title_justify="left")
    names = sorted({name for trial in shown for name in trial.point})
    whole = len({trial.frames for trial in found.scored}) > 1
    head = ["trial", "score", *(["frames"] if whole else [])]
    for name in (*head, *short_names(names).values()):
        table.add_column(name, justify="right")
    for trial in shown[:limit]:
        score = trial.state if trial.score is None else number(trial.score)
        row = [str(trial.number), score, *([f"{trial.frames:,}"] if whole else [])]
        table.add_row(*row, *(number(trial.point.get(name)) for name in names))
    return table
