"""The report of a training."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from veldt.agents.environment_settings import label
from veldt.agents.evaluator import SHOWN, results
from veldt.agents.progress import WINDOW, Progress
from veldt.launch.console import duration, number
from veldt.launch.evaluation_report import evaluation
from veldt.launch.page import (
    code_name,
    columns,
    escape,
    facts,
    page,
    paragraph,
    section,
    settings_table,
    table,
)
from veldt.launch.plots import ACCENT, FAINT, INK, cell, exponents, multiples, plot, resumptions
from veldt.launch.population_curves import student_interval
from veldt.platform.records import read
from veldt.platform.runs import read_json

Record = dict[str, Any]
COUNTED = frozenset(Progress().summary()) | {
    *("kind", "session", "update", "mean_normalised_score", "record_updates"),
    "replayed_lag_mean",
    *(f"evaluation_{name}" for name in SHOWN),
}  # not the learner's
RETURN_OF = "mean_return/"
NAMES = {
    "entropy": "policy entropy, nats",
    "value": "mean value estimate",
}

EVALUATION = (
    "Whole episodes with the weights held fixed, on seeds that training never saw. The interval "
    "covers chance in the episodes, not in the training: it says nothing of another seed."
)


def run_report(folder: Path, document: dict[str, Any], command: str) -> str:
    """The page.

    Args:
        folder: The run's.
        document: Its settings.json.
        command: Which asked for it, for the footer.
    """
    settings, records = document["settings"], read(folder)
    summary_file, evaluation_file = folder / "summary.json", folder / "evaluation.json"
    summary = read_json(summary_file) if summary_file.exists() else None
    last = summary or (records[-1] if records else {})
    version, commit = code_name(document["code"])
    steps = number(last.get("steps", 0))
    seconds = last.get("wall_seconds", 0.0)
    head = facts(
        [
            ("environment", label(settings["environment"]), ""),
            ("agent", settings["agent"]["name"], ""),
            (*_score(last), f"last {WINDOW} episodes of the training"),
            ("frames", last.get("frames", 0), f"of {number(settings['frames'])}, {steps} steps"),
            ("episodes", last.get("episodes", 0), f"{number(last.get('updates', 0))} updates"),
            ("wall time", duration(seconds), f"{seconds:,.0f} s over all sessions"),
            ("speed", *_speed(summary, records)),
            ("seed", str(settings["seed"]), ""),
            ("code", version, commit),
        ]
    )
    sections = [
        head,
        section("Learning curve", learning(records, beside=results(folder))),
        *_tasks(records),
    ]
    sections += _learner(settings, records)
    if records:
        curves = throughput(records) + _times(records)
        sections.append(section("Throughput and policy lag", curves, counters(last)))
    if evaluation_file.exists():
        result = read_json(evaluation_file)
        if "tasks" in result:
            kept = {name: result[name] for name in ("update", "policy", "seed")}
            for name, scored in result["tasks"].items():
                shown = evaluation(kept | scored, f"evaluation-{name.replace('/', '-')}")
                sections.append(section(f"Evaluation: {name}", shown))
        else:
            shown = evaluation(result, "evaluation")
            sections.append(section("Evaluation", paragraph(EVALUATION), shown))
    sections.append(section("Settings", settings_table(settings)))
    title = f"{settings['agent']['name']} on {label(settings['environment'])}"
    return page("Training", title, _state(settings, summary, records), sections, command)


def _score(last: dict[str, Any]) -> tuple[str, Any]:
    """What a training has come to; of several games, whose returns have no common scale, the
    mean of their human-normalised scores."""
    if "mean_normalised_score" in last:
        return "mean normalised score", last["mean_normalised_score"]
    return "mean return", last.get("mean_return")


def _speed(summary: Record | None, records: Sequence[Record]) -> tuple[str, str]:
    """Steps/s, and of when: a training under way is as fast as it was lately."""
    if summary is None and len(records) > 1:
        (*_, before, after), when = records, "since the record before the last"
    else:
        before, after, when = {}, summary or (records[-1] if records else {}), "over the whole run"
    steps, seconds = (
        after.get(name, 0) - before.get(name, 0) for name in ("steps", "wall_seconds")
    )
    return f"{steps / max(seconds, 1e-9):,.0f}", f"steps/s {when}"


def _state(settings: dict[str, Any], summary: Any, records: list[Record]) -> str:
    if summary is not None:
        return ""
    if not records:
        return "Nothing is recorded yet: the training has only begun, or came to nothing."
    done = records[-1]["frames"]
    return (
        f"Not finished: {number(done)} of {number(settings['frames'])} frames "
        f"({done / settings['frames']:.0%}). The training is under way, or was interrupted."
    )


def curve(records: Sequence[Record], limit: int | None = None) -> tuple[list[int], list[float]]:
    """(frames, mean return), from the first episode that ended.

    Args:
        records: Of a run.
        limit: Points at most; the last one is always there.
    """
    return thinned(
        [(r["frames"], r["mean_return"]) for r in records if r["mean_return"] is not None], limit
    )


def thinned(points: list[tuple[int, float]], limit: int | None) -> tuple[list[int], list[float]]:
    """The coordinates of points, of `limit` at most, the last one among them."""
    if limit is not None and len(points) > limit:
        stride = -(-len(points) // limit)
        points = points[:-1:stride] + points[-1:]
    return [x for x, _ in points], [y for _, y in points]


def learning(
    records: Sequence[Record], name: str = "learning-curve", beside: Sequence[Record] = ()
) -> str:
    """The learning curve of one run; a sentence before its first episode has ended.

    Args:
        records: Of the run.
        name: Of the plot, unique in the page.
        beside: Evaluations beside the training.
    """
    frames, returns = curve(records)
    if not frames:
        return paragraph("No episode has ended yet.")
    figure = go.Figure(
        go.Scatter(
            x=frames,
            y=returns,
            mode="lines+markers" if len(frames) < 30 else "lines",
            line={"color": ACCENT, "width": 2},
            name=f"last {WINDOW} episodes",
            hovertemplate="%{x:,} frames<br>mean return %{y:.5g}<extra></extra>",
        )
    )
    scored = [record for record in beside if "mean_return" in record]
    if scored:
        _evaluations(figure, scored)
    pairs = itertools.pairwise(records)
    resumed = [b["frames"] for b, after in pairs if b["session"] != after["session"]]
    resumptions(figure, resumed, frames[-1], "resumed")
    figure.update_xaxes(title_text="frames", rangemode="tozero")
    figure.update_yaxes(title_text="mean return")
    caption = (
        f"Undiscounted, unclipped returns of the last {WINDOW} episodes (fewer at the start), "
        "played by the actors while they learn."
    )
    if scored:
        caption += (
            f" Points: evaluations beside the training, {scored[-1]['episodes']} whole episodes "
            "each with the weights held fixed, with Student's 95 % interval over the episodes."
        )
    return plot(figure, name, 380) + paragraph(caption)


def _evaluations(figure: go.Figure, scored: Sequence[Record]) -> None:
    """Evaluations as points with their intervals."""
    bounds = [
        student_interval(record | {"evaluation_episodes": record["episodes"]}) or (0.0, 0.0)
        for record in scored
    ]
    halves = [(high - low) / 2 for low, high in bounds]
    figure.add_scatter(
        x=[record["frames"] for record in scored],
        y=[record["mean_return"] for record in scored],
        error_y={"type": "data", "array": halves, "thickness": 1.2, "width": 3},
        mode="markers",
        marker={"color": INK, "size": 6},
        name="evaluation",
        hovertemplate="%{x:,} frames<br>evaluation %{y:.5g}<extra></extra>",
    )


def _tasks(records: Sequence[Record]) -> list[str]:
    """Where there are several tasks, the return of each, a small plot each."""
    names = sorted({name for r in records for name in r if name.startswith(RETURN_OF)})
    if not names:
        return []
    titles = {name: name.removeprefix(RETURN_OF).removeprefix("atari/") for name in names}
    if any("mean_normalised_score" in record for record in records):
        titles["mean_normalised_score"] = "normalised score, mean"
    note = f"The mean return of each task's last {WINDOW} episodes."
    return [section("Tasks", paragraph(note), _multiples(records, titles, "tasks"))]


def _learner(settings: dict[str, Any], records: Sequence[Record]) -> list[str]:
    """Every number that the agent and the learner report, a small plot each."""
    titles = {
        name: NAMES.get(name, name.replace("_", " "))
        for name in (records[-1] if records else {})
        if name not in COUNTED and "/" not in name and not _is_time(name)
    }
    if not titles:
        return []
    reduction = settings["agent"].get("reduction")
    note = f" Losses are the {reduction} over an update's steps." if reduction else ""
    text = "Of the one update at which each record was written, the gradient's norm before its "
    text = paragraph(f"{text}clipping.{note}")
    return [section("Losses and optimisation", text, _multiples(records, titles, "losses"))]


def _multiples(records: Sequence[Record], titles: dict[str, str], plot_name: str) -> str:
    """A small plot over frames for each number of the records, under its title."""
    figure, height = multiples(len(titles))
    for index, (name, title) in enumerate(titles.items()):
        values = [record.get(name) for record in records]
        place = cell(index)
        figure.add_scatter(
            x=[record["frames"] for record in records],
            y=values,
            mode="lines" if len(records) > 1 else "markers",
            line={"color": ACCENT, "width": 1.3},
            showlegend=False,
            hovertemplate="%{x:,} frames<br>%{y:.4g}<extra></extra>",
            **place,
        )
        log = name == "gradient_norm" and all(value for value in values)
        figure.update_xaxes(title_text="frames", nticks=5, rangemode="tozero", **place)
        figure.update_yaxes(
            title_text=escape(title),
            type="log" if log else "linear",
            exponentformat=exponents(values),
            nticks=5,
            **({"dtick": 1} if log else {}),
            **place,
        )
    return plot(figure, plot_name, height)


def _is_time(name: str) -> bool:
    """Whether it says where the time of the actors or of the learner goes."""
    return name.startswith(("actor_", "learner_")) and name.endswith(("_share", "_ms"))


def _times(records: Sequence[Record]) -> str:
    """Where the time goes: of the actors in shares, of an update in milliseconds."""
    last = records[-1]
    titles = {
        name: name.replace("_", " ").replace(" ms", ", ms")
        for name in last
        if _is_time(name) and (name.endswith("_ms") or f"{name[:-6]}_ms" not in last)
    }
    if not titles:
        return ""
    said = paragraph("Where the time goes: shares of it, and milliseconds of an update.")
    return _multiples(records, titles, "times") + said


def lags(records: Sequence[Record]) -> tuple[list[float], list[float]]:
    """The mean policy lag at each record: since the one before, and since the start.

    A record with `record_updates` has that of so many updates; older ones have the mean since
    the start.
    """
    recent, whole = [], list[float]()
    total = weight = 0.0
    for record in records:
        lag = record["policy_lag_mean"]
        if "record_updates" in record:
            updates, added = record["record_updates"], lag * record["record_updates"]
        else:
            updates, added = record["updates"] - weight, lag * record["updates"] - total
        total, weight = total + added, weight + updates
        recent.append(max(0.0, added / max(updates, 1)))
        whole.append(total / max(weight, 1))
    return recent, whole


def throughput(records: Sequence[Record]) -> str:
    """Steps per second and policy lag between one record and the next."""
    recent_lags, whole_lags = lags(records)
    frames, rates, recent = [], [], []
    for (before, after), lag in zip(itertools.pairwise(records), recent_lags[1:], strict=True):
        seconds = after["wall_seconds"] - before["wall_seconds"]
        if seconds > 0 and after["updates"] > before["updates"]:
            frames.append(after["frames"])
            rates.append((after["steps"] - before["steps"]) / seconds)
            recent.append(lag)
    if not frames:
        return paragraph("Too few records yet for a curve.")
    figure, height = multiples(2, across=2, each=250)
    pairs = (
        ("steps/s", rates, [r["steps"] / max(r["wall_seconds"], 1e-9) for r in records]),
        ("policy lag, updates", recent, whole_lags),
    )
    for index, (title, values, whole) in enumerate(pairs):
        place = cell(index, across=2)
        figure.add_scatter(
            x=frames,
            y=values,
            mode="lines",
            name="since the record before",
            line={"color": FAINT, "width": 1.3},
            showlegend=index == 0,
            **place,
        )
        figure.add_scatter(
            x=[record["frames"] for record in records],
            y=whole,
            mode="lines",
            name="mean since the start",
            line={"color": ACCENT, "width": 2},
            showlegend=index == 0,
            **place,
        )
        figure.update_xaxes(title_text="frames", rangemode="tozero", **place)
        figure.update_yaxes(
            title_text=title, rangemode="tozero", exponentformat=exponents(values), **place
        )
    note = "Policy lag: updates between the weights that acted and those that learn from it."
    if "replayed_lag_mean" in records[-1]:
        note += " It is of fresh unrolls; what is replayed is older."
    return plot(figure, "throughput", height) + paragraph(note)


def counters(last: Record) -> str:
    """What should be small or nothing."""
    names = {
        "policy_lag_max": "highest policy lag, updates",
        "replayed_lag_mean": "mean policy lag of what was replayed, updates",
        "actor_restarts": "actors started again",
        "actors_hung": "of these, such that hung",
        "connections_refused": "connections refused",
        "actor_recovery_seconds_max": "longest recovery of an actor, s",
        "trajectories_dropped": "unrolls dropped",
        "messages_rejected": "messages rejected",
        "sessions": "sessions",
    }
    lately = {"replayed_lag_mean"} if "record_updates" in last else set()
    rows = [[text, last[name]] for name, text in names.items() if name in last.keys() - lately]
    return columns(table(["counter", "over the whole run"], rows), "")
