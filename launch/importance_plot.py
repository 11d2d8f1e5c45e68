"""The part of a search's report on which settings its scores hang on."""

import functools

import plotly.graph_objects as go

from veldt.launch.console import number
from veldt.launch.page import escape, paragraph, plural
from veldt.launch.plots import ACCENT, FAINT, INK, plot
from veldt.launch.trials import Trials
from veldt.search.importance import ENOUGH, Importance, importance
from veldt.search.settings import SearchSettings
from veldt.search.space.tree import Scalar, Tree
from veldt.search.view import Trial, View

SHOWN = 20  # settings, the most important ones


def importance_plot(trials: Trials, settings: SearchSettings) -> str:
    """A bar for each setting, and where chance ends; a sentence where there are too few trials."""
    if not trials.scored:
        return ""
    frames, there = compared(trials.view)
    answers = tuple((tuple(t.point.items()), t.scores[frames]) for t in there)
    found = _importance(settings.searched.tree, answers)
    if isinstance(found, str):
        return paragraph(f"Which settings the scores hang on cannot be said yet. {found}")
    shown = dict(list(found.shares.items())[:SHOWN])
    figure = go.Figure(
        go.Bar(
            x=list(shown.values()),
            y=[escape(name) for name in shown],
            orientation="h",
            marker={"color": [ACCENT if s > found.chance else FAINT for s in shown.values()]},
            text=[f"{share:.0%}" for share in shown.values()],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_vline(found.chance, line={"color": INK, "width": 1.3, "dash": "dot"})
    figure.add_annotation(
        x=found.chance, y=1, yref="paper", yanchor="bottom", text="by chance", showarrow=False
    )
    highest = max(found.chance, *shown.values())
    figure.update_xaxes(title_text="share of the importance", tickformat=".0%")
    figure.update_xaxes(range=[0.0, 1.12 * highest])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    beyond = [name for name, share in shown.items() if share > found.chance]
    note = (
        f"PED-ANOVA: how differently the best {found.best} of {number(found.trials)} trials of "
        f"{number(frames)} frames are spread over a setting than all of them are. With the "
        "scores dealt out anew 20 times, no setting came beyond the dotted line"
    )
    note += f"; beyond it here: {', '.join(beyond)}." if beyond else ", and none does here."
    if len(found.shares) > SHOWN:
        note += f" {plural(len(found.shares) - SHOWN, 'other setting')} matter less."
    height = 110 + 30 * len(shown)
    return plot(figure, "importance", height) + paragraph(note)


def compared(view: View) -> tuple[int, list[Trial]]:
    """(frames, trials with a score there): the longest that enough trials came to, else the one
    that the most came to."""
    there: dict[int, list[Trial]] = {}
    for trial in view.trials.values():
        for frames in trial.scores:
            # A fork's score is its parent's work too.
            there.setdefault(frames, []).extend([trial] if trial.parent is None else [])
    enough = [frames for frames, some in there.items() if len(some) >= ENOUGH]
    frames = max(enough) if enough else max(there, key=lambda f: (len(there[f]), f))
    return frames, there[frames]


@functools.lru_cache(maxsize=4)
def _importance(
    space: Tree, answers: tuple[tuple[tuple[tuple[str, Scalar], ...], float], ...]
) -> Importance | str:
    """A live page asks again and again."""
    return importance(space, [(dict(point), score) for point, score in answers])
