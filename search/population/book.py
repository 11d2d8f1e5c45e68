"""The book of a population search: its folder, kept by rank 0, whoever that is at the time.

settings.json, metrics.jsonl, checkpoints/, summary.json, policy/
"""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.platform import checkpoints
from veldt.platform.records import Records, read
from veldt.platform.runs import Heartbeat, RunFolder, code_version, write_json
from veldt.search.population.evolution import Event, Evolution
from veldt.search.population.settings import PopulationSettings

PROVENANCE = ("seed", "chosen_generation", "fingerprint", "evaluation_mean_return")

Report = Callable[[dict[str, Any]], None]


@dataclasses.dataclass
class Tally:
    """What is counted beside the search itself; it goes into the checkpoint."""

    wall_seconds: float = 0.0
    lost_ranks: int = 0


class Book:
    """The open book.

    Args:
        settings: Of the search.
        folder: Of the run; locked while the book is open.
        resume: Go on with what is there.
        report: Called with each record.

    Raises:
        InputError: if the folder is taken, in use, or of another search.
    """

    def __init__(
        self, settings: PopulationSettings, folder: Path, resume: bool, report: Report
    ) -> None:
        self._settings, self._report = settings, report
        self._folder = RunFolder(folder, settings.dump(), resume)
        self._heartbeat = Heartbeat(folder)
        self._records: Records | None = None
        self._tally = Tally()
        self._saved = -1  # the turn that the last checkpoint is of
        self._saved_at = self._begun = time.monotonic()

    @property
    def path(self) -> Path:
        return self._folder.path

    @property
    def summary(self) -> dict[str, Any] | None:
        """What the search came to, if it is over."""
        return self._folder.summary

    def load(self) -> bytes:
        """The newest checkpoint for `Evolution.restore`, packed; nothing if there is none."""
        found = checkpoints.load(self.path)
        if found is None:
            return b""
        self._saved, arrays, plain = found
        self._tally = Tally(**plain.pop("tally"))
        return checkpoints.pack(arrays, plain)

    def begin(self, evolution: Evolution) -> None:
        """From here on records are written, after those of the search's turns so far."""
        self._records = Records(self.path, evolution.counters.turns)
        self._begun = time.monotonic() - self._tally.wall_seconds
        if evolution.counters.turns:
            self._report({"kind": "resumed", **dataclasses.asdict(evolution.counters)})

    @property
    def wall_seconds(self) -> float:
        """The search's working time, those of earlier sessions included."""
        return time.monotonic() - self._begun

    @property
    def lost_ranks(self) -> int:
        """That died, in all sessions."""
        return self._tally.lost_ranks

    def lost(self, lost_ranks: int, left: int) -> None:
        """Ranks died: how many in all sessions, and how many are left now."""
        self._tally.lost_ranks = lost_ranks
        self._report({"kind": "lost", "lost_ranks": lost_ranks, "left": left})

    def enter(self, event: Event, evolution: Evolution) -> None:
        """Writes down a turn, and from time to time where the search is."""
        assert self._records is not None
        kind, values = event["kind"], {k: v for k, v in event.items() if k != "kind"}
        values["wall_seconds"] = self.wall_seconds
        self._records.write(event["turn"], values, kind)
        self._report(event | values)
        self._heartbeat()
        if time.monotonic() - self._saved_at >= self._settings.checkpoint_seconds:
            self.save(evolution)

    def save(self, evolution: Evolution) -> None:
        """Writes a checkpoint, unless the last one says the same."""
        number = evolution.counters.turns
        if number != self._saved:
            arrays, plain = evolution.state()
            tally = dataclasses.replace(self._tally, wall_seconds=self.wall_seconds)
            plain["tally"] = dataclasses.asdict(tally)
            checkpoints.save(self.path, number, arrays, plain)
            self._saved, self._saved_at = number, time.monotonic()

    def finish(self, evolution: Evolution, ranks: int) -> dict[str, Any]:
        """Writes the summary, and the best policy for others to load."""
        self.save(evolution)
        counters, final, problem = evolution.counters, evolution.final, evolution.problem
        assert final is not None
        summary = {
            "best_score": counters.best_score,
            "evaluation_mean_return": final["mean_return"],
            "evaluation_standard_error": final["standard_error"],
            "evaluation_episodes": final["evaluation_episodes"],
            "chosen_generation": counters.chosen_generation,
            "best_fitness": counters.best_fitness,
            "generations": counters.generation,
            "episodes": counters.episodes,
            "steps": counters.steps,
            "episodes_to_threshold": counters.episodes_to_threshold,
            "steps_to_threshold": counters.steps_to_threshold,
            "failed_evaluations": counters.failed,
            "dimensions": evolution.dimensions,
            "ranks": ranks,
            "lost_ranks": self._tally.lost_ranks,
            "wall_seconds": round(self.wall_seconds, 3),
            "seed": self._settings.seed,
            "fingerprint": evolution.fingerprint(),
        }
        product = problem.policy(evolution.choose())
        where = {name: summary[name] for name in PROVENANCE} | {"code": code_version()}
        words = {**problem.words, "veldt.search": json.dumps(where)}
        checkpoints.save_arrays(self.path / f"{problem.product}.safetensors", product, words)
        write_json(self.path / "summary.json", summary)
        return summary

    def close(self) -> None:
        if self._records is not None:
            self._records.close()
        self._folder.close()


def last_turn(folder: Path) -> int:
    """The newest that is written down; 0 if there is none."""
    return max((line["update"] for line in read(folder)), default=0)
