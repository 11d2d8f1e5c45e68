"""The plots of a search's report."""

from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from veldt.agents.progress import WINDOW
from veldt.launch.console import number
from veldt.launch.page import escape, paragraph
from veldt.launch.parallel_plot import parallel_plot
from veldt.launch.plots import (
    ACCENT,
    BAD,
    FAINT,
    INK,
    SERIES,
    SOFT,
    cell,
    multiples,
    plot,
    resumptions,
)
from veldt.launch.setting_axis import SettingAxis
from veldt.launch.trial_curve import trial_curve
from veldt.launch.trials import Trial, Trials, is_proof
from veldt.search.settings import SearchSettings

CURVES = 100  # drawn at most, the best
POINTS = 150  # of each
SMALL = 250  # pixels, of a small plot at least


def _colours(trials: Trials) -> dict[str, str]:
    """A colour for each stage, in the order of their first trials."""
    stages = dict.fromkeys(trial.stage for trial in trials.all.values())
    return {stage: SERIES[index % len(SERIES)] for index, stage in enumerate(stages)}


def _name(trial: Trial) -> str:
    """A trial in a line, for where it is drawn many times."""
    result = trial.state if trial.score is None else f"score {number(trial.score)}"
    return escape(f"trial {trial.number}, {trial.stage}: {result}")


def _hover(trial: Trial) -> str:
    """All that is said of a trial under the mouse."""
    lines = [*(f"{name} = {value}" for name, value in trial.point.items())]
    reason = trial.reason if len(trial.reason) <= 300 else f"{trial.reason[:300]}..."
    lines += [f"last failure: {reason}"] if reason else []
    return "<br>".join([_name(trial), *(escape(line).replace("\n", "<br>") for line in lines)])


def scores(trials: Trials, settings: SearchSettings) -> str:
    """Score over trial number, the best so far, and at the bottom what has no score."""
    if not trials.all:
        return paragraph("No trial has been asked for yet.")
    figure = go.Figure()
    ordered = sorted(trials.scored, key=lambda trial: trial.number)
    if ordered:
        best = [ordered[0].score or 0.0]
        for trial in ordered[1:]:
            best.append(max(best[-1], trial.score or 0.0))
        figure.add_scatter(
            x=[*(trial.number for trial in ordered), max(trials.all)],
            y=[*best, best[-1]],
            mode="lines",
            line={"color": INK, "width": 1.3, "shape": "hv"},
            name="best so far",
            hoverinfo="skip",
        )
    for stage, colour in _colours(trials).items():
        shown = [trial for trial in ordered if trial.stage == stage]
        _points(figure, shown, [trial.score for trial in shown], stage, color=colour)
    values = [trial.score or 0.0 for trial in ordered] or [0.0, 1.0]
    span = max(values) - min(values) or abs(values[0]) or 1.0
    floor = min(values) - 0.12 * span
    failed = [trial for trial in trials.all.values() if trial.state == "failed"]
    _points(figure, failed, [floor] * len(failed), "failed", color=BAD, symbol="x")
    others = [t for t in trials.all.values() if t.state != "failed" and t.score is None]
    _points(
        figure, others, [floor] * len(others), "not done yet", color=SOFT, symbol="circle-open"
    )
    last, own = max(trials.all), settings.command is not None
    figure.update_xaxes(
        title_text="trial, in the order of asking",
        range=[-0.02 * last - 0.5, 1.02 * last + 0.5],
        **({"dtick": 1} if last < 25 else {}),
    )
    figure.update_yaxes(
        title_text="score" if own else f"score: {settings.measure}", showticklabels=bool(ordered)
    )
    note = "A score is what a run of the command said last."
    if not own:
        note = f"A score is the {settings.measure} over the evaluation episodes of one training."
    if len({trial.frames for trial in trials.scored}) > 1:
        note += " Trials have come to different lengths; shown is the newest score of each."
    if failed or others:
        note += " Trials without a score stand at the bottom; the mouse shows why."
    return plot(figure, "scores", 400) + paragraph(note)


