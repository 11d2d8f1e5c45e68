"""How the plots of a report look, and plotly figures as HTML."""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import plotly.io
from plotly.subplots import make_subplots

INK, SOFT, LINE = "#1c2733", "#5b6775", "#e3e7ec"
ACCENT, FAINT, BAD = "#0b5cad", "#b9c2cc", "#b3261e"
SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#7a5195")
"""Colours for things without an order (Okabe and Ito's, which the colour-blind can tell)"""
SCALE = ((0.0, "#b4c2d3"), (0.35, "#7fb0d9"), (0.7, "#2f7fc1"), (1.0, "#08306b"))
"""From low to high, the high one plain to see on white"""

RESUMED = {"color": INK, "width": 1.5, "dash": "dot"}
CLOSE = 0.003  # of an axis: lines nearer than that are drawn as one

_AXIS: dict[str, Any] = {
    "gridcolor": LINE,
    "linecolor": FAINT,
    "showline": True,
    "zeroline": False,
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": FAINT,
    "title": {"standoff": 8},
    "automargin": True,
}
_TEMPLATE = go.layout.Template(
    layout={
        "font": {
            "family": "system-ui, -apple-system, Segoe UI, Roboto, Liberation Sans, sans-serif",
            "size": 12.5,
            "color": INK,
        },
        "colorway": list(SERIES),
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        "margin": {"l": 64, "r": 24, "t": 36, "b": 48},
        "hoverlabel": {"align": "left", "bgcolor": "#fff", "font": {"color": INK}},
        "hovermode": "closest",
    }
)


def plot(figure: go.Figure, name: str, height: int, width: int = 0) -> str:
    """A figure as HTML.

    Args:
        figure: Gets the look of all.
        name: Unique in its page, so that the same data make the same file.
        height: In pixels.
        width: In pixels at least; the page scrolls it where it is narrower.
    """
    figure.update_layout(template=_TEMPLATE, height=height)
    body = plotly.io.to_html(
        figure,
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        default_height=f"{height}px",
        config={
            "responsive": True,
            "displaylogo": False,
            "plotlyServerURL": "",
            "modeBarButtons": [["toImage", "resetScale2d"]],
            "toImageButtonOptions": {"format": "svg", "filename": name},
        },
    )
    return f'<div class="plot"><div style="min-width: {width}px">{body}</div></div>'


def multiples(count: int, across: int = 3, each: int = 230) -> tuple[go.Figure, int]:
    """(a figure of so many small plots, its height in pixels); `cell` finds them."""
    rows, across = math.ceil(count / across), min(across, count)
    height = rows * each + 40
    figure = make_subplots(
        rows,
        across,
        horizontal_spacing=0.085 if across > 1 else 0.0,
        vertical_spacing=74 / height if rows > 1 else 0.0,
    )
    for spare in range(count, rows * across):
        figure.update_xaxes(visible=False, **cell(spare, across))
        figure.update_yaxes(visible=False, **cell(spare, across))
    return figure, height


def cell(index: int, across: int = 3) -> dict[str, int]:
    """The place of a small plot."""
    return {"row": index // across + 1, "col": index % across + 1}


def tint(share: float) -> str:
    """The colour of a share of the scale."""
    at = next(i for i in range(1, len(SCALE)) if share <= SCALE[i][0] or i == len(SCALE) - 1)
    (left, first), (right, second) = SCALE[at - 1], SCALE[at]
    part = (share - left) / (right - left)
    channels = [
        round((1 - part) * int(first[i : i + 2], 16) + part * int(second[i : i + 2], 16))
        for i in (1, 3, 5)
    ]
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def colour_bar(figure: go.Figure, low: float, high: float) -> None:
    """An empty trace that carries the scale of the scores."""
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        showlegend=False,
        hoverinfo="skip",
        marker={
            "color": [low],
            "cmin": low,
            "cmax": high,
            "colorscale": SCALE,
            "showscale": True,
            "colorbar": {"title": {"text": "score"}, "thickness": 12, "outlinewidth": 0},
        },
    )


def resumptions(figure: go.Figure, places: Sequence[float], end: float, name: str) -> None:
    """Dotted lines where work was gone on with; said once, in the legend, where labels at the
    lines would cover each other. Lines that would touch are one.

    Args:
        figure: Of one plot.
        places: Along its x axis, in order.
        end: Of what is drawn along it.
        name: What the legend says of them.
    """
    drawn: list[float] = []
    for place in places:
        if not drawn or place - drawn[-1] > CLOSE * end:
            drawn.append(place)
            figure.add_vline(place, line=RESUMED)
    if drawn:
        said = name if len(places) == 1 else f"{name}, {len(places)} times"
        figure.add_scatter(x=[None], y=[None], mode="lines", line=RESUMED, name=said)


def exponents(values: Sequence[float | None]) -> str:
    """How an axis abbreviates: 20k, but 2x10^-4 and never 200u."""
    return "B" if max((abs(v) for v in values if v is not None), default=0.0) >= 1 else "power"
