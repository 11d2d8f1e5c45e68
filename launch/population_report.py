"""The report of one population search."""

from pathlib import Path
from typing import Any

import numpy as np

from veldt.launch.console import duration, number
from veldt.launch.evaluation_report import evaluation
from veldt.launch.page import (
    code_name,
    facts,
    heading,
    page,
    paragraph,
    plural,
    section,
    settings_table,
    table,
)
from veldt.launch.population_curves import (
    Run,
    fitness,
    learning,
    read_run,
    speed,
    student_interval,
)
from veldt.platform.runs import read_json

Record = dict[str, Any]
ROWS = 1_000  # of the table of evaluations at most

LEARNING = (
    "Of the strategy's centre: whole episodes without noise, on fresh seeds each time, from which "
    "nothing is learnt. The band is Student's 95 % interval of the mean over these episodes; it "
    "says nothing of another seed of the search. Episodes and steps are the population's alone. "
    "Dotted lines are where the search was resumed."
)
FITNESS = (
    "What the strategy is told of its members: with their noise, and with whatever the problem "
    "adds to or takes from the return. The best member of many is the luckiest as well."
)
SPEED = (
    "Of all ranks together, from one generation's start to its end. Outside the environment is "
    "the share of that time which rank 0 does not spend in stepping it."
)
FINAL = (
    "The centre whose evaluation was best, on episodes that nothing was chosen by: the best of "
    "many evaluations is high by luck too, this one is not. The interval covers chance in the "
    "episodes, not in the search."
)


def population_report(folder: Path, document: dict[str, Any], command: str) -> str:
    """The page.

    Args:
        folder: The search's, finished or not.
        document: Its settings.json.
        command: Which asked for it, for the footer.
    """
    run = read_run(folder, document)
    sections = [
        _head(run),
        section("Learning curve", learning(run), paragraph(LEARNING)),
        *_final(run),
        section("Fitness of the generations", fitness(run), paragraph(FITNESS)),
    ]
    shown = speed(run)
    if shown:
        sections.append(section("Speed", shown, paragraph(SPEED)))
    if run.evaluations:
        sections.append(section("Evaluations", _evaluations(run)))
    sections.append(section("Settings", settings_table(run.settings)))
    title = f"{run.strategy} on {run.problem}"
    return page("Population search", title, _state(run), sections, command)


def _head(run: Run) -> str:
    """The figures to begin with: of the summary, or so far."""
    settings, summary = run.settings, run.summary or {}
    last = run.metrics[-1] if run.metrics else {}
    best = max(run.evaluations, key=lambda r: float(r["mean_return"]), default={})
    error = summary.get("evaluation_standard_error")
    episodes = summary.get("evaluation_episodes")
    spread = "" if error is None else f"± {number(error)} (standard error), "
    proof = f"{spread}{plural(episodes or 0, 'episode')}" if summary else "when the search is over"
    failed = summary.get("failed_evaluations", sum(r.get("failed") or 0 for r in run.metrics))
    lost = summary.get("lost_ranks", 0)
    seconds = summary.get("wall_seconds", last.get("wall_seconds", 0.0)) or 0.0
    steps = summary.get("steps", last.get("steps")) or 0
    version, commit = code_name(run.code)
    fingerprint = str((summary or last).get("fingerprint") or "")
    return facts(
        [
            ("problem", run.problem, str(settings["problem"].get("kind", ""))),
            ("strategy", run.strategy, ""),
            ("held-out mean return", summary.get("evaluation_mean_return"), proof),
            (
                "best evaluation",
                summary.get("best_score", best.get("mean_return")),
                f"generation {number(summary.get('chosen_generation', best.get('generation')))}",
            ),
            _crossing(run),
            *(
                (name, done or 0, f"of {number(limit)}" if limit else "")
                for name, done, limit in (
                    (
                        "generations",
                        summary.get("generations", last.get("generation")),
                        settings.get("generations"),
                    ),
                    (
                        "episodes",
                        summary.get("episodes", last.get("episodes")),
                        settings.get("episodes"),
                    ),
                    ("steps", steps, settings.get("steps")),
                )
            ),
            ("failed evaluations", failed, ""),
            (
                "ranks",
                summary.get("ranks", last.get("ranks")),
                f"{plural(lost, 'rank')} died" if lost else "",
            ),
            ("wall time", duration(seconds), f"{seconds:,.0f} s over all sessions"),
            ("speed", f"{steps / seconds:,.0f}" if seconds else None, "steps/s over all of it"),
            ("seed", str(settings["seed"]), ""),
            ("code", version, commit),
            ("fingerprint", fingerprint[:12] or None, "of the whole state, its first 12 digits"),
        ]
    )


