"""The part of a search's report on populations: who took over from whom, and the settings that
the winner lived through."""

import itertools
from typing import Any

import plotly.graph_objects as go

from veldt.launch.console import number
from veldt.launch.page import escape, heading, paragraph
from veldt.launch.plots import (
    ACCENT,
    BAD,
    FAINT,
    INK,
    SOFT,
    cell,
    colour_bar,
    multiples,
    plot,
    tint,
)
from veldt.launch.setting_axis import SettingAxis, short_names
from veldt.launch.trials import Trials
from veldt.search.schedulers.pbt import lineage, members
from veldt.search.view import Trial, View

Stretch = tuple[Trial, int, int, float | None]
"""(trial, begin, end, score); no score: it is not done, or failed"""
ROW = 30  # pixels
HIGHEST = 1400  # pixels; of many members the rows become narrower
SMALL = 250  # pixels, of a small plot at least
THICK = 0.62  # of a row


def lineages(trials: Trials, axes: list[SettingAxis]) -> str:
    """Members over frames, and the schedule of the best one; nothing if nobody took over."""
    if not any(trial.parent for trial in trials.view.trials.values()):
        return ""
    best = trials.best
    line = lineage(trials.view, trials.view.trials[best.number]) if best is not None else []
    parts = [_members(trials.view, line)]
    if line and axes:
        parts += [heading("The settings that the winner lived through"), _schedule(line, axes)]
    return "".join(parts)


def stretches(view: View) -> list[Stretch]:
    """All training but proofs."""
    found: list[Stretch] = []
    for segment in view.segments.values():
        if segment.purpose == "tune":
            body = view.results.get(segment.number) or {"score": None}
            score: float | None = body["score"]
            end: int = segment.end if score is None else body["frames"]
            found.append((view.trials[segment.trial], segment.begin, end, score))
    return found


def _members(view: View, line: list[tuple[Trial, int]]) -> str:
    """A row for each member: its stretches, coloured by their scores, and who took over."""
    count = len(members(view))
    figure = go.Figure()
    _stretches(figure, view)
    _forks(figure, view)
    if line:
        _way(figure, line)
    rows = list(range(count))
    figure.update_yaxes(
        tickvals=rows,
        ticktext=[f"member {row}" for row in rows] if count <= 60 else rows,
        range=[count - 0.4, -0.6],
        showgrid=False,
    )
    figure.update_xaxes(title_text="frames", rangemode="tozero")
    figure.update_layout(barmode="overlay")
    forks = sum(trial.parent is not None for trial in view.trials.values())
    note = (
        "A row is a member of the population, a bar a stretch of its training, coloured by the "
        "score at its end. A line to a triangle: that member took over the weights of another, "
        f"with its settings changed; it happened {number(forks)} time{'s' * (forks != 1)}."
    )
    if line:
        note += " The thick line is the way of the best one's weights."
    return plot(figure, "lineage", min(130 + ROW * count, HIGHEST)) + paragraph(note)


def _stretches(figure: go.Figure, view: View) -> None:
    done = [(s, s[3]) for s in stretches(view) if s[3] is not None]
    if done:
        low, high = (f(score for _, score in done) for f in (min, max))
        span = high - low or 1.0
        colours = [tint((score - low) / span) for _, score in done]
        marker: dict[str, Any] = {"color": colours, "line": {"color": "#fff", "width": 1}}
        _bars(figure, [s for s, _ in done], "score", marker=marker, showlegend=False)
        colour_bar(figure, low, high if high > low else low + 1.0)
    open_ = [s for s in stretches(view) if s[3] is None and s[0].state != "condemned"]
    marker = {"color": "#fff", "line": {"color": FAINT, "width": 1}, "pattern": {"shape": "/"}}
    _bars(figure, open_, "not done", marker=marker | {"pattern_fgcolor": FAINT})
    failed = [s for s in stretches(view) if s[3] is None and s[0].state == "condemned"]
    if failed:
        figure.add_scatter(
            x=[begin for _, begin, _, _ in failed],
            y=[trial.member for trial, *_ in failed],
            mode="markers",
            marker={"color": BAD, "symbol": "x", "size": 9},
            name="failed",
            cliponaxis=False,
            hovertext=[escape(f"trial {t.number} failed: {t.reason[:200]}") for t, *_ in failed],
            hoverinfo="text",
        )


