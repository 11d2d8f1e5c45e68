"""The report of several trainings: seeds of one, or groups to be compared.

FOLDER/SEED/settings.json          one group
FOLDER/GROUP/SEED/settings.json    a group for each folder
"""

from pathlib import Path
from typing import Any

import numpy as np

from veldt.agents.environment_settings import label
from veldt.agents.evaluator import results
from veldt.agents.progress import WINDOW
from veldt.launch.console import number
from veldt.launch.intervals import interval_text
from veldt.launch.page import facts, page, paragraph, section, table
from veldt.launch.population_curves import Run, comparison
from veldt.launch.population_groups import Groups, settings_of_groups
from veldt.platform.records import read
from veldt.platform.runs import read_json

WHILE_TRAINING = (
    f"The mean return of the last {WINDOW} episodes, played by the actors while they learn. "
)
BESIDE = "Evaluations beside the training: whole episodes with the weights held fixed. "
CURVES = (
    "Thick: the median over the seeds, as far as all of a group have come. Shaded: its 95 % "
    "interval over the seeds, by percentile bootstrap, at each point by itself; of three seeds "
    "or fewer it is no more than their range. Thin: each seed."
)


def read_training(folder: Path, document: dict[str, Any]) -> Run:
    """A training from its folder and the content of its settings.json."""
    records, summary = read(folder), folder / "summary.json"
    metrics = [r for r in records if r["kind"] == "metrics"]
    beside = [r for r in results(folder) if "mean_return" in r]
    shown = beside or [r for r in metrics if r.get("mean_return") is not None]
    return Run(
        folder,
        document["settings"],
        document.get("code") or {},
        metrics,
        shown,
        beside[-1] if beside else None,
        read_json(summary) if summary.exists() else None,
    )


def trainings_report(folder: Path, groups: Groups, command: str) -> str:
    """The page.

    Args:
        folder: Where the trainings are.
        groups: Those found there.
        command: Which asked for it, for the footer.
    """
    runs = [run for group in groups.values() for run in group]
    finished = [run for run in runs if run.summary is not None]
    agents = ", ".join(sorted({run.settings["agent"]["name"] for run in runs}))
    places = ", ".join(sorted({label(run.settings["environment"]) for run in runs}))
    frames = sum(run.metrics[-1]["frames"] for run in runs if run.metrics)
    head = facts(
        [
            ("environment", places, ""),
            ("agent", agents, ""),
            ("groups", len(groups), ""),
            ("trainings", len(runs), f"{number(len(finished))} finished"),
            ("frames", frames, "in all of them"),
        ]
    )
    beside = all(run.final for run in runs)
    shown = any(run.evaluations for run in runs)
    curves = (
        [
            comparison(groups, "frames", "mean return"),
            paragraph((BESIDE if beside else WHILE_TRAINING) + CURVES),
        ]
        if shown
        else [paragraph("No episode has ended yet.")]
    )
    sections = [
        head,
        section("Learning curves", *curves),
        section("Results", _results(groups)),
        section("All trainings", _runs(groups)),
        section("Settings", *settings_of_groups(groups)),
    ]
    left = len(runs) - len(finished)
    state = f"{left} of the {len(runs)} trainings not finished." if left else ""
    return page("Trainings", f"{agents} on {places}", state, sections, command)


def _last(run: Run) -> float | None:
    """The last point of a training's curve."""
    return run.evaluations[-1]["mean_return"] if run.evaluations else None


def _results(groups: Groups) -> str:
    rows = []
    for name, runs in groups.items():
        finished = [run for run in runs if run.summary is not None]
        last = [value for run in finished if (value := _last(run)) is not None]
        rows.append(
            [
                name,
                f"{len(last)} of {len(runs)}",
                float(np.mean(last)) if last else None,
                interval_text(last) if len(last) > 1 else "needs two seeds",
                float(np.median(last)) if last else None,
                min(last, default=None),
                max(last, default=None),
            ]
        )
    names = ["group", "finished", "mean", "its 95 % interval", "median", "lowest", "highest"]
    note = paragraph("Of the last point of each seed's curve; the interval is over the seeds.")
    return note + table(names, rows)


def _runs(groups: Groups) -> str:
    rows = []
    for name, runs in groups.items():
        for run in runs:
            last = run.metrics[-1] if run.metrics else {}
            kept = ("mean_return", "frames", "episodes", "policy_lag_mean", "wall_seconds")
            seed = run.settings["seed"]
            rows.append([name, seed, _last(run), *(last.get(key) for key in kept)])
    names = ["group", "seed", "last point", f"last {WINDOW} episodes", "frames", "episodes"]
    return table([*names, "mean lag", "wall s"], rows, sortable=True)