def _crossing(run: Run) -> tuple[str, Any, str]:
    """When the threshold was reached, as a fact."""
    if run.threshold is None:
        return "threshold", None, "none was set"
    name = f"episodes to {number(run.threshold)}"
    first = next((r for r in run.evaluations if r["mean_return"] >= run.threshold), None)
    if first is None:
        return name, None, "not reached" if run.summary else "not reached so far"
    return name, first["episodes"], f"first evaluation there: {number(first['mean_return'])}"


def _state(run: Run) -> str:
    if run.summary is not None:
        return ""
    if not run.metrics:
        return "Nothing is recorded yet: the search has only begun, or came to nothing."
    done, parts = run.metrics[-1], []
    for name, key in (("generations", "generation"), ("episodes", "episodes"), ("steps", "steps")):
        limit = run.settings.get(name)
        if limit:
            parts.append(f"{number(done[key])} of {number(limit)} {name}")
    return (
        f"Not finished: {' and '.join(parts)} so far. The search is under way, or was "
        "interrupted; --resume goes on."
    )


def _evaluations(run: Run) -> str:
    """Every evaluation as a row, the chosen one marked."""
    best = (run.summary or {}).get("chosen_generation")
    rows, kinds = [], []
    for record in run.evaluations[-ROWS:]:
        bounds = student_interval(record) or (None, None)
        known = [value for value in record.get("returns") or [] if value is not None]
        rows.append(
            [
                record["generation"],
                record["episodes"],
                record["steps"],
                record["mean_return"],
                record.get("standard_error"),
                *bounds,
                float(np.median(known)) if known else None,
                min(known, default=None),
                max(known, default=None),
                record.get("wall_seconds"),
            ]
        )
        kinds.append("best" if record["generation"] == best else "")
    names = ["generation", "episodes", "steps", "mean return", "standard error"]
    names += ["95 % low", "95 % high", "median", "lowest", "highest", "wall seconds"]
    left = len(run.evaluations) - len(rows)
    note = paragraph(f"The last {len(rows)}; {left} earlier ones are in metrics.jsonl.")
    return table(names, rows, kinds=kinds, sortable=True) + (note if left else "")


def _final(run: Run) -> list[str]:
    """The evaluation of what the search came to, and that of `veldt evaluate`."""
    parts = []
    if run.final is not None and run.final.get("mean_return") is not None:
        parts += [paragraph(FINAL), evaluation(_whole(run.final), "final")]
    file = run.folder / "evaluation.json"
    if file.exists():
        again = read_json(file)
        if again.get("returns"):
            parts += [heading("Played again by veldt evaluate"), evaluation(again, "again")]
    return [section("Held-out evaluation", *parts)] if parts else []


def _whole(record: Record) -> Record:
    """A record of an evaluation as `evaluation.json` has it."""
    returns = [value for value in record["returns"] if value is not None]
    return {
        "returns": returns,
        "mean_return": record["mean_return"],
        "median_return": float(np.median(returns)),
        "min_return": min(returns),
        "max_return": max(returns),
        "episodes": len(returns),
    }
