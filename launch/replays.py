"""`veldt study replay`: a trial's schedule of settings trained again, on seeds of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veldt.launch.console import Console, number
from veldt.launch.options import Json
from veldt.platform.errors import InputError
from veldt.platform.runs import read_json

if TYPE_CHECKING:
    from veldt.search.settings import SearchSettings
    from veldt.search.trial import Outcome
    from veldt.search.view import Trial, View

REPLAY = "Example: veldt study replay runs/pbt --seeds 5 --workers 2"


def replay(
    folder: Annotated[Path, typer.Argument(help="The folder of a search over settings.")],
    member: Annotated[
        int | None, typer.Option(min=0, help="What this member of the population came to.")
    ] = None,
    trial: Annotated[int | None, typer.Option(min=0, help="This trial.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings, on as many fresh seeds.")] = 5,
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 1,
    own_seeds: Annotated[
        bool,
        typer.Option(
            "--own-seeds",
            help="Once, on the seeds it had, and say whether the same weights come of it.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Train the winner's schedule of settings again from the beginning, on fresh seeds.

    A member of a population took over from others, and its settings changed on the way: each of
    its ancestors' settings is trained as long as it was theirs, one after another. The same
    command goes on with what was stopped or killed.
    """
    from veldt.launch.ranks import on_ranks
    from veldt.launch.replay_report import found, replays_table
    from veldt.launch.report import write
    from veldt.launch.trials import Trials, settings_of
    from veldt.search import replay as replays
    from veldt.search.supervisor import Supervisor

    settings = settings_of(folder)
    view = Trials(folder, settings).view
    plan = replays.Replay(settings, folder, view, _chosen(settings, folder, view, member, trial))
    if own_seeds and not settings.settings_of(plan.trial.point, 0).deterministic:
        raise InputError(
            "--own-seeds: train.deterministic is false, so the same seeds do not make the same "
            "weights."
        )
    console = Console(json)
    supervisors = [Supervisor() for _ in range(workers)]

    def say(number_: int, leg: int, legs: int, outcome: "Outcome") -> None:
        name = "own seeds" if number_ == replays.OWN else f"seed {number_}"
        what = (
            f"came to nothing: {outcome.reason}"
            if outcome.score is None
            else f"score {number(outcome.score):>8}  {outcome.frames:>12,} frames"
        )
        console.say(f"{name:>9}  leg {leg + 1:>3} of {legs}  {what}")

    def work(ranks: Any, stop: Callable[[], bool]) -> None:
        if ranks.rank == 0:
            console.say(
                f"replaying trial {plan.trial.number} in {plan.folder}: {len(plan.legs)} leg(s) "
                f"to {plan.trial.frames:,} frames; stopped at any time, the same command goes on"
            )
        summary = replays.replay(
            plan,
            [replays.OWN] if own_seeds else range(seeds),
            ranks,
            supervisors,
            retries=settings.trial.retries,
            report=say,
            stop=stop,
        )
        if summary is None:
            return
        values = found(summary)
        console.say(replays_table(summary))
        path = write(folder, folder / "report.html")
        console.summary(values | {"report": str(path)}, f"replay: {plan.folder}")

    on_ranks(work)


def _chosen(
    settings: "SearchSettings", folder: Path, view: "View", member: int | None, trial: int | None
) -> "Trial":
    """Whose schedule is played: the winner's, unless somebody else is named."""
    from veldt.search.schedulers.pbt import members

    if member is not None and trial is not None:
        raise InputError("--member and --trial: name one of them.")
    if member is not None:
        line = members(view)
        if not settings.build_scheduler().forks:
            raise InputError("--member is for populations (pbt); of other studies name a --trial.")
        if member not in line:
            raise InputError(f"--member {member}: there are members 0 to {max(line, default=0)}.")
        scored = [trial for trial in line[member] if trial.scores]
        if not scored:
            raise InputError(f"--member {member}: it has no score yet.")
        return scored[-1]
    if trial is None:
        if not (folder / "summary.json").exists():
            raise InputError(
                f"{folder}: the search is not over, so there is no winner yet; go on with it "
                "(--resume), or name a --trial or a --member."
            )
        trial = int(read_json(folder / "summary.json")["best_trial"])
    if trial not in view.trials or not view.trials[trial].scores:
        raise InputError(f"--trial {trial}: none with a score; see `veldt study top {folder}`.")
    return view.trials[trial]