def _points(figure: go.Figure, shown: list[Trial], y: list[Any], name: str, **mark: Any) -> None:
    if shown:
        figure.add_scatter(
            x=[trial.number for trial in shown],
            y=y,
            mode="markers",
            name=escape(name),
            marker={"size": 9, "line": {"width": 1, "color": "#fff"}} | mark,
            hovertext=[_hover(trial) for trial in shown],
            hoverinfo="text",
        )


def parallel_coordinates(trials: Trials, axes: list[SettingAxis]) -> str:
    """A line for each trial with a score; nothing if there is none."""
    if not trials.scored or not axes:
        return ""
    note = "A line is a trial, darker for a higher score; trials without a score are left out."
    if any(axis.choice for axis in axes):
        note += " Lines through the same choice are drawn a little apart."
    return parallel_plot(trials.scored, axes, _name) + paragraph(note)


def score_by_setting(trials: Trials, axes: list[SettingAxis]) -> str:
    """A small plot for each searched setting; nothing if no trial has a score."""
    shown = trials.scored
    if not shown or not axes:
        return ""
    figure, height = multiples(len(axes), each=250)
    colours = _colours(trials)
    lowest, highest = (f(trial.score or 0.0 for trial in shown) for f in (min, max))
    margin = 0.06 * (highest - lowest) or 1.0
    span = [lowest - margin, highest + margin]  # one for all, so that they can be compared
    for index, axis in enumerate(axes):
        place = cell(index)
        for stage, colour in colours.items():
            there = [trial for trial in shown if axis.name in trial.point]
            some = [trial for trial in there if trial.stage == stage]
            figure.add_scatter(
                x=[axis.place(trial.point[axis.name]) for trial in some],
                y=[trial.score for trial in some],
                mode="markers",
                name=escape(stage),
                legendgroup=stage,
                showlegend=index == 0,
                marker={"size": 7, "color": colour, "opacity": 0.75},
                hovertext=[_name(trial) for trial in some],
                hoverinfo="text",
                **place,
            )
        best = shown[0]
        ringed = [best] if axis.name in best.point else []
        figure.add_scatter(
            x=[axis.place(trial.point[axis.name]) for trial in ringed],
            y=[trial.score for trial in ringed],
            mode="markers",
            name="best",
            legendgroup="best",
            showlegend=index == 0,
            marker={"size": 13, "symbol": "circle-open", "color": INK, "line": {"width": 1.8}},
            hoverinfo="skip",
            **place,
        )
        figure.update_xaxes(
            title_text=escape(f"{axis.name} (log scale)" if axis.log else axis.name),
            tickvals=axis.ticks,
            ticktext=list(map(escape, axis.texts)),
            type="log" if axis.log else "linear",
            range=axis.range,
            **place,
        )
        figure.update_yaxes(title_text="score" if index % 3 == 0 else "", range=span, **place)
    return plot(figure, "score-by-setting", height, width=SMALL * min(len(axes), 3))


