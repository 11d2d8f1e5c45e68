"""The part of a report on how good a fixed policy is: an interval and a histogram."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from veldt.launch.console import number
from veldt.launch.intervals import interval_text
from veldt.launch.page import columns, paragraph, table
from veldt.launch.plots import ACCENT, INK, plot

BINS = 40


def evaluation(result: dict[str, Any], name: str) -> str:
    """A table of numbers beside a histogram.

    Args:
        result: An evaluation's summary, as in evaluation.json.
        name: Of the plot, unique in the page.
    """
    policies = {"sample": "sampled, as in training", "greedy": "greedy: the likeliest action"}
    rows: list[list[Any]] = [
        ["mean return", number(result["mean_return"])],
        ["95 % interval of the mean (bootstrap)", interval_text(result["returns"])],
        ["median return", number(result["median_return"])],
        [
            "lowest and highest return",
            f"{number(result['min_return'])} to {number(result['max_return'])}",
        ],
        ["whole episodes", number(result["episodes"])],
        ["mean length of an episode", _length(result)],
        ["human-normalised score, with its interval", _normalised(result)],
        ["policy", policies.get(result.get("policy", ""))],
        ["update of the weights", result.get("update")],
        ["seed of the episodes", None if result.get("seed") is None else str(result["seed"])],
    ]
    known = [row for row in rows if row[1] is not None]
    return columns(histogram(result["returns"], name), table(["", "value"], known))


def _length(result: dict[str, Any]) -> str | None:
    """How long an episode is; None where it was not kept."""
    if "mean_episode_steps" not in result:
        return None
    text = f"{number(result['mean_episode_steps'])} steps"
    frames = result.get("mean_episode_frames")
    return text if frames is None else f"{text}, {number(frames)} frames"


def _normalised(result: dict[str, Any]) -> str | None:
    if "normalised_score" not in result:
        return None
    score, low = number(result["normalised_score"]), result.get("normalised_score_low")
    return (
        score
        if low is None
        else f"{score}, {number(low)} to {number(result['normalised_score_high'])}"
    )


def histogram(returns: Sequence[float], name: str) -> str:
    """How the returns spread; a sentence where they do not."""
    values = np.asarray(returns, dtype=float)
    if values.min() == values.max():
        every = "The one episode" if len(values) == 1 else f"All {len(values):,} episodes"
        return paragraph(f"{every} returned {number(float(values[0]))}.")
    edges = np.histogram_bin_edges(values, bins="auto")
    if len(edges) > BINS + 1:
        edges = np.histogram_bin_edges(values, bins=BINS)
    counts, _ = np.histogram(values, edges)
    mean = float(values.mean())
    hover = [
        f"{number(float(low))} to {number(float(high))}: {count} episodes"
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    figure = go.Figure(
        go.Bar(
            x=((edges[:-1] + edges[1:]) / 2).tolist(),
            y=counts.tolist(),
            width=np.diff(edges).tolist(),
            marker={"color": ACCENT, "opacity": 0.75, "line": {"color": "#fff", "width": 1}},
            hovertext=hover,
            hoverinfo="text",
        )
    )
    figure.add_vline(mean, line={"color": INK, "width": 1.5, "dash": "dot"})
    figure.add_annotation(
        x=mean, y=1, yref="paper", yanchor="bottom", text=f"mean {number(mean)}", showarrow=False
    )
    figure.update_xaxes(title_text="return of an episode")
    figure.update_yaxes(title_text="episodes", rangemode="tozero")
    return plot(figure, name, 280)
