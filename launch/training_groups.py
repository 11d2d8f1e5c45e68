"""The report of several trainings: seeds of one, or groups to be compared.

FOLDER/SEED/settings.json          one group
FOLDER/GROUP/SEED/settings.json    a group for each folder
"""

import dataclasses
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
from veldt.launch.protocols import apart, of_training
from veldt.launch.run_report import lags
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
    return Run(
        folder,
        document["settings"],
        document.get("code") or {},
        metrics,
        beside,
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
    measured = {name: _measured(group) for name, group in groups.items()}
    parts = apart(measured, lambda group: of_training(group[0].settings, bool(group[0].final)))
    sections = [head]
    for place, (protocol, alike) in enumerate(parts.items()):
        of = f": {protocol}" if len(parts) > 1 else ""
        sections += _sections(alike, of, place)
    sections.append(section("Settings", *settings_of_groups(groups)))
    left = len(runs) - len(finished)
    state = f"{left} of the {len(runs)} trainings not finished." if left else ""
    return page("Trainings", f"{agents} on {places}", state, sections, command)


def _measured(group: list[Run]) -> list[Run]:
    """Seeds by one measure: by evaluations beside the training if all have them, else by what
    their actors played."""
    if all(run.final for run in group):
        return group
    return [
        dataclasses.replace(
            run,
            evaluations=[r for r in run.metrics if r.get("mean_return") is not None],
            final=None,
        )
        for run in group
    ]


def _sections(groups: Groups, of: str, place: int) -> list[str]:
    """Curves and tables of groups that were measured alike.

    Args:
        groups: Those.
        of: What the titles say of their protocol.
        place: Of the protocol in the page.
    """
    runs = [run for group in groups.values() for run in group]
    curves = [paragraph("No episode has ended yet.")]
    if any(run.evaluations for run in runs):
        said = BESIDE if all(run.final for run in runs) else WHILE_TRAINING
        plot = comparison(groups, "frames", "mean return", place)
        curves = [plot, paragraph(said + CURVES)]
    return [
        section(f"Learning curves{of}", *curves),
        section(f"Results{of}", _results(groups)),
        section(f"All trainings{of}", _runs(groups)),
    ]


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
            last = run.summary or (run.metrics[-1] if run.metrics else {})
            if run.summary is None and run.metrics:  # a record's own lag is of lately
                last = last | {"policy_lag_mean": lags(run.metrics)[1][-1]}
            kept = ("mean_return", "frames", "episodes", "policy_lag_mean", "wall_seconds")
            seed = run.settings["seed"]
            rows.append([name, seed, _last(run), *(last.get(key) for key in kept)])
    names = ["group", "seed", "last point", f"last {WINDOW} episodes", "frames", "episodes"]
    return table([*names, "mean lag", "wall s"], rows, sortable=True)
