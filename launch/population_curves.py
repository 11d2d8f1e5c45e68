"""The curves of population searches, of one run or of several seeds."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import scipy.stats
from numpy.typing import NDArray

from veldt.launch.page import escape, paragraph
from veldt.launch.plots import (
    ACCENT,
    BAD,
    FAINT,
    INK,
    SERIES,
    SOFT,
    cell,
    exponents,
    multiples,
    plot,
)
from veldt.platform.records import read
from veldt.platform.runs import read_json

Record = dict[str, Any]
CONFIDENCE = 0.95
POINTS = 1_500  # of one curve at most
GRID = 300  # points of a median at most
RESAMPLES = 4_000


@dataclasses.dataclass(frozen=True)
class Run:
    """What a search's folder says, finished or not."""

    folder: Path
    settings: dict[str, Any]
    code: dict[str, Any]
    metrics: list[Record]
    """one for each generation"""
    evaluations: list[Record]
    """those with a mean return, of the centre every so often"""
    final: Record | None
    """of the chosen centre"""
    summary: Record | None

    @property
    def strategy(self) -> str:
        return str(self.settings["strategy"].get("method", "?"))

    @property
    def problem(self) -> str:
        """What is solved, in a word."""
        problem = self.settings["problem"]
        environment = problem.get("environment")
        inner = environment.get("id") if isinstance(environment, dict) else environment
        return str(problem.get("id") or inner or problem.get("kind", "?"))

    @property
    def threshold(self) -> float | None:
        value: float | None = self.settings.get("evaluation", {}).get("threshold")
        return value


def read_run(folder: Path, document: dict[str, Any]) -> Run:
    """A run from its folder and the content of its settings.json."""
    records = read(folder)
    summary = folder / "summary.json"
    finals = [r for r in records if r["kind"] == "final"]
    return Run(
        folder,
        document["settings"],
        document.get("code") or {},
        [r for r in records if r["kind"] == "metrics"],
        [r for r in records if r["kind"] == "evaluation" and r.get("mean_return") is not None],
        finals[-1] if finals else None,
        read_json(summary) if summary.exists() else None,
    )


def student_interval(record: Record) -> tuple[float, float] | None:
    """Student's 95 % interval of an evaluation's mean; None for fewer than two episodes."""
    error, count = record.get("standard_error"), record.get("evaluation_episodes") or 0
    if error is None or count < 2:
        return None
    half = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * error
    return record["mean_return"] - half, record["mean_return"] + half


