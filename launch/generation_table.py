"""A population search in a terminal or a log: one plain line for each generation."""

import time
from collections.abc import Callable
from typing import Any

from veldt.launch.console import Console, number

COLUMNS = {
    "generation": 10,
    "best": 10,
    "mean": 10,
    "episodes": 11,
    "steps": 14,
    "steps/s": 9,
    "outside env": 11,
    "failed": 6,
    "evaluation": 0,
}
"""title -> width; the last one is as wide as it needs to be"""


class GenerationTable:
    """Prints a line for each generation and each evaluation; a header before the first.

    A search whose generations take milliseconds prints one of them every now and then, and
    always the last.

    Args:
        console: Where the lines go.
        pause: Seconds from one line of a kind to the next, at least.
        clock: In seconds.
    """

    def __init__(
        self, console: Console, pause: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._pause, self._clock = console, pause, clock
        self._headed = False
        self._held: dict[str, str] = {}  # cells that are not printed yet
        self._printed: dict[str, float] = {}  # kind -> when

    def __call__(self, event: dict[str, Any]) -> None:
        """Takes in a record of the search, by its kind."""
        match event["kind"]:
            case "metrics":
                self._held = generation_cells(event)
                self._offer("metrics")
            case "evaluation":
                same = self._held.get("generation") == number(event["generation"])
                self._held = (self._held if same else {}) | evaluation_cells(event)
                self._offer("evaluation")
            case "final":
                self.flush()
                self._console.say(
                    f"the centre of generation {number(event['generation'])}, on episodes that "
                    f"nothing was chosen by: {evaluated(event)}"
                )
            case "resumed":
                self._console.say(
                    f"going on after generation {number(event['generation'])}, "
                    f"best evaluation {number(event['best_score'])}"
                )
            case "lost":
                self._console.say(
                    f"{number(event['lost_ranks'])} rank(s) died so far; "
                    f"{number(event['left'])} left, which go on"
                )

    def flush(self) -> None:
        """Prints what was held back."""
        if not self._held:
            return
        if not self._headed:
            self._headed = True
            self._console.say(line({name: name for name in COLUMNS}))
        self._console.say(line(self._held))
        self._held = {}

    def _offer(self, kind: str) -> None:
        now = self._clock()
        if kind not in self._printed or now - self._printed[kind] >= self._pause:
            self._printed[kind] = now
            self.flush()


def generation_cells(event: dict[str, Any]) -> dict[str, str]:
    """What a generation's record says, by column."""
    rate, outside = event.get("steps_per_second"), event.get("outside_share")
    return {
        "generation": number(event["generation"]),
        "best": number(event["best_fitness"]),
        "mean": number(event["mean_fitness"]),
        "episodes": number(event["episodes"]),
        "steps": number(event["steps"]),
        "steps/s": "-" if rate is None else f"{rate:,.0f}",
        "outside env": "-" if outside is None else f"{outside:.1%}",
        "failed": number(event["failed"]),
    }


def evaluation_cells(event: dict[str, Any]) -> dict[str, str]:
    """What an evaluation's record says, by column."""
    return {
        "generation": number(event["generation"]),
        "episodes": number(event["episodes"]),
        "steps": number(event["steps"]),
        "evaluation": evaluated(event),
    }


def evaluated(event: dict[str, Any]) -> str:
    """ "4,612.3 +- 12.1 (100)": mean, standard error and episodes."""
    if event["mean_return"] is None:
        return "failed"
    error = event["standard_error"]
    spread = "" if error is None else f" +- {number(error)}"
    return f"{number(event['mean_return'])}{spread} ({number(event['evaluation_episodes'])})"


def line(cells: dict[str, str]) -> str:
    """Cells under their columns' titles."""
    text = "  ".join(f"{cells.get(name, ''):>{width}}" for name, width in COLUMNS.items())
    return text.rstrip()
