"""A search as a user meets it: progress, a table of trials, the winner, a report."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rich.table

from veldt.launch.console import Console, number
from veldt.launch.ranks import on_ranks
from veldt.launch.report import write
from veldt.launch.search_footer import SearchFooter
from veldt.launch.setting_axis import short_names
from veldt.launch.trials import Trials
from veldt.platform.ranks import Ranks
from veldt.platform.runs import read_settings
from veldt.search import code_errors
from veldt.search.asked import left_out
from veldt.search.run import search
from veldt.search.settings import SearchSettings
from veldt.search.supervisor import Supervisor
from veldt.search.view import trial_name


class Progress:
    """Prints a line for each event of a study."""

    def __init__(self, console: Console, prefix: str = "") -> None:
        self._console, self._prefix = console, prefix
        self._best: float | None = None
        self._errors: set[str] = set()  # of the code, that were shown

    def __call__(self, kind: str, body: dict[str, Any]) -> None:
        name = body.get("name", "")
        match kind:
            case "lost":
                self._say(f"{body['ranks']} rank(s) have died; the others go on")
            case "session" if body["trials"]:
                self._best = body["best_score"]
                self._say(f"going on after {body['trials']} trials, best {number(self._best)}")
            case "start":
                again = f", attempt {body['attempt'] + 1}" if body["attempt"] else ""
                anew = ", from the beginning: its checkpoint had gone" if body["anew"] else ""
                self._say(f"{name:>15}  started on worker {body['worker']}{again}{anew}")
            case "drop" if body.get("promotable"):
                self._say(
                    f"{trial_name(body['trial']):>15}  its checkpoint goes, for keep.gigabytes; "
                    "if it is promoted, it begins anew"
                )
            case "fail":
                self._say(f"{name:>15}  came to nothing: {body['reason']}")
            case "result" if body["score"] is not None:
                self._result(name, body)
            case "result" if body.get("error"):
                self._error(name, body["reason"], body["error"])

    def _error(self, name: str, reason: str, error: str) -> None:
        """One that many trials have is shown once."""
        kind = code_errors.kind(reason, error)
        if kind not in self._errors:
            self._errors.add(kind)
            self._say(
                f"{name:>15}  this is an error of the code, which is not tried again; it is "
                f"shown once, however many trials have it:\n{error}"
            )

    def _result(self, name: str, body: dict[str, Any]) -> None:
        if name.startswith("trial"):
            best = self._best is None or body["score"] > self._best
            self._best = body["score"] if best else self._best
            rate = body["summary"].get("steps_per_second")
            self._say(
                f"{name:>15}  score {number(body['score']):>8}  best {number(self._best):>8}"
                f"  {body['frames']:>12,} frames"
                f"{'' if rate is None else f'  {rate:>7,.0f} steps/s'}"
                f"{'  new best' if best else ''}"
            )
            return
        found = body["evaluation"]
        what = "on a validation seed" if name.startswith("validate") else "again on a fresh seed"
        if found["standard_error"] is None:  # a command, which scores itself
            self._say(f"{name:>15}  run {what}: score {number(body['score'])}")
            return
        self._say(
            f"{name:>15}  trained {what}: mean return {number(found['mean_return'])} +- "
            f"{number(found['standard_error'])} over {found['episodes']} episodes"
        )

    def _say(self, line: str) -> None:
        self._console.say(f"{self._prefix}{line}")


@contextlib.contextmanager
def footed(
    console: Console, settings: SearchSettings, folder: Path, spoken: bool
) -> Iterator[tuple[Callable[[str, dict[str, Any]], None], Callable[[], bool]]]:
    """While entered, a footer below the lines of a study.

    Args:
        console: Of the command.
        settings: Of the search.
        folder: The study's.
        spoken: Whether this process says anything.

    Yields:
        What to report events to, and what to call again and again, which says False.
    """
    progress = Progress(console)
    footer: SearchFooter | None = None

    def draw() -> Any:
        return footer.draw() if footer is not None else ""

    with console.below(draw) if spoken else contextlib.nullcontext() as refresh:

        def report(kind: str, body: dict[str, Any]) -> None:
            nonlocal footer
            if refresh is not None:
                # Of what was before, the log: what is reported first is not yet written.
                events = Trials(folder, settings).events if footer is None else ()
                footer = footer or SearchFooter(settings, events)
                footer.take(kind, body)
            progress(kind, body)

        def watched() -> bool:
            if refresh is not None and footer is not None and footer.due:
                refresh()
            return False

        yield report, watched


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
    supervisors = [Supervisor() for _ in range(workers)]

    def work(ranks: Ranks, stop: Callable[[], bool]) -> None:
        if ranks.rank == 0:
            console.say(
                f"searching in {folder} on {ranks.size} rank(s); stopped at any time, "
                "the same command with --resume goes on"
            )
            if missing := left_out(settings):
                population = settings.scheduler.population  # type: ignore[attr-defined]
                console.say(
                    f"{missing} of the trials that the stages ask for are not begun: the "
                    f"population is {population}, and goes on by itself (scheduler.population)"
                )
        with footed(console, settings, folder, ranks.rank == 0) as (report, watched):
            summary = search(
                settings,
                folder,
                ranks,
                supervisors,
                resume=resume,
                extend=extend,
                store=store,
                report=report,
                stop=lambda: watched() or stop(),
            )
        if summary is not None:
            console.say(trials_table(folder))
            if names := summary.get("at_border"):
                console.say(
                    f"at the border of what was searched in: {', '.join(names)}; "
                    "a better value may lie beyond"
                )
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
