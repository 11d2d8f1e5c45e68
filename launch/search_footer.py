"""What stands below the lines of a search over settings while it runs, on a terminal."""

import time
from collections.abc import Callable
from typing import Any

import rich.table
import rich.text

from veldt.launch.console import duration, number
from veldt.search.findings import steps
from veldt.search.settings import SearchSettings
from veldt.search.view import Segment, View, trial_name

EVERY_S = 0.25  # between drawings
BAR = 20  # cells
WORKERS = 6  # named
RUNGS = 8  # shown, the last ones
PHASES = {"tune": "tuning", "validate": "validating", "test": "testing the winner"}


class SearchFooter:
    """Trials, rungs, the best, and the workers' share of the time at work.

    Args:
        settings: Of the search.
        events: Of its log before this session.
        clock: Seconds.
    """

    def __init__(
        self,
        settings: SearchSettings,
        events: Any = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._clock = settings, clock
        self._view = View(settings.frames, events)
        self._begun = clock()
        self._workers = 0
        self._at_work: dict[int, tuple[Segment, float]] = {}  # worker -> what, since when
        self._busy_s = 0.0
        self._steps: int | None = None
        self._drawn = -EVERY_S

    def take(self, kind: str, body: dict[str, Any]) -> None:
        """Takes in an event."""
        self._view.take(kind, body)
        match kind:
            case "session":
                self._workers, self._begun = body["workers"], self._clock()
            case "start":
                segment = self._view.segments[body["segment"]]
                self._at_work[body["worker"]] = segment, self._clock()
            case "fail" | "result":
                self._ended(body["segment"])
                self._steps = None
            case "given_up":
                self._ended(body["segment"])
            case "lost":
                for segment in body["segments"]:
                    self._ended(segment)

    def _ended(self, segment: int) -> None:
        for worker, (what, since) in list(self._at_work.items()):
            if what.number == segment:  # a failure that is final has a result besides
                del self._at_work[worker]
                self._busy_s += self._clock() - since

    @property
    def due(self) -> bool:
        """Whether it is time to draw it; asked often."""
        if self._clock() - self._drawn < EVERY_S:
            return False
        self._drawn = self._clock()
        return True

    @property
    def busy(self) -> float:
        """The share of this session that the workers were at work."""
        now = self._clock()
        under_way = sum(now - since for _, since in self._at_work.values())
        return (self._busy_s + under_way) / max(self._workers * (now - self._begun), 1e-9)

    def draw(self) -> rich.table.Table:
        """A line for each of them, cut where the terminal ends."""
        table = rich.table.Table.grid(padding=(0, 2), expand=False)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for name, text in self._lines():
            table.add_row(name, rich.text.Text(text, no_wrap=True, overflow="ellipsis"))
        return table

    def _lines(self) -> list[tuple[str, str]]:
        view = self._view
        best = view.best
        lines = [("trials", self._trials())]
        if rungs := self._rungs():
            lines.append(("rungs", rungs))
        if best is not None:
            where = f"trial {best.number}, {best.frames:,} frames"
            lines.append(("best", f"{number(best.score)} ({where})"))
        lines.append(("workers", self._crew()))
        if self._steps is None:
            self._steps = steps(view)
        spent = f"{self._steps:,} steps in trainings that ended, {self._passed()}"
        return [*lines, ("spent", spent)]

    def _passed(self) -> str:
        return f"{duration(self._clock() - self._begun)} of this session"

    def _trials(self) -> str:
        """How many are where; and how many the searchers have yet to ask for, if they say so."""
        states: list[str] = [trial.state for trial in self._view.trials.values()]
        names = {"done": "done", "running": "under way", "paused": "paused", "condemned": "failed"}
        found = [f"{states.count(state)} {name}" for state, name in names.items()]
        given = [getattr(stage, "trials", None) for stage in self._settings.stages]
        if all(isinstance(count, int) for count in given):
            asked = sum(trial.parent is None for trial in self._view.trials.values())
            found.append(f"{asked} of {sum(count or 0 for count in given)} points asked for")
        phases = {segment.purpose: None for segment, _ in self._at_work.values()}
        found += [PHASES[purpose] for purpose in phases if purpose != "tune"]
        return " · ".join(found)

    def _rungs(self) -> str:
        """How many trials have come to each length; nothing where there is one length."""
        ends = {s.end for s in self._view.segments.values() if s.purpose == "tune"}
        if len(ends) < 2:
            return ""
        counts = {
            end: sum(end in trial.scores for trial in self._view.trials.values())
            for end in sorted(ends)
        }
        return "  ".join(f"{end:,}: {count}" for end, count in list(counts.items())[-RUNGS:])

    def _crew(self) -> str:
        share = min(1.0, self.busy)
        bar = "█" * round(share * BAR) + "░" * (BAR - round(share * BAR))
        doing = [
            f"{worker}: {_short(segment)}"
            for worker, (segment, _) in sorted(self._at_work.items())[:WORKERS]
        ]
        more = len(self._at_work) - WORKERS
        doing += [f"and {more} more"] if more > 0 else []
        return f"{bar} {share:.0%} busy  {'  '.join(doing)}"


def _short(segment: Segment) -> str:
    if segment.purpose == "tune":
        return f"{trial_name(segment.trial)} to {segment.end:,}"
    return segment.name