def thin(records: Sequence[Record], limit: int = POINTS) -> list[Record]:
    """At most so many records, evenly, the last among them."""
    if len(records) <= limit:
        return list(records)
    stride = -(-(len(records) - 1) // (limit - 1))
    return [*records[:-1:stride], records[-1]]


def learning(run: Run) -> str:
    """The evaluations of one run against episodes and against steps."""
    records = thin(run.evaluations)
    if not records:
        return paragraph("The centre has not been evaluated yet.")
    played = [name for name in ("episodes", "steps") if records[-1].get(name)] or ["generation"]
    figure, height = multiples(len(played), across=2, each=360)
    bounds = [student_interval(r) or (r["mean_return"],) * 2 for r in records]
    generation = (run.summary or {}).get("chosen_generation")
    chosen = [r for r in run.evaluations if r["generation"] == generation]
    for index, name in enumerate(played):
        place, first = cell(index, across=2), index == 0
        x = [r[name] for r in records]
        band(figure, x, [b[0] for b in bounds], [b[1] for b in bounds], ACCENT, place)
        figure.add_scatter(
            x=x,
            y=[r["mean_return"] for r in records],
            customdata=[[r["generation"], *b] for r, b in zip(records, bounds, strict=True)],
            mode="lines+markers" if len(records) < 40 else "lines",
            line={"color": ACCENT, "width": 2},
            marker={"size": 5},
            name="mean return of the centre, with its 95 % interval",
            showlegend=first,
            hovertemplate="generation %{customdata[0]:,}, %{x:,} " + name + "<br>mean return "
            "%{y:.5g} (%{customdata[1]:.5g} to %{customdata[2]:.5g})<extra></extra>",
            **place,
        )
        figure.add_scatter(
            x=[r[name] for r in chosen],
            y=[r["mean_return"] for r in chosen],
            mode="markers",
            marker={"color": INK, "size": 11, "symbol": "star"},
            name="chosen",
            showlegend=first and bool(chosen),
            hoverinfo="skip",
            **place,
        )
        _threshold(figure, [run], place)
        for before, after in itertools.pairwise(run.metrics):
            if before["session"] != after["session"] and before.get(name) is not None:
                figure.add_vline(
                    before[name], line={"color": SOFT, "width": 1, "dash": "dot"}, **place
                )
        figure.update_xaxes(title_text=LABELS[name], rangemode="tozero", **place)
        figure.update_yaxes(title_text="mean return" if first else "", **place)
    return plot(figure, "learning-curve", height)


LABELS = {
    "episodes": "episodes played by the population",
    "steps": "steps of the population",
    "generation": "generation",
    "frames": "frames",
}


def fitness(run: Run) -> str:
    """The population's fitness over the generations."""
    records = thin([r for r in run.metrics if r.get("mean_fitness") is not None])
    if not records:
        return paragraph("No generation has been scored yet.")
    figure = go.Figure()
    x = [r["generation"] for r in records]
    spread = [r.get("fitness_deviation") or 0.0 for r in records]
    mean = [r["mean_fitness"] for r in records]
    low = [m - s for m, s in zip(mean, spread, strict=True)]
    high = [m + s for m, s in zip(mean, spread, strict=True)]
    band(figure, x, low, high, ACCENT, {})
    for values, name, colour in (
        ([r["best_fitness"] for r in records], "best member", SERIES[1]),
        (mean, "mean, and one standard deviation", ACCENT),
    ):
        figure.add_scatter(
            x=x,
            y=values,
            mode="lines" if len(x) > 1 else "markers",
            line={"color": colour, "width": 1.6},
            name=name,
            hovertemplate=f"generation %{{x:,}}<br>{name.partition(',')[0]} "
            "%{y:.5g}<extra></extra>",
        )
    figure.update_xaxes(title_text="generation", rangemode="tozero")
    figure.update_yaxes(title_text="fitness")
    return plot(figure, "fitness", 330)


def speed(run: Run) -> str:
    """Steps per second, and what of the time is not spent in the environment."""
    shown = [
        ("steps_per_second", "steps/s", 1.0),
        ("outside_share", "outside environment, %", 100),
    ]
    series = [
        (title, [(r["generation"], factor * r[name]) for r in thin(run.metrics) if r.get(name)])
        for name, title, factor in shown
    ]
    series = [(title, points) for title, points in series if points]
    if not series:
        return ""
    figure, height = multiples(len(series), across=2, each=250)
    for index, (title, points) in enumerate(series):
        place = cell(index, across=2)
        x, y = [a for a, _ in points], [b for _, b in points]
        width = max(1, len(y) // 50)
        smooth = [float(np.median(y[max(0, i - width) : i + width + 1])) for i in range(len(y))]
        for values, name, colour, thickness in (
            (y, "each generation", FAINT, 1.2),
            (smooth, f"running median of {2 * width + 1}", ACCENT, 2),
        ):
            figure.add_scatter(
                x=x,
                y=values,
                mode="lines" if len(x) > 1 else "markers",
                line={"color": colour, "width": thickness},
                name=name,
                showlegend=index == 0,
                hovertemplate="generation %{x:,}<br>%{y:.5g}<extra></extra>",
                **place,
            )
        figure.update_xaxes(title_text="generation", rangemode="tozero", **place)
        figure.update_yaxes(
            title_text=title, rangemode="tozero", exponentformat=exponents(y), **place
        )
    return plot(figure, "speed", height)


def comparison(
    groups: dict[str, list[Run]],
    axis: str,
    measure: str = "mean return of the centre",
    number: int = 0,
) -> str:
    """Groups of seeds in one plot: each group's median, its interval, its seeds thinly.

    Args:
        groups: Name -> runs that differ in their seed alone.
        axis: "episodes", "steps", "generation" or "frames".
        measure: What the records' `mean_return` is.
        number: Of the plot, where a page has several of an axis.
    """
    figure = go.Figure()
    for index, (name, runs) in enumerate(groups.items()):
        colour = SERIES[index % len(SERIES)]
        for run in runs:
            records = thin(run.evaluations, GRID)
            figure.add_scatter(
                x=[r[axis] for r in records],
                y=[r["mean_return"] for r in records],
                mode="lines",
                line={"color": colour, "width": 0.8},
                opacity=0.35,
                legendgroup=name,
                showlegend=False,
                hovertemplate=f"{escape(name)}, seed {run.settings['seed']}<br>%{{x:,}} {axis}"
                "<br>mean return %{y:.5g}<extra></extra>",
            )
        x, median, low, high = across_seeds(runs, axis)
        band(figure, x, low, high, colour, {}, legendgroup=name)
        figure.add_scatter(
            x=x,
            y=median,
            mode="lines",
            line={"color": colour, "width": 2.4},
            name=f"{escape(name)} ({len(runs)})",
            legendgroup=name,
            hovertemplate=f"{escape(name)}, median<br>%{{x:,}} {axis}"
            "<br>%{y:.5g}<extra></extra>",
        )
    _threshold(figure, [run for runs in groups.values() for run in runs], {})
    figure.update_xaxes(title_text=LABELS[axis], rangemode="tozero")
    figure.update_yaxes(title_text=measure)
    return plot(figure, f"comparison-{axis}" + (f"-{number}" if number else ""), 440)


def across_seeds(
    runs: Sequence[Run], axis: str
) -> tuple[list[float], list[float], list[float], list[float]]:
    """(x, median, low, high): over the runs, as far as every one of them has come.

    Between evaluations a run's curve is a straight line. The interval is the percentile
    bootstrap's of the median over the seeds (Efron 1979), at each x by itself.
    """
    curves = [
        (
            np.array([r[axis] for r in run.evaluations], float),
            np.array([r["mean_return"] for r in run.evaluations], float),
        )
        for run in runs
    ]
    if not curves or any(len(x) == 0 for x, _ in curves):
        return [], [], [], []
    begin, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    grid = grid[(grid >= begin) & (grid <= end)]
    if len(grid) > GRID:
        grid = grid[np.linspace(0, len(grid) - 1, GRID).round().astype(int)]
    if len(grid) == 0:
        return [], [], [], []
    values = np.stack([np.interp(grid, x, y) for x, y in curves])
    low, high = median_interval(values)
    return grid.tolist(), np.median(values, axis=0).tolist(), low.tolist(), high.tolist()


def median_interval(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 95 % percentile-bootstrap interval of the median over rows.

    Args:
        values: [rows, columns]; the columns are resampled alike.

    Returns:
        The bounds, [columns] each.
    """
    rows, count = len(values), RESAMPLES if len(values) > 1 else 1
    drawn = np.random.default_rng(0).integers(rows, size=(count, rows))
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    bounds = [np.quantile(np.median(column[drawn], axis=1), tails) for column in values.T]
    both = np.array(bounds).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def band(
    figure: go.Figure,
    x: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    colour: str,
    place: dict[str, int],
    **more: Any,
) -> None:
    """Shades what lies between two curves."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    figure.add_scatter(
        x=[*x, *reversed(x)],
        y=[*high, *reversed(low)],
        fill="toself",
        fillcolor=f"rgba({red}, {green}, {blue}, 0.16)",
        line={"width": 0},
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
        **more,
        **place,
    )


def _threshold(figure: go.Figure, runs: Sequence[Run], place: dict[str, int]) -> None:
    """The thresholds of some runs as lines across."""
    for value in sorted({run.threshold for run in runs if run.threshold is not None}):
        figure.add_hline(
            value,
            line={"color": BAD, "width": 1.2, "dash": "dash"},
            annotation_text=f"threshold {value:,.6g}",
            annotation_position="top left",
            annotation_font_color=BAD,
            **place,
        )
