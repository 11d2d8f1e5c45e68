"""The page of a comparison of losses: how agents learn by each, and what the learned one asks."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from veldt.agents.lives.closed_form import ClosedForm, read_off
from veldt.agents.lives.contest import Record
from veldt.agents.lives.drift import ALPHA, BETA
from veldt.agents.lives.loss_file import Frozen
from veldt.agents.lives.response import drift_response, loss_response
from veldt.agents.lives.settings import LifeSettings
from veldt.agents.lives.vtrace_loss import by_name
from veldt.launch.console import number
from veldt.launch.page import page, paragraph, section, settings_table, table
from veldt.launch.plots import SERIES, plot

BY_AREA = "_by_area"
NAMES = {
    "epg": "evolved loss",
    "ppo": "PPO",
    "policy_gradient": "policy gradient",
    "unevolved": "un-evolved loss",
    "no_reward": "evolved loss, no rewards",
    "random": "not learning",
    "dpo": "DPO",
    "epg_fresh": "evolved loss, fresh first weights",
    "first_policy": "evolved first weights, not learning",
    "epg_as_lived": "evolved loss, settings of its lives",
    "ppo_as_lived": "PPO, settings of those lives",
}
OTHERS = {
    "longer_4": "evolved loss, lives 4 times as long",
    "longer_8": "evolved loss, lives 8 times as long",
    "epg_right": "evolved loss, tasks to the right",
    "random_right": "not learning, tasks to the right",
    "epg_left": "evolved loss, tasks to the left",
    "random_left": "not learning, tasks to the left",
    "epg_all": "evolved loss, tasks everywhere",
    "no_reward_all": "evolved loss, no rewards, tasks everywhere",
    "unevolved_all": "un-evolved loss, tasks everywhere",
    "random_all": "not learning, tasks everywhere",
    "fixed_right": "policy trained on the right and fixed, tasks to the right",
    "fixed_left": "policy trained on the right and fixed, tasks to the left",
}
WORDS = NAMES | OTHERS
WORDS |= {f"{name}{BY_AREA}": f"{words}, best for the area" for name, words in NAMES.items()}
REWARD = "reward of a step"
EPISODE = "return of the episodes that ended"  # where they end by what agents do
REWARDS = np.linspace(-2.0, 2.0, 17)
LOG_RATIOS = np.linspace(-1.0, 1.0, 21)
SIGMAS = 1.96  # of a normal 95 % interval


PAIRS = (
    ("", "epg", "ppo"),
    ("policy_gradient_", "epg", "policy_gradient"),
    ("dpo_", "epg", "dpo"),
    ("as_lived_", "epg_as_lived", "ppo_as_lived"),
    ("fresh_", "epg", "epg_fresh"),
    ("first_policy_random_", "first_policy", "random"),
    ("unevolved_", "epg", "unevolved"),
    ("random_", "epg", "random"),
    ("no_reward_random_", "no_reward", "random"),
    ("unevolved_random_", "unevolved", "random"),
    ("epg_all_random_", "epg_all", "random_all"),
    ("no_reward_all_random_", "no_reward_all", "random_all"),
    ("unevolved_all_random_", "unevolved_all", "random_all"),
    ("longer_4_", "longer_4", "epg"),
    ("longer_8_", "longer_8", "epg"),
    ("right_fixed_", "epg_right", "fixed_right"),
    ("left_fixed_", "epg_left", "fixed_left"),
    ("fixed_left_random_", "fixed_left", "random_left"),
)


def by_area(name: str) -> str:
    """The name of the same loss with the settings of the grid that are best for the area."""
    return f"{name}{BY_AREA}"


def pairs(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What is compared: the prefix of its keys in a result, one loss and another.

    Args:
        found: The records by name, or a result.
    """
    there = {name.removesuffix("_return") for name in found}
    return [(prefix, a, b) for prefix, a, b in PAIRS if {a, b} <= there]


def write(
    path: Path,
    result: Mapping[str, Any],
    records: Mapping[str, Record],
    frozen: Frozen,
    life: LifeSettings,
) -> Path:
    """Writes the page; returns its path."""
    rows: list[Sequence[Any]] = []
    for name, record in records.items():
        settings = ", ".join(f"{k} {number(v)}" for k, v in record.settings.items())
        error = record.returns.std(ddof=1) / len(record.returns) ** 0.5
        rows.append(
            [
                WORDS[name],
                f"{number(float(record.returns.mean()))} ± {number(float(error))}",
                number(float(record.areas.mean())),
                settings,
            ]
        )
    learnt = section(
        "How agents learn",
        _curves(records, life.steps, result["area_of"]),
        paragraph("Means over lives with 95 % intervals; all losses lived the same lives."),
        table(
            ["loss", "return of the final policy", result["area_of"], "of the grid"],
            rows,
        ),
        _differences(result),
    )
    asked = {"epg": _loss, "drift": _drift, "v-trace": _coefficients}[frozen.settings.kind](frozen)
    provenance = section("Where it comes from", settings_table(frozen.provenance, "The search"))
    title = f"A learned loss on {life.environment.id}"
    sections, command = [learnt, asked, provenance], f"veldt bench epg {path.parent}"
    path.write_text(page("comparison of losses", title, "", sections, command))
    return path


