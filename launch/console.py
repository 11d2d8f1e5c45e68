"""What the commands print: results on standard output, all else on standard error."""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import rich.console
import rich.live
import rich.logging
import rich.table


class Console:
    """Where a command's words go.

    Args:
        json_only: Standard output gets one JSON object and nothing else.
    """

    def __init__(self, json_only: bool = False) -> None:
        self._json_only = json_only
        self._out = rich.console.Console(stderr=json_only, highlight=False, soft_wrap=True)
        self._last, self._unshown = 0.0, list[dict[str, Any]]()

    def say(self, text: Any) -> None:
        """A line, or anything rich can draw."""
        self._out.print(text, markup=False) if isinstance(text, str) else self._out.print(text)

    @contextlib.contextmanager
    def below(self, draw: Callable[[], Any]) -> Iterator[Callable[[], None] | None]:
        """While entered, something stays below the lines that are said, if a person sees them.

        Args:
            draw: Anything rich can draw, as it is now.

        Yields:
            What has it drawn anew; None if there is no terminal. Nothing else draws it: a thread
            that did would be in the way of processes to be forked.
        """
        if self._json_only or not self._out.is_interactive or not self._out.file.isatty():
            yield None
            return
        with rich.live.Live(
            get_renderable=draw, console=self._out, auto_refresh=False, transient=True
        ) as live:
            yield live.refresh

    def summary(self, values: dict[str, Any], title: str, drawn: Any = None) -> None:
        """The result of a command.

        Args:
            values: All of it, which --json prints.
            title: Over its scalars in a table, for people.
            drawn: What people see first; anything rich can draw.
        """
        if self._json_only:
            print(json.dumps(values, allow_nan=False), flush=True)
            return
        if drawn is not None:
            self._out.print(drawn)
        table = rich.table.Table(title=title, title_justify="left", show_header=False)
        table.add_column(overflow="fold")  # names of tasks are long, and differ at the end
        table.add_column(overflow="fold")
        for name, value in values.items():
            if not isinstance(value, list | dict):
                table.add_row(name, number(value))
        self._out.print(table)

    def training(self, record: dict[str, Any]) -> None:
        """A line of progress, at most one every two seconds: its speed, lag and shares are of
        what was recorded since the one before, and so is the time left."""
        self._unshown.append(record)
        now = time.monotonic()
        done = record["frames"] >= record["frames_total"]
        if now - self._last < 2.0 and not done:
            return
        self._last, records, self._unshown = now, self._unshown, []
        share = record["frames"] / record["frames_total"]
        updates = [each["record_updates"] for each in records]
        # An update has always as many steps: so many of them take so long.
        took = [
            count / max(each["steps_per_second"], 1e-9)
            for count, each in zip(updates, records, strict=True)
        ]
        rate = sum(updates) / max(sum(took), 1e-9)
        frames = record["frames_total"] - record["frames"]
        left = frames * record["steps"] / max(record["frames"] * rate, 1e-9)
        lag = f"{_mean([each['policy_lag_mean'] for each in records], updates):.1f}"
        if "replayed_lag_mean" in record:
            replayed = [each.get("replayed_lag_mean", 0.0) for each in records]
            lag += f", replayed {_mean(replayed, updates):.1f}"
        # Returns of several games are on scales of their own: their mean says nothing.
        score = record.get("mean_normalised_score")
        found = (
            f"return {number(record['mean_return']):>8}  "
            if score is None
            else f"normalised {number(score):>8}  "
        )
        for name in ("evaluation_mean_return", "evaluation_mean_normalised_score"):
            if (evaluated := record.get(name)) is not None:
                found += f"evaluation {number(evaluated):>8}  "
        idle = "".join(
            f"{who} idle {_mean([each.get(name, 0.0) for each in records], took):4.0%}  "
            for who, name in (
                ("actors", "actor_waiting_share"),
                ("learner", "learner_waiting_share"),
            )
            if name in record
        )
        self.say(
            f"{min(share, 1):4.0%}  frames {record['frames']:>11,}  "
            f"{found}episodes {record['episodes']:>6,}  "
            f"{rate:>8,.0f} steps/s  lag {lag}  "
            f"{idle}{duration(max(0.0, left))} left"
        )


def _mean(values: list[float], weights: list[float]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / max(sum(weights), 1e-9)


def number(value: Any) -> str:
    """A value for people: floats to five digits, None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


class _Sober(logging.Formatter):
    """What happens as it is, and what is to be minded as a warning."""

    def format(self, record: logging.LogRecord) -> str:
        word = "warning: " if record.levelno >= logging.WARNING else ""
        return f"{word}{record.getMessage()}"


class _Handler(logging.StreamHandler[Any]):
    """To what standard error is now: below a footer it is another than at the beginning."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def set_up_warnings() -> None:
    """Sends what veldt has to say beside its results to standard error."""
    handler = _Handler()
    handler.setFormatter(_Sober())
    logger = logging.getLogger("veldt")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
