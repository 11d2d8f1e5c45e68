"""The part of a report on how good a fixed policy is: an interval and a histogram."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import scipy.stats

from veldt.launch.console import number
from veldt.launch.page import columns, paragraph, table
from veldt.launch.plots import ACCENT, INK, plot

CONFIDENCE = 0.95
RESAMPLES = 9_999
DRAWS = 50_000_000  # at most, so that a million episodes take seconds
BINS = 40


def interval(returns: Sequence[float]) -> tuple[float, float] | None:
    """A bootstrap interval (percentile) of the mean; None for fewer than two episodes.

    It holds for new episodes of the same weights, not for other seeds of the training.
    """
    if len(returns) < 2:
        return None
    resamples = min(RESAMPLES, max(200, DRAWS // len(returns)))
    result = scipy.stats.bootstrap(
        (np.asarray(returns, dtype=float),),
        np.mean,
        n_resamples=resamples,
        batch=max(1, 1_000_000 // len(returns)),
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return float(result.low), float(result.high)


def interval_text(returns: Sequence[float]) -> str:
    """The interval for people."""
    bounds = interval(returns)
    return f"{number(bounds[0])} to {number(bounds[1])}" if bounds else "needs two episodes"


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
        ["policy", policies.get(result.get("policy", ""))],
        ["update of the weights", result.get("update")],
        ["seed of the episodes", None if result.get("seed") is None else str(result["seed"])],
    ]
    known = [row for row in rows if row[1] is not None]
    return columns(histogram(result["returns"], name), table(["", "value"], known))


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
