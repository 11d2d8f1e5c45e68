"""Parallel coordinates: a line for each trial through the settings searched to its score.

Drawn as ordinary lines, not by plotly's own kind of plot: that one needs WebGL, which
many a remote desktop and every printer lacks.
"""

import textwrap
from collections.abc import Callable

import plotly.graph_objects as go

from veldt.launch.console import number
from veldt.launch.page import escape
from veldt.launch.plots import SOFT, colour_bar, plot, tint
from veldt.launch.setting_axis import SettingAxis, linear_ticks, short_names
from veldt.launch.trials import Trial

SHADES = 24  # a plotly trace each, however many trials there are
SPREAD = 0.03  # by which lines through the same choice stand off from each other
WIDTH = 84  # pixels between two axes, at least
LETTER = 8  # pixels, in the names of the axes


def parallel_plot(
    trials: list[Trial], axes: list[SettingAxis], hover: Callable[[Trial], str]
) -> str:
    """The plot.

    Args:
        trials: With a score, the best first; at least one.
        axes: Of the settings, from left to right.
        hover: Of a trial: what is said of it under the mouse, in HTML.
    """
    scores = [trial.score or 0.0 for trial in trials]
    low, high = min(scores), max(scores)
    low, high = (low, high) if low < high else (low - 0.5, high + 0.5)
    heights = [_heights(axis, trials) for axis in axes]
    shares = [(score - low) / (high - low) for score in scores]
    heights.append([*shares])
    texts = [hover(trial) for trial in trials]
    figure = go.Figure()
    lines: dict[int, list[int]] = {}
    for index in reversed(range(len(trials))):  # the best last, on top
        lines.setdefault(min(int(shares[index] * SHADES), SHADES - 1), []).append(index)
    for shade, some in sorted(lines.items()):
        _lines(figure, shade, some, heights, texts)
    names = short_names([axis.name for axis in axes])
    letters = max(WIDTH, 1100 // (len(axes) + 1)) // LETTER
    for x, axis in enumerate(axes):
        ticks = [axis.share(tick) for tick in axis.ticks]
        _axis(figure, x, _wrapped(names[axis.name], letters), ticks, axis.texts)
    ticks = linear_ticks(low, high)
    places = [(tick - low) / (high - low) for tick in ticks]
    _axis(figure, len(axes), "score", places, list(map(number, ticks)))
    colour_bar(figure, low, high)
    figure.update_xaxes(visible=False, range=[-0.45, len(axes) + 0.3], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.03, 1.01], fixedrange=True)
    figure.update_layout(margin={"l": 8, "r": 8, "t": 76, "b": 8})
    return plot(figure, "parallel", 460, width=WIDTH * (len(axes) + 1))


def _heights(axis: SettingAxis, trials: list[Trial]) -> list[float | None]:
    """Where each trial's line crosses an axis that is 1 high; None: it has no such setting."""
    shares = [
        axis.share(axis.place(trial.point[axis.name])) if axis.name in trial.point else None
        for trial in trials
    ]
    if not axis.choice:
        return shares
    there = {share for share in shares if share is not None}
    alike = {share: [i for i, s in enumerate(shares) if s == share] for share in there}
    apart = {
        i: SPREAD * (1 - 2 * rank / (len(same) - 1))
        for same in alike.values()
        if len(same) > 1
        for rank, i in enumerate(same)
    }
    return [
        None if s is None else min(max(s + apart.get(i, 0.0), 0.0), 1.0)
        for i, s in enumerate(shares)
    ]


def _lines(
    figure: go.Figure,
    shade: int,
    some: list[int],
    heights: list[list[float | None]],
    texts: list[str],
) -> None:
    """Adds the lines of one colour, a gap after each; a line goes on over what it lacks."""
    share = (shade + 0.5) / SHADES
    xs: list[int | None] = []
    ys: list[float | None] = []
    hovers = []
    for index in some:
        crossed = [(x, column[index]) for x, column in enumerate(heights)]
        crossed = [(x, y) for x, y in crossed if y is not None]
        xs += [*(x for x, _ in crossed), None]
        ys += [*(y for _, y in crossed), None]
        hovers += [texts[index]] * (len(crossed) + 1)
    figure.add_scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": tint(share), "width": 1 + 0.8 * share, "shape": "linear"},
        opacity=max(0.2, min(0.85, (50 / len(texts)) ** 0.5)),
        hovertext=hovers,
        hoverinfo="text",
        showlegend=False,
    )


def _wrapped(name: str, letters: int) -> str:
    """A setting's name over as many lines as it needs."""
    words = name.replace("_", " ").replace(".", ". ")
    return "<br>".join(map(escape, textwrap.wrap(words, letters)))


def _axis(figure: go.Figure, x: int, name: str, ticks: list[float], texts: list[str]) -> None:
    figure.add_shape(
        type="line", x0=x, x1=x, y0=0, y1=1, line={"color": SOFT, "width": 1}, layer="above"
    )
    figure.add_annotation(
        x=x, y=1, yshift=12, yanchor="bottom", text=f"<b>{name}</b>", showarrow=False
    )
    for tick, text in zip(ticks, texts, strict=True):
        figure.add_annotation(
            x=x,
            y=tick,
            text=escape(text if len(text) <= 24 else f"{text[:23]}…"),
            showarrow=False,
            xanchor="right",
            xshift=-5,
            font={"size": 11.5},
            bgcolor="rgba(255,255,255,0.9)",
            borderpad=1,
        )
