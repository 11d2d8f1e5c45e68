"""A population search as a user meets it: the table of generations, a report, an evaluation."""

from pathlib import Path
from typing import Any

from veldt.launch.console import Console
from veldt.launch.generation_table import GenerationTable
from veldt.launch.intervals import bounds, interval
from veldt.launch.ranks import on_ranks
from veldt.launch.report import write
from veldt.launch.video import record
from veldt.platform.keys import Key
from veldt.platform.ranks import Ranks
from veldt.platform.runs import read_settings, write_json
from veldt.search.population.evaluate import Best
from veldt.search.population.run import search
from veldt.search.population.settings import PopulationSettings


def evaluate(
    folder: Path, *, episodes: int, seed: int, video: Path | None, console: Console
) -> None:
    """Plays the best policy of a search again, and films it if asked to."""
    best = Best(folder)
    try:
        key = Key(seed).child("test")
        film = {}
        if video is not None:  # first: what is wrong with the file is said at once
            frames, rate = best.film(key.child("film"))
            film["video"] = str(record(video, frames, rate))
        played = best.evaluate(episodes, key)
        ends = bounds("mean_return", interval(played["returns"]))
        result = {"seed": seed} | played | ends | film
    finally:
        best.close()
    write_json(folder / "evaluation.json", result)
    console.summary(result, f"evaluation: {folder}")


def is_population(folder: Path) -> bool:
    """Whether a folder is a population search's."""
    return "strategy" in read_settings(folder)


def run(
    settings: PopulationSettings, folder: Path, *, resume: bool, console: Console, title: str
) -> None:
    """Searches on the ranks this process belongs to; rank 0 does the talking."""

    def work(ranks: Ranks, stop: Any) -> None:
        if ranks.rank == 0:
            console.say(
                f"searching in {folder} on {ranks.size} rank(s); stopped at any time, "
                "the same command with --resume goes on"
            )
        table = GenerationTable(console)
        try:
            summary = search(settings, folder, ranks, resume=resume, report=table, stop=stop)
        finally:
            table.flush()
        if summary is not None:
            path = write(folder, folder / "report.html")
            console.summary(summary | {"report": str(path)}, f"{title}: {folder}")

    on_ranks(work)
