"""The report of a search."""

from pathlib import Path
from typing import Any

from veldt.launch.console import duration, number
from veldt.launch.evaluation_report import evaluation, histogram, interval_text
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
from veldt.launch.replay_report import replays_section
from veldt.launch.run_report import EVALUATION, learning
from veldt.launch.setting_axis import SettingAxis, short_names
from veldt.launch.study_plots import (
    curves,
    parallel_coordinates,
    score_by_setting,
    scores,
    timeline,
)
from veldt.launch.trials import Trial, Trials
from veldt.platform.records import read
from veldt.platform.runs import differences, read_json
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
    train = settings.settings_of(settings.searched.corners()[0], 0)
    axes = [SettingAxis(name, node) for name, node in settings.searched.nodes.items()]
    sections = [
        _head(trials, settings, document["code"], train.environment.label, train.agent.name),
        section(
            "Winner" if trials.heldout else "Best trial", *_winner(folder, trials, settings, axes)
        ),
        replays_section(folder),
        section("Trials by score", scores(trials)),
        section("Settings and scores", parallel_coordinates(trials, axes)),
        section("Score against each setting", score_by_setting(trials, axes)),
        section("Learning curves of the trials", curves(folder, trials)),
        section("Who worked on what", timeline(trials)),
        section("All trials", _table(trials)),
        section("Settings", settings_table(document["settings"])),
    ]
    title = f"{train.agent.name} on {train.environment.label}"
    return page("Search", title, _state(folder, trials), sections, command)


def _head(
    trials: Trials, settings: SearchSettings, code: dict[str, Any], environment: str, agent: str
) -> str:
    best, held = trials.best, (trials.heldout or {}).get("evaluation", {})
    version, commit = code_name(code)
    failed = trials.count("failed")
    stages = dict.fromkeys(trial.stage for trial in trials.all.values())
    return facts(
        [
            ("environment", environment, ""),
            ("agent", agent, ""),
            ("best score", best.score if best else None, f"trial {best.number}" if best else ""),
            ("held-out mean return", held.get("mean_return"), "of the winner, trained again"),
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


def _state(folder: Path, trials: Trials) -> str:
    if (folder / "summary.json").exists():
        return ""
    if trials.all and not trials.at_work and trials.count("failed") == len(trials.all):
        return "Finished without a winner: every trial failed."
    done = trials.count("scored") + trials.count("failed")
    if not trials.all:
        return "No trial has been asked for yet: the search has only begun."
    so_far = f"Not finished: {done} of {plural(len(trials.all), 'trial')} asked for so far done"
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
    parts = [columns(_proof(best, trials, settings), heading("Its settings") + chosen)]
    folder = folder / trials.winner_name
    records = read(folder)
    if records:
        parts += [heading("Its own training, on a fresh seed"), learning(records, "winner-curve")]
    if (folder / "evaluation.json").exists():
        result = read_json(folder / "evaluation.json")
        parts += [heading("Evaluated once more, with veldt evaluate"), paragraph(EVALUATION)]
        parts += [evaluation(result, "winner-evaluation")]
    return parts


def _proof(best: Trial, trials: Trials, settings: SearchSettings) -> str:
    """The score the winner was chosen for beside its held-out evaluation."""
    names = ["", "mean return", "95 % interval (bootstrap)", "episodes"]
    rows = [[f"score of trial {best.number}", *_result(best.evaluation)]]
    rows += [
        [f"validation {index + 1}", *_result(body["evaluation"])]
        for index, body in enumerate(trials.validations.get(best.number, []))
        if body["score"] is not None
    ]
    title = heading("Chosen and held out")
    if trials.heldout is None:
        text = "It has not been trained again on a fresh seed yet: its score is partly luck."
        if trials.winner_reason:
            text = f"It could not be trained again on a fresh seed: {trials.winner_reason}"
        return title + table(names, rows) + paragraph(text)
    held = trials.heldout["evaluation"]
    rows.append(["held out: trained again", *_result(held)])
    difference = (best.score or 0.0) - held["mean_return"]
    rows.append(["difference", number(difference), None, None])
    return (
        title
        + table(names, rows, kinds=[*[""] * (len(rows) - 2), "best", ""])
        + paragraph(_optimism(best, len(trials.scored), settings))
        + heading("Its held-out episodes")
        + histogram(held["returns"], "heldout")
    )


def _result(found: dict[str, Any]) -> list[Any]:
    returns = found["returns"]
    return [number(found["mean_return"]), interval_text(returns), number(len(returns))]


def _optimism(best: Trial, count: int, settings: SearchSettings) -> str:
    heldout = settings.heldout
    among = (
        f"The {heldout.finalists} best trials were trained again, {heldout.validations} times "
        "each, and the highest mean won. "
        if heldout.finalists > 1
        else ""
    )
    text = (
        f"The winner was chosen among {count} scores, so its own is partly luck. {among}Then it "
        "was trained on a seed that nothing was chosen by, and evaluated on fresh episodes; the "
        "difference from its score is the optimism of the selection, from one training each. The "
        "intervals cover chance in the episodes, not in the training."
    )
    changed = differences(
        settings.settings_of(best.point, 0).dump(),
        settings.settings_of(best.point, 0, settings.heldout.settings).dump(),
    )
    if changed:
        text += (
            f" The held-out training also differs by heldout.settings ({'; '.join(changed)}), so "
            "the difference holds the effect of that too."
        )
    return text


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