def _bars(figure: go.Figure, some: list[Any], name: str, **look: Any) -> None:
    if some:
        figure.add_bar(
            base=[begin for _, begin, _, _ in some],
            x=[end - begin for _, begin, end, _ in some],
            y=[trial.member for trial, *_ in some],
            width=THICK,
            orientation="h",
            name=name,
            hovertext=[
                escape(
                    f"trial {trial.number}, {begin:,} to {end:,} frames: "
                    f"{name if score is None else f'score {number(score)}'}"
                )
                for trial, begin, end, score in some
            ],
            hoverinfo="text",
            **look,
        )


def _forks(figure: go.Figure, view: View) -> None:
    """Lines from who was taken over from to who took over."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    ends: dict[str, list[tuple[int, float, str]]] = {"triangle-down": [], "triangle-up": []}
    for trial in view.trials.values():
        if trial.parent is None:
            continue
        parent, frames = view.trials[trial.parent[0]], trial.parent[1]
        if parent.member == trial.member:  # it goes on with its own, after a failure
            continue
        down = trial.member > parent.member
        reach = THICK / 2 * (-1 if down else 1)
        xs += [frames, frames, None]
        ys += [parent.member - reach, trial.member + reach, None]
        said = f"trial {trial.number}: from trial {parent.number} at {frames:,} frames"
        ends["triangle-down" if down else "triangle-up"].append(
            (frames, trial.member + 1.25 * reach, escape(said))
        )
    figure.add_scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": SOFT, "width": 1.1},
        hoverinfo="skip",
        showlegend=False,
    )
    for symbol, some in ends.items():
        figure.add_scatter(
            x=[x for x, _, _ in some],
            y=[y for _, y, _ in some],
            mode="markers",
            marker={"symbol": symbol, "size": 8, "color": SOFT},
            hovertext=[said for _, _, said in some],
            hoverinfo="text",
            showlegend=False,
        )


def _way(figure: go.Figure, line: list[tuple[Trial, int]]) -> None:
    """The way of the weights that came to be the best ones."""
    xs: list[int] = [0]
    ys: list[int] = [line[0][0].member]
    for (trial, left), (after, _) in itertools.pairwise(line):
        xs += [left, left]
        ys += [trial.member, after.member]
    xs.append(line[-1][1])
    ys.append(line[-1][0].member)
    figure.add_scatter(
        x=xs, y=ys, mode="lines", line={"color": INK, "width": 2.6}, name="the best one's weights",
        hoverinfo="skip",
    )  # fmt: skip


def schedule(line: list[tuple[Trial, int]]) -> list[tuple[int, int, Trial]]:
    """(begin, end, the trial whose settings held there) along a lineage."""
    begins = [0, *(left for _, left in line[:-1])]
    return [(b, left, trial) for b, (trial, left) in zip(begins, line, strict=True) if left > b]


def _schedule(line: list[tuple[Trial, int]], axes: list[SettingAxis]) -> str:
    """A small plot for each setting, over frames."""
    figure, height = multiples(len(axes))
    names = short_names([axis.name for axis in axes])
    for index, axis in enumerate(axes):
        place = cell(index)
        xs: list[int | None] = []
        ys: list[float | None] = []
        for begin, end, trial in schedule(line):
            if axis.name in trial.point:
                value = axis.place(trial.point[axis.name])
                xs += [begin, end]
                ys += [value, value]
            else:
                xs.append(None)
                ys.append(None)
        figure.add_scatter(
            x=xs, y=ys, mode="lines", line={"color": ACCENT, "width": 2.2}, showlegend=False,
            hovertemplate="%{x:,} frames<br>%{y:.4g}<extra></extra>", **place,
        )  # fmt: skip
        figure.update_xaxes(title_text="frames", rangemode="tozero", nticks=5, **place)
        figure.update_yaxes(
            title_text=escape(names[axis.name]),
            tickvals=axis.ticks,
            ticktext=list(map(escape, axis.texts)),
            type="log" if axis.log else "linear",
            range=axis.range,
            **place,
        )
    note = "What a training must be given to be the winner's from its beginning: the settings "
    note += "changed where its weights were taken over."
    return plot(figure, "schedule", height, width=SMALL * min(len(axes), 3)) + paragraph(note)
