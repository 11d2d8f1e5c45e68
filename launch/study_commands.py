"""`veldt study`: what can be asked of a search over settings, and done with it afterwards."""

import csv
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from veldt.launch.console import Console
from veldt.launch.options import Json
from veldt.launch.replays import REPLAY, replay
from veldt.platform.errors import InputError

STATUS = "Example: veldt study status runs/quickstart"
EXTEND = "Example: veldt study extend runs/asha --top 5 --to 2_000_000"
study_app = typer.Typer(no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="The folder of a search over settings.")]


def _settings(folder: Path) -> Any:
    from veldt.launch.trials import settings_of

    return settings_of(folder)


@study_app.command(epilog=STATUS)
def status(folder: Folder, json: Json = False) -> None:
    """How far a search is; also while it runs."""
    from veldt.launch.trials import Trials

    trials = Trials(folder, _settings(folder))
    best = trials.best
    names = ("scored", "paused", "under way", "stopped", "waiting", "failed")
    counts = {f"trials_{name.replace(' ', '_')}": trials.count(name) for name in names}
    Console(json).summary(
        {
            "trials": len(trials.all),
            **counts,
            "best_trial": best.number if best else None,
            "best_score": best.score if best else None,
            "best_frames": best.frames if best else None,
            "steps": trials.steps,
            "working_seconds": round(trials.seconds, 3),
            "workers": trials.workers,
            "finished": (folder / "summary.json").exists(),
        },
        f"study: {folder}",
    )


@study_app.command(epilog="Example: veldt study top runs/quickstart --count 10")
def top(
    folder: Folder,
    count: Annotated[int, typer.Option(min=1, help="Trials to show.")] = 10,
    json: Json = False,
) -> None:
    """The best trials: those that came furthest, and of them the highest."""
    from veldt.launch.studies import trials_table
    from veldt.launch.trials import Trials

    settings, console = _settings(folder), Console(json)
    if json:
        shown = Trials(folder, settings).scored[:count]
        fields = ("number", "score", "frames", "point")
        rows = [{name: getattr(trial, name) for name in fields} for trial in shown]
        console.summary({"trials": rows}, "top")
    else:
        console.say(trials_table(folder, count))


@study_app.command(epilog=EXTEND)
def extend(
    folder: Folder,
    to: Annotated[str, typer.Option(help="Frames that they are to come to.")],
    top: Annotated[int, typer.Option(min=1, help="The best so many trials.")] = 5,
    workers: Annotated[int, typer.Option(min=1, help="Trials at a time.")] = 1,
    json: Json = False,
) -> None:
    """Have the best trials of a search go on from where they are, also if it is over.

    Then the best of them are validated and the winner proved again, all of that length; what
    was trained before is gone on with, and nothing is trained twice.
    """
    from veldt.launch import studies

    try:
        frames = int(to.replace("_", ""))
    except ValueError:
        raise InputError(f"--to {to}: expected a number of frames.") from None
    settings, console = _settings(folder), Console(json)
    title = f"{folder}, made longer"
    studies.run(
        settings,
        folder,
        resume=True,
        console=console,
        title=title,
        workers=workers,
        extend=(top, frames),
    )


@study_app.command(epilog="Example: veldt study export runs/quickstart > trials.csv")
def export(folder: Folder) -> None:
    """All trials as CSV: number, state, score, frames, parent, and every setting searched."""
    from veldt.launch.trials import Trials

    trials = Trials(folder, _settings(folder)).all.values()
    names = sorted({name for trial in trials for name in trial.point})
    writer = csv.writer(sys.stdout)
    head = ("number", "stage", "state", "score", "frames", "parent")
    writer.writerow([*head, "parent_frames", "attempts", "steps", "seconds", *names])
    for trial in trials:
        parent = trial.parent or ("", "")
        spent = (trial.summary.get("steps"), trial.summary.get("wall_seconds"))
        fixed = (trial.number, trial.stage, trial.state, trial.score, trial.frames, *parent)
        settings = [trial.point.get(name, "") for name in names]
        writer.writerow([*fixed, trial.attempts, *spent, *settings])


study_app.command(epilog=REPLAY)(replay)
