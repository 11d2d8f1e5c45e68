"""The report of a search."""

from pathlib import Path
from typing import Any

from veldt.launch.console import duration, number
from veldt.launch.evaluation_report import evaluation
from veldt.launch.importance_plot import importance_plot
from veldt.launch.lineage_plot import lineages
from veldt.launch.page import (
    code_name,
    columns,
    facts,
    heading,
    page,
    paragraph,
    plural,
    section,
    settings_table,
    table,
)
from veldt.launch.proof_report import border, proof
from veldt.launch.race_report import race
from veldt.launch.replay_report import replays_section
from veldt.launch.replicates import Replicates, replicates
from veldt.launch.run_report import EVALUATION, learning
from veldt.launch.rung_plot import rungs
from veldt.launch.setting_axis import SettingAxis, short_names
from veldt.launch.study_plots import (
    curves,
    parallel_coordinates,
    score_by_setting,
    scores,
    timeline,
)
from veldt.launch.trials import Trials
from veldt.platform.records import read
from veldt.platform.runs import read_json
from veldt.search.settings import SearchSettings


def study_report(folder: Path, document: dict[str, Any], command: str) -> str:
    """The page.

    Args:
        folder: The study's.
        document: Its settings.json.
        command: Which asked for it, for the footer.

    Raises:
        SettingsError: if this version cannot read the study's settings.
    """
    settings = SearchSettings.parse(document["settings"])
    trials = Trials(folder, settings)
    axes = [SettingAxis(name, node) for name, node in settings.searched.nodes.items()]
    sections = [
        _head(trials, settings, document["code"]),
        section(
            "Winner" if trials.heldout else "Best trial", *_winner(folder, trials, settings, axes)
        ),
        section("Trained again on other seeds", race(trials, settings)),
        replays_section(folder),
        section("Trials by score", scores(trials, settings)),
        section("Rungs", rungs(trials)),
        section("Lineage", lineages(trials, axes)),
        section("Settings and scores", parallel_coordinates(trials, axes)),
        section("Score against each setting", score_by_setting(trials, axes)),
        section("Which settings matter", importance_plot(trials, settings)),
        section("Learning curves of the trials", curves(folder, trials, settings)),
        section("Who worked on what", timeline(trials)),
        section("All trials", _table(trials)),
        section("Settings", settings_table(document["settings"])),
    ]
    return page("Search", settings.work.title, _state(folder, trials), sections, command)


def _head(trials: Trials, settings: SearchSettings, code: dict[str, Any]) -> str:
    best, held = trials.best, replicates(trials.tests)
    version, commit = code_name(code)
    failed = trials.count("failed")
    stages = dict.fromkeys(trial.stage for trial in trials.all.values())
    return facts(
        [
            *((what, which, "") for what, which in settings.work.facts),
            ("best score", best.score if best else None, f"trial {best.number}" if best else ""),
            (f"held-out {settings.measure}", held.mean, _held(held)),
            ("trials", len(trials.scored) + failed, f"{number(failed)} failed"),
            (
                "stages",
                ", ".join(stages) or None,
                f"{plural(len(settings.space), 'setting')} searched",
            ),
            ("steps", trials.steps, "in all trainings that ended"),
            ("wall time", duration(trials.seconds), plural(trials.workers, "worker")),
            ("seed", str(settings.seed), ""),
            ("code", version, commit),
        ]
    )


def _held(found: Replicates) -> str:
    again = "of the winner, trained again"
    return f"{again} {len(found.scores)} times" if len(found.scores) > 1 else again


def _state(folder: Path, trials: Trials) -> str:
    if (folder / "summary.json").exists():
        return ""
    if trials.all and not trials.at_work and trials.count("failed") == len(trials.all):
        return "Finished without a winner: every trial failed."
    done = trials.count("scored") + trials.count("failed")
    if not trials.all:
        return "No trial has been asked for yet: the search has only begun."
    so_far = f"Not finished: {done} of {plural(len(trials.all), 'trial')} asked for so far done"
    so_far += f", {paused} paused" if (paused := trials.count("paused")) else ""
    if trials.proving:
        return f"{so_far}, the winner's own training under way (or the search was killed)."
    if trials.at_work:
        return f"{so_far}, {trials.count('under way')} under way (or the search was killed)."
    return f"{so_far}; the search was stopped. It goes on with --resume."


def _winner(
    folder: Path, trials: Trials, settings: SearchSettings, axes: list[SettingAxis]
) -> list[str]:
    best = trials.best
    if best is None:
        return [paragraph("No trial has a score" + (" yet." if trials.at_work else "."))]
    meanings = {axis.name: axis.meaning for axis in axes}
    rows = [[name, str(found), meanings.get(name, "")] for name, found in best.point.items()]
    chosen = table(["setting", "value", "searched over"], rows)
    path = folder / "summary.json"
    summary = read_json(path) if path.exists() else None
    parts = [
        columns(proof(best, trials, settings), heading("Its settings") + chosen + border(summary))
    ]
    folder = folder / trials.winner_name
    records = read(folder)
    if records:
        parts += [heading("Its own training, on a fresh seed"), learning(records, "winner-curve")]
    if (folder / "evaluation.json").exists():
        result = read_json(folder / "evaluation.json")
        parts += [heading("Evaluated once more, with veldt evaluate"), paragraph(EVALUATION)]
        parts += [evaluation(result, "winner-evaluation")]
    return parts


def _table(trials: Trials) -> str:
    """Best first, then those under way, then those that failed."""
    unscored = [trial for trial in trials.all.values() if trial.score is None]
    order = trials.scored + sorted(unscored, key=lambda t: (t.state == "failed", t.number))
    settings = sorted({name for trial in order for name in trial.point})
    reasons = any(trial.reason for trial in order)
    names = ["trial", "stage", "state", "score", "attempts", "steps", "training, s"]
    names += ["last failure"] * reasons + list(short_names(settings).values())
    rows = [
        [
            *(trial.number, trial.stage, trial.state, trial.score, trial.attempts),
            *(trial.summary.get("steps"), trial.summary.get("wall_seconds")),
            *[trial.reason] * reasons,
            *(trial.point.get(name) for name in settings),
        ]
        for trial in order
    ]
    kinds = {"scored": "", "failed": "failed"}
    marks = ["best" if trial is trials.best else kinds.get(trial.state, "open") for trial in order]
    text = paragraph("A click on a column's name sorts by it, a second one the other way.")
    return text + table(names, rows, kinds=marks, sortable=True) if rows else ""
