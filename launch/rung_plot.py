"""The part of a search's report on trials that come in rungs: who went on, and who did not."""

import itertools
import statistics
from collections.abc import Sequence

import plotly.graph_objects as go
import scipy.stats

from veldt.launch.console import number
from veldt.launch.page import escape, paragraph, table
from veldt.launch.plots import ACCENT, FAINT, INK, SERIES, plot
from veldt.launch.trials import Trials
from veldt.search.view import Trial, View

MOST = 12  # rungs that stand at equal distances; more are drawn over frames
COMPARED = 5  # trials at two rungs, before their orders are compared
LINES = 400  # trials drawn, those that came furthest


def rung_lengths(view: View) -> list[int]:
    """The frames that trials were trained to at first, and where they went on; empty if all
    were trained in one go, or begin with others' checkpoints."""
    if any(trial.parent is not None for trial in view.trials.values()):
        return []
    ends = {s.end for s in view.segments.values() if s.purpose == "tune"}
    return sorted(ends) if len(ends) > 1 else []


def rungs(trials: Trials) -> str:
    """A table of the rungs, and the trials' way over them."""
    lengths = rung_lengths(trials.view)
    if not lengths:
        return ""
    return _table(trials.view, lengths) + _plot(trials, lengths)


def _table(view: View, lengths: Sequence[int]) -> str:
    rows, going = [], onward(view)
    for frames, after in itertools.zip_longest(lengths, lengths[1:]):
        there = [trial for trial in view.trials.values() if frames in trial.scores]
        on = [trial for trial in there if (trial.number, frames) in going]
        began = sum(
            segment.begin == 0 and segment.end == frames and segment.purpose == "tune"
            for segment in view.segments.values()
        )
        scores = [trial.scores[frames] for trial in there]
        rows.append(
            [
                *(frames, began, len(there), len(on)),
                round(len(on) / len(there), 2) if there and after else None,
                max(scores, default=None),
                statistics.median(scores) if scores else None,
                min((trial.scores[frames] for trial in on), default=None),
                _agreement(there, frames, after),
            ]
        )
    names = ["frames", "began with it", "came to it", "went on", "share of it", "best score"]
    names += ["median", "lowest that went on", "order kept"]
    note = "A rung is a length to which trials are trained before it is said who goes on. "
    note += "Order kept: Spearman's rank correlation of the scores at this rung with those at "
    note += f"the next one, over the trials that have both, if they are {COMPARED} or more: 1 "
    note += "is the same order. Only those that were let go on are compared, which lowers it."
    if not any(row[-1] is not None for row in rows):
        names, rows = names[:-1], [row[:-1] for row in rows]
        note = note.partition(" Order kept")[0]
    return table(names, rows) + paragraph(note)


def onward(view: View) -> set[tuple[int, int]]:
    """(trial, frames): it was trained on from there, or is being."""
    return {(s.trial, s.begin) for s in view.segments.values() if s.purpose == "tune" and s.begin}


def _agreement(there: Sequence[Trial], frames: int, after: int | None) -> float | None:
    """Spearman's rank correlation between two rungs."""
    both = (
        [(t.scores[frames], t.scores[after]) for t in there if after in t.scores] if after else []
    )
    if len(both) < COMPARED or any(len(set(scores)) == 1 for scores in zip(*both, strict=True)):
        return None
    return round(float(scipy.stats.spearmanr(*zip(*both, strict=True)).statistic), 3)


def _plot(trials: Trials, lengths: Sequence[int]) -> str:
    view = trials.view
    spread = len(lengths) > MOST
    place = dict(zip(lengths, lengths if spread else range(len(lengths)), strict=True))
    shown = [t for t in view.scored if any(f in place for f in t.scores)][:LINES]
    if not shown:
        return paragraph("No trial has come to a rung yet.")
    best = trials.best
    figure = go.Figure()
    xs: list[int | None] = []
    ys: list[float | None] = []
    for trial in shown:
        steps = [(place[f], score) for f, score in sorted(trial.scores.items()) if f in place]
        if best is not None and trial.number == best.number:
            way = steps
        else:
            xs += [*(x for x, _ in steps), None]
            ys += [*(y for _, y in steps), None]
    figure.add_scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": FAINT, "width": 1.1},
        hoverinfo="skip",
        showlegend=False,
    )
    if best is not None:
        figure.add_scatter(
            x=[x for x, _ in way],
            y=[y for _, y in way],
            mode="lines",
            line={"color": ACCENT, "width": 2.6},
            name=f"trial {best.number}, {'the winner' if trials.heldout else 'the best'}",
            hoverinfo="skip",
        )
    top, going = view.frames, onward(view)
    kinds = {
        "went on": {"color": SERIES[0], "size": 8},
        "stayed so far": {"color": "#fff", "size": 7, "line": {"width": 1.4, "color": SERIES[1]}},
        "came to the end": {"color": INK, "size": 8},
    }
    points: dict[str, list[tuple[int, float, str]]] = {kind: [] for kind in kinds}
    for trial in shown:
        for frames, score in trial.scores.items():
            if frames in place:
                on = (trial.number, frames) in going
                kind = "went on" if on else "stayed so far" if frames < top else "came to the end"
                said = f"trial {trial.number} at {frames:,} frames: score {number(score)}, {kind}"
                points[kind].append((place[frames], score, escape(said)))
    for kind, some in points.items():
        if some:
            figure.add_scatter(
                x=[x for x, _, _ in some],
                y=[y for _, y, _ in some],
                mode="markers",
                marker=kinds[kind],
                name=kind,
                hovertext=[said for _, _, said in some],
                hoverinfo="text",
            )
    title = "frames" if spread else "frames of the rung"
    ticks = (
        {} if spread else {"tickvals": [*place.values()], "ticktext": [f"{f:,}" for f in place]}
    )
    figure.update_xaxes(title_text=title, showgrid=not spread, **ticks)
    if not spread:
        figure.update_xaxes(range=[-0.3, len(lengths) - 0.7])
    figure.update_yaxes(title_text="score")
    note = "Each line is a trial on its way over the rungs; filled points went on from there."
    if len(shown) == LINES:
        note += f" Only the {LINES} that came furthest are drawn."
    return plot(figure, "rungs", 400) + paragraph(note)
