"""The part of a search's report on the race of its finalists, on seeds that none was tuned on."""

import plotly.graph_objects as go

from veldt.launch.console import number
from veldt.launch.page import escape, paragraph, table
from veldt.launch.plots import BAD, FAINT, INK, SERIES, SOFT, plot
from veldt.launch.replicates import Replicates, drop_outs, replicates, validations
from veldt.launch.trials import Trials
from veldt.search.proving import ROUNDS
from veldt.search.settings import SearchSettings

TESTED = SERIES[2]
DRAWN = 40  # finalists, in the plot


def race(trials: Trials, settings: SearchSettings) -> str:
    """All finalists on their validation seeds, and the winner on its test seeds; nothing if
    nobody was trained more than once."""
    view, best = trials.view, trials.best
    found = validations(view)
    tested = trials.tests
    if best is None or (not found and len(tested) < 2):
        return ""
    means = {trial: replicates(bodies) for trial, bodies in found.items()}
    out = drop_outs(
        {trial: [body["score"] for body in bodies] for trial, bodies in found.items()},
        settings.heldout.validations,
    )
    order = sorted(found, key=lambda t: (t != best.number, t in out, -(means[t].mean or -1e300)))
    columns = [*order[:DRAWN]] if found else [best.number]
    note = "Light points are trainings, on validation seeds; dark ones with a bar the mean and "
    note += "its 95 % interval (Student's, over trainings)"
    note += "; a rhombus is the score a trial was chosen for." if found else "."
    if len(order) > DRAWN:
        note += f" The best {DRAWN} of {len(order)} finalists are drawn."
    parts = [
        _race_plot(trials, columns, means, replicates(tested), set(out), settings.measure),
        paragraph(note),
    ]
    if found:
        parts.append(_race_table(trials, order, means, out))
    return "".join(parts)


def _race_table(
    trials: Trials, order: list[int], means: dict[int, Replicates], out: dict[int, int]
) -> str:
    best = trials.best
    rows, kinds = [], []
    for trial in order:
        mine, score = means[trial], trials.all[trial].score
        mean = mine.mean
        fate = f"dropped out after {out[trial]}" if trial in out else "to the end"
        fate = "won" if trials.heldout and best and trial == best.number else fate
        failed = [mine.failed] if any(m.failed for m in means.values()) else []
        less = None if mean is None or score is None else score - mean
        rows.append([trial, score, len(mine.scores), *failed, mean, mine.text, less, fate])
        kinds.append("best" if fate == "won" else "open" if trial in out else "")
    names = ["trial", "score", "validations", "failed", "mean", "95 % interval", "score - mean"]
    names = [name for name in names if name != "failed" or any(m.failed for m in means.values())]
    note = ""
    if out:
        note = paragraph(
            f"After {ROUNDS} validations of each and more, those drop out whose mean is below "
            "the leader's by more than two standard errors of the difference."
        )
    return table([*names, "in the race"], rows, kinds=kinds) + note


def _race_plot(
    trials: Trials,
    columns: list[int],
    means: dict[int, Replicates],
    test: Replicates,
    out: set[int],
    measure: str,
) -> str:
    best = trials.best
    names = [f"trial {trial}" for trial in columns]
    figure = go.Figure()
    groups = [
        (name, means[trial], BAD if trial in out else SERIES[0])
        for name, trial in zip(names, columns, strict=True)
        if trial in means
    ]
    if test.scores and best is not None:
        names.append(f"trial {best.number},<br>test seeds")
        groups.append((names[-1], test, TESTED))
    figure.add_scatter(
        x=[name for name, group, _ in groups for _ in group.scores],
        y=[score for _, group, _ in groups for score in group.scores],
        mode="markers",
        marker={"size": 7, "color": FAINT, "line": {"width": 1, "color": SOFT}},
        name="a training",
        hovertemplate="%{x}: %{y:.5g}<extra></extra>",
    )
    kinds = {SERIES[0]: "mean", BAD: "mean of one that dropped out", TESTED: "mean on test seeds"}
    for colour, label in kinds.items():
        some = [(name, group) for name, group, c in groups if c == colour and group.scores]
        if some:
            halves = [(g.interval[1] - g.interval[0]) / 2 if g.interval else 0.0 for _, g in some]
            figure.add_scatter(
                x=[name for name, _ in some],
                y=[group.mean for _, group in some],
                error_y={"type": "data", "array": halves, "thickness": 1.6, "width": 6},
                mode="markers",
                marker={"size": 10, "color": colour, "symbol": "square"},
                name=label,
                hovertext=[escape(f"mean {number(g.mean)}, {g.text}") for _, g in some],
                hoverinfo="text",
            )
    chosen = [(n, trials.all[t].score) for n, t in zip(names, columns, strict=False)]
    figure.add_scatter(
        x=[name for name, _ in chosen],
        y=[score for _, score in chosen],
        mode="markers",
        marker={"size": 11, "symbol": "diamond-open", "color": INK, "line": {"width": 1.6}},
        name="score it was chosen for",
        hovertemplate="%{x}: score %{y:.5g}<extra></extra>",
    )
    figure.update_xaxes(categoryorder="array", categoryarray=names, type="category")
    figure.update_yaxes(title_text=measure)
    return plot(figure, "race", 400, width=70 * len(names))