def _curves(records: Mapping[str, Record], steps: int, of: str) -> str:
    figure = go.Figure()
    for (name, words), colour in zip(NAMES.items(), itertools.cycle(SERIES)):
        if name not in records:
            continue
        curve = records[name].curve
        mean = curve.mean(0)
        half = SIGMAS * curve.std(0, ddof=1) / len(curve) ** 0.5
        x = (steps * np.arange(1, len(mean) + 1)).tolist()
        figure.add_scatter(
            x=[*x, *x[::-1]],
            y=[*(mean + half).tolist(), *(mean - half)[::-1].tolist()],
            mode="lines",
            fill="toself",
            fillcolor=colour,
            opacity=0.18,
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(x=x, y=mean.tolist(), mode="lines", name=words, line={"color": colour})
    figure.update_xaxes(title_text="steps that an agent has lived")
    figure.update_yaxes(title_text=of)
    return plot(figure, "learning", 380)


def _differences(result: Mapping[str, Any]) -> str:
    rows = []
    for prefix, one, other in pairs(result):
        row = [f"{WORDS[one]} less {WORDS[other]}"]
        for what in ("difference", "area_difference"):
            mean, low, high = (number(result[f"{prefix}{what}{e}"]) for e in ("", "_low", "_high"))
            row.append(f"{mean} ({low} to {high})")
        rows.append(row)
    head = ["paired, with 95 % intervals", "return of the final policy", result["area_of"]]
    return table(head, rows)


def _loss(frozen: Frozen) -> str:
    found = loss_response(frozen, REWARDS, LOG_RATIOS)
    words = (
        "One step of real lives is changed at a time. Where a row falls towards the right, the "
        "loss asks for more of what was done at that reward; 0 is the policy as it is."
    )
    return section(
        "What the loss asks for",
        _map(found, "reward of the step", REWARDS, "response", "change of the loss"),
        paragraph(words),
    )


def _drift(frozen: Frozen) -> str:
    evolved, closed = drift_response(frozen, REWARDS, LOG_RATIOS)
    form, label = read_off(evolved, REWARDS, LOG_RATIOS), "advantage"
    dpo = {"a": 1.0, "alpha": ALPHA, "b": 1.0, "beta": BETA}
    rows = [[name, number(getattr(form, name)), number(value)] for name, value in dpo.items()]
    error = number(form.residual)
    words = (
        "The closed form with a scale for each side, fitted to the evolved drift by least "
        "squares: a relu(g - alpha tanh(g / alpha)) with g = (r - 1) A where A >= 0, else the "
        "same of b and beta with A log r. What it leaves of the drift, the root of the mean "
        f"square, is {error} of the drift's."
    )
    return section(
        "What holds the policy back",
        _map(evolved, label, REWARDS, "evolved", "the evolved drift"),
        _map(form.drift(REWARDS, LOG_RATIOS), label, REWARDS, "fitted", "the form read off it"),
        table(["coefficient", "read off", "DPO"], rows),
        paragraph(words),
        _map(closed, label, REWARDS, "closed", "the closed form of DPO"),
    )


def closed_form(frozen: Frozen) -> ClosedForm:
    """What is read off an evolved drift."""
    return read_off(drift_response(frozen, REWARDS, LOG_RATIOS)[0], REWARDS, LOG_RATIOS)


def _coefficients(frozen: Frozen) -> str:
    evolved, plain = by_name(frozen.parameters), by_name(np.zeros_like(frozen.parameters))
    rows = [[name, number(evolved[name]), number(plain[name])] for name in plain]
    return section("What was chosen", table(["coefficient", "evolved", "plain loss"], rows))


def _map(values: NDArray[Any], label: str, at: NDArray[np.float64], name: str, words: str) -> str:
    most = float(np.abs(values).max()) or 1.0
    figure = go.Figure(
        go.Heatmap(
            x=np.exp(LOG_RATIOS).tolist(),
            y=at.tolist(),
            z=values.tolist(),
            zmin=-most,
            zmax=most,
            colorscale="RdBu",
            colorbar={"title": {"text": words}},
        )
    )
    figure.update_xaxes(title_text="probability of the action, by the policy's", type="log")
    figure.update_yaxes(title_text=label)
    return plot(figure, name, 360)
