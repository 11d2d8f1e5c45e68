"""The part of a study's report on replays: what a schedule comes to on fresh seeds."""

from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import rich.table

from veldt.launch.console import number
from veldt.launch.page import heading, paragraph, plural, section, table
from veldt.launch.plots import ACCENT, INK, plot
from veldt.launch.replicates import Replicates
from veldt.platform.runs import read_json
from veldt.search.replay import SUMMARY

HEAD = ("", "mean score", "95 % interval (Student)", "trainings")


def found(summary: dict[str, Any]) -> dict[str, Any]:
    """The numbers that a command prints."""
    played, held = _replays(summary), Replicates(tuple(summary["heldout"]))
    return {
        "trial": summary["trial"],
        "member": summary["member"],
        "legs": len(summary["legs"]),
        "frames": summary["frames"],
        "population_score": summary["score"],
        "replays": len(played.scores),
        "failed_replays": sum(bool(one["reason"]) for one in summary["replays"]),
        "replay_mean": played.mean,
        "replay_interval": _listed(played),
        "heldout_mean_return": held.mean,
        "heldout_interval": _listed(held),
        "same_weights": summary["same_weights"],
    }


def replays_table(summary: dict[str, Any]) -> rich.table.Table:
    """Beside each other: in the population, replayed, and held out."""
    made = rich.table.Table(title=f"trial {summary['trial']}", title_justify="left")
    for name in HEAD:
        made.add_column(name, justify="left" if not name else "right")
    for row in _rows(summary):
        made.add_row(*map(number, row), end_section=bool(_apart(summary)) and not made.row_count)
    made.caption = _apart(summary) or None
    return made


def _apart(summary: dict[str, Any]) -> str:
    """Why the score in the population does not compare with the rest; nothing if it does."""
    tuning, proof = summary.get("policies") or ("", "")
    if tuning == proof:
        return ""
    return (
        f"In the population it was evaluated with actions by {tuning!r}, replayed and held out by "
        f"{proof!r}: the two do not compare."
    )


def replays_section(folder: Path) -> str:
    """Of a study's report; nothing if nothing was replayed."""
    files = sorted((folder / "replays").glob(f"*/{SUMMARY}"))
    return section("Replays", *(_replayed(read_json(file)) for file in files))


def _replayed(summary: dict[str, Any]) -> str:
    legs, trial = summary["legs"], summary["trial"]
    text = (
        f"What trial {trial} and its {plural(len(legs) - 1, 'ancestor')} were trained with, one "
        f"after another, from the beginning to {summary['frames']:,} frames, on seeds that "
        "nothing was chosen by. Its score in the population is that of the luckiest of many; "
        "held out are trainings with its last settings throughout."
    )
    if _apart(summary):
        text += f" {_apart(summary)}"
    if summary["heldout_settings"]:
        text += " They differ by heldout.settings too, which replays do without."
    if summary["same_weights"] is not None:
        text += " Trained once more on the seeds that they had, it came to " + (
            "the same weights, bit by bit." if summary["same_weights"] else "OTHER weights."
        )
    failed = [one for one in summary["replays"] if one["reason"]]
    lost = "".join(
        paragraph(f"The replay on seed {one['replay']} came to nothing: {one['reason']}.")
        for one in failed
    )
    names = sorted({name for leg in legs for name in leg["point"]})
    schedule = [
        [
            leg["trial"],
            f"{leg['begin']:,} to {leg['end']:,}",
            *(leg["point"].get(n) for n in names),
        ]
        for leg in legs
    ]
    rows, kinds = _rows(summary), ["", "best", ""]
    tables = table(HEAD, rows, kinds=kinds)
    if _apart(summary):
        tables = table(HEAD, rows[:1]) + table(HEAD, rows[1:], kinds=kinds[1:])
    return (
        heading(f"Trial {trial}")
        + paragraph(text)
        + tables
        + lost
        + _curves(summary)
        + heading("Its schedule")
        + table(["trial", "frames", *names], schedule, sortable=True)
    )


def _rows(summary: dict[str, Any]) -> list[list[Any]]:
    played, held = _replays(summary), Replicates(tuple(summary["heldout"]))
    count, tried = len(played.scores), len(summary["replays"])
    done = number(count) if count == tried else f"{count} of {tried}"
    return [
        ["in the population", number(summary["score"]), None, "1"],
        ["replayed on fresh seeds", number(played.mean), played.text, done],
        ["held out: its last settings", number(held.mean), held.text, number(len(held.scores))],
    ]


def _curves(summary: dict[str, Any]) -> str:
    """Scores at the ends of the legs, beside those along the lineage."""
    figure = go.Figure()
    for one in summary["replays"]:
        figure.add_scatter(
            x=[frames for frames, _ in one["scores"]],
            y=[score for _, score in one["scores"]],
            mode="lines+markers",
            name="replays",
            legendgroup="replays",
            showlegend=one is summary["replays"][0],
            line={"color": ACCENT, "width": 1.2},
            marker={"size": 4},
            opacity=0.7,
        )
    figure.add_scatter(
        x=[frames for frames, _ in summary["scores"]],
        y=[score for _, score in summary["scores"]],
        mode="lines+markers",
        name="in the population",
        line={"color": INK, "width": 2, "dash": "dot"},
        marker={"size": 5},
    )
    figure.update_xaxes(title_text="frames")
    figure.update_yaxes(title_text="score")
    return plot(figure, f"replays-{summary['trial']}-{summary['frames']}", 340)


def _replays(summary: dict[str, Any]) -> Replicates:
    done = (one["score"] for one in summary["replays"])
    return Replicates(tuple(score for score in done if score is not None))


def _listed(found: Replicates) -> list[float] | None:
    return None if found.interval is None else list(found.interval)