def curves(folder: Path, trials: Trials, settings: SearchSettings) -> str:
    """The learning curves of the best trials and of those under way, the best one's on top.

    Nothing if no trial has ended an episode, or the trials' folders are gone.
    """
    under_way = [trial for trial in trials.all.values() if trial.score is None]
    drawn = (trials.scored + under_way)[:CURVES]
    figure = go.Figure()
    own = settings.command is not None
    unit, value = ("steps", "value") if own else ("frames", "mean return")
    count = 0
    paused: list[tuple[int, float, str]] = []
    for trial in drawn[::-1]:
        frames, returns = trial_curve(folder / "trials" / trial.name, POINTS)
        best = trial is trials.best
        if frames and trial.state == "paused":
            paused.append((frames[-1], returns[-1], _name(trial)))
        if frames:
            count += 1
            figure.add_scatter(
                x=frames,
                y=returns,
                mode="lines" if len(frames) > 1 else "markers",
                line={"color": ACCENT, "width": 2.6} if best else {"color": FAINT, "width": 1},
                name=f"trial {trial.number}, the best" if best else f"trial {trial.number}",
                showlegend=best,
                hovertemplate=f"%{{x:,}} {unit}<br>{value} %{{y:.5g}}",
            )
    if not count:
        return ""
    if paused:
        figure.add_scatter(
            x=[x for x, _, _ in paused],
            y=[y for _, y, _ in paused],
            mode="markers",
            marker={"size": 7, "symbol": "line-ns-open", "color": SOFT, "line": {"width": 1.6}},
            name="paused there",
            hovertext=[said for _, _, said in paused],
            hoverinfo="text",
        )
    figure.update_xaxes(title_text=unit, rangemode="tozero")
    figure.update_yaxes(title_text=value if own else f"{value}, last {WINDOW} episodes")
    note = "What the commands said while they ran, thin but for the best."
    if not own:
        note = "What the trials returned while they trained, thin but for the best. A score comes "
        note += "after that, from evaluation episodes."
    if len(trials.all) > len(drawn):
        note += f" Only the best {len(drawn)} of {number(len(trials.all))} trials are drawn."
    return plot(figure, "trial-curves", 400) + paragraph(note)


VALIDATION = "finalist, validated"
PROOF = "winner, trained again"


def timeline(trials: Trials) -> str:
    """Which worker was at work on which trial when; nothing if none has begun."""
    if not trials.spans:
        return ""
    unit, size = next(
        (unit, size)
        for unit, size in (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
        if trials.seconds > 3 * size or size == 1.0
    )
    kinds: dict[str, tuple[str, list[Any]]] = {
        stage: (colour, []) for stage, colour in _colours(trials).items()
    }
    kinds |= {
        VALIDATION: ("#b48ead", []),
        PROOF: (INK, []),
        "attempt that failed": (BAD, []),
        "cut off by a stop": (FAINT, []),
        "under way": ("#8aa0b5", []),
    }
    by_ending = {
        "failed": "attempt that failed",
        "stopped": "cut off by a stop",
        "under way": "under way",
    }
    for span in trials.spans:
        trial = trials.all[span.number]
        work = PROOF if is_proof(span.name) else VALIDATION
        kind = by_ending.get(span.ending, trial.stage if span.name == trial.name else work)
        kinds[kind][1].append(span)
    figure = go.Figure()
    for kind, (colour, spans) in kinds.items():
        if spans:
            figure.add_bar(
                base=[span.begin_s / size for span in spans],
                x=[(span.end_s - span.begin_s) / size for span in spans],
                y=[f"worker {span.worker}" for span in spans],
                orientation="h",
                name=escape(kind),
                marker={"color": colour, "line": {"color": "#fff", "width": 1}},
                text=["" if is_proof(span.name) else str(span.number) for span in spans],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                hovertext=[
                    f"{escape(span.name)}, {number(span.end_s - span.begin_s)} s: {span.ending}"
                    for span in spans
                ],
                hoverinfo="text",
            )
    resumed = [begun / size for begun in trials.sessions_s[1:]]
    resumptions(figure, resumed, trials.seconds / size, "search resumed")
    workers = sorted({span.worker for span in trials.spans}, reverse=True)
    figure.update_layout(barmode="overlay", uniformtext={"minsize": 9, "mode": "hide"})
    figure.update_xaxes(title_text=f"working time of the search, {unit}", rangemode="tozero")
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=[f"worker {worker}" for worker in workers],
        showgrid=False,
    )
    height = min(130 + 34 * len(workers), 1000)
    busy = sum(span.end_s - span.begin_s for span in trials.spans)
    share = busy / max(trials.seconds * len(workers), 1e-9)
    note = f"The workers were busy {share:.0%} of the time. Time between sessions is left out."
    return plot(figure, "timeline", height) + paragraph(note)
