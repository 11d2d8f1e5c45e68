"""Every scheduler replayed on a recorded landscape, in virtual time.

    python -P -m veldt.launch.schedule_comparison RECORDING... [--repeats 100] [--json]

The real coordinator gives random points to simulated workers; the recording answers. For each
budget, in frames given out and counted in whole trials, the study is looked at when all that
was begun within it has come back:

    regret      how far the chosen point's mean over all seeds is below the best point's, as a
                share of the range between the best and the worst one
    optimism    how far what is claimed of the chosen point is above what it comes to on a seed
                that nothing was chosen by, as a share of the range: the claim is its own score,
                or, raced, its mean on the validation seeds, the best few being validated

The default is the whole policy of `budget = 12` (its searcher, its scheduler, and its race,
which its budget pays for), a study of its own for each budget. To the others, which search at
random, a race of FINALISTS is given beyond the budget.

Population-based training cannot be replayed: nobody recorded what a copy with changed settings
would have come to.
"""

import argparse
import dataclasses
import functools
import json
import math
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import rich.table

from veldt.launch.console import Console
from veldt.platform import plugins
from veldt.platform.errors import InputError, Interrupted, UnknownName, VeldtError, unknown
from veldt.platform.keys import Key
from veldt.search.coordinator import conduct
from veldt.search.journal import Event, Journal
from veldt.search.policy import preset
from veldt.search.recording import Recorded, Recording, load
from veldt.search.schedulers.catalogue import SCHEDULERS
from veldt.search.settings import SearchSettings
from veldt.search.simulator import Simulator
from veldt.search.study import Study
from veldt.search.view import Trial, View

BUDGETS = (6, 12, 24, 48)  # whole trials
WORKERS = 4
FINALISTS = 3
ENDLESS = 100_000  # trials, more than any budget has
DEFAULT = "default"  # the policy of a search that says nothing but its budget
LADDERS: dict[str, dict[str, Any]] = {
    "halving": {"trials": 9, "brackets": ENDLESS},
    "hyperband": {"rounds": ENDLESS // 100},
    "asha": {},
}
"""what a scheduler is told where its own defaults end too early"""


@dataclasses.dataclass(frozen=True)
class Found:
    """What one repeat came to at one budget; shares of the range."""

    regret: float
    optimism: float
    raced_regret: float
    raced_optimism: float
    trials: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="veldt.launch.schedule_comparison", description=__doc__)
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these, random and the default")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    if given.repeats < 1:
        parser.error(f"--repeats is {given.repeats}; it has to be 1 or more.")
    console = Console(given.json)
    try:
        found = {}
        for path in given.recordings:
            recording = load(path)
            found[recording.environment] = compared(recording, given.repeats, console, given.only)
    except VeldtError as error:
        parser.error(str(error))
    if given.json:
        print(json.dumps(found))


def policies(recording: Recording) -> dict[str, dict[str, Any]]:
    """name -> a scheduler's table, of all that can be replayed."""
    made: dict[str, dict[str, Any]] = {}
    for name, where in plugins.known("schedulers", SCHEDULERS).items():
        if plugins.attribute(where).forks:
            continue
        made[name] = {"name": name} | LADDERS.get(name, {})
    made["hyperband"]["least_frames"] = recording.frames[-1] // 9
    return made | {"asha-2": {"name": "asha", "brackets": 2}}


def compared(
    recording: Recording, repeats: int, console: Console, only: list[str] | None = None
) -> dict[str, Any]:
    """Figures of every scheduler, and the goals."""
    rows: dict[str, dict[str, Any]] = {}
    replays: dict[str, Callable[[int], dict[int, Found]]] = {
        name: functools.partial(replayed, recording, scheduler)
        for name, scheduler in policies(recording).items()
    }
    for name in only or ():
        if name not in replays:
            raise UnknownName(unknown("schedulers to replay", name, replays))
    if only is not None:
        replays = {name: replays[name] for name in dict.fromkeys(["whole", *only])}
    replays[DEFAULT] = functools.partial(defaults, recording)
    for name, replay in replays.items():
        budgets: dict[int, list[Found]] = {budget: [] for budget in BUDGETS}
        for repeat in range(repeats):
            for budget, found in replay(repeat).items():
                budgets[budget].append(found)
        rows[name] = {str(budget): _summary(each) for budget, each in budgets.items()}
        at = ", ".join(f"{budget}: {row['regret']:.3f}" for budget, row in rows[name].items())
        console.say(f"{recording.environment}  {name}: regret {at}")
    default, random = rows[DEFAULT]["12"], rows["whole"]["12"]
    result = {
        "repeats": repeats,
        "points": len(recording.points),
        "default": DEFAULT,
        "schedulers": rows,
        "default_by_random_12": default["raced_regret"] / max(random["regret"], 1e-9),
        "default_by_random_12_unraced": default["regret"] / max(random["regret"], 1e-9),
        "optimism_12": default["raced_optimism"],
        "optimism_24": rows[DEFAULT]["24"]["raced_optimism"],
    }
    show(recording, result, console)
    return result


def _summary(found: list[Found]) -> dict[str, float]:
    """Means, and the standard error of the regret."""
    names = [field.name for field in dataclasses.fields(Found)]
    means = {name: statistics.fmean(getattr(each, name) for each in found) for name in names}
    spread = statistics.stdev(each.regret for each in found) if len(found) > 1 else 0.0
    return means | {"regret_error": spread / math.sqrt(len(found))}


def show(recording: Recording, result: dict[str, Any], console: Console) -> None:
    """The figures as a table."""
    title = f"{recording.environment}: {result['points']} points, {result['repeats']} repeats"
    table = rich.table.Table(title=title, title_justify="left")
    table.add_column("scheduler")
    for budget in BUDGETS:
        table.add_column(f"regret at {budget}", justify="right")
    for column in ("raced at 12", "optimism at 12", "raced", "trials at 12"):
        table.add_column(column, justify="right")
    for name, row in result["schedulers"].items():
        twelve = row["12"]
        table.add_row(
            name + (" (default)" if name == result["default"] else ""),
            *(
                f"{row[str(b)]['regret']:.3f} +- {row[str(b)]['regret_error']:.3f}"
                for b in BUDGETS
            ),
            f"{twelve['raced_regret']:.3f}",
            f"{twelve['optimism']:+.1%}",
            f"{twelve['raced_optimism']:+.1%}",
            f"{twelve['trials']:.0f}",
        )
    console.say(table)
    console.say(
        f"default by random at 12 whole trials: {result['default_by_random_12']:.2f} raced, "
        f"{result['default_by_random_12_unraced']:.2f} not; optimism of the raced winner "
        f"{result['optimism_12']:+.1%} of the range"
    )


def settings(recording: Recording, scheduler: dict[str, Any], seed: int) -> SearchSettings:
    """A study on a recording."""
    return SearchSettings.parse(
        {
            "train": recording.train,
            "space": recording.space,
            "stages": [{"method": "random", "trials": ENDLESS}],
            "scheduler": scheduler,
            "heldout": {"finalists": 1},  # looked at long before it ends
            "seed": seed,
        }
    )


def replayed(recording: Recording, scheduler: dict[str, Any], repeat: int) -> dict[int, Found]:
    """One study, looked at for each budget."""
    whole = recording.frames[-1]
    landscape = Recorded(recording, Key(repeat).child("replay"))
    journal = Journal(Path(":memory:"))  # nobody goes on with it
    made = settings(recording, scheduler, repeat)
    study = Study(made, Path("replay"), journal, lambda kind, body: None)

    def stop() -> bool:
        return given_out(study.view) > max(BUDGETS) * whole and all(
            s.number in study.view.results for s in within(study.view, max(BUDGETS) * whole)
        )

    try:
        conduct(study, Simulator(landscape, WORKERS), stop)
        raise InputError(f"{scheduler['name']} ended before {max(BUDGETS)} whole trials.")
    except Interrupted:
        pass
    finally:
        journal.close()
    return {
        budget: judged(recording, landscape, seen(journal.events, study.view, budget * whole))
        for budget in BUDGETS
    }


def defaults(recording: Recording, repeat: int) -> dict[int, Found]:
    """The default policy with each budget, from its first question to its winner."""
    found = {}
    for budget in BUDGETS:
        landscape = Recorded(recording, Key(repeat).child("replay"))
        held = preset(budget, {})["heldout"]
        proof = {"validations": min(held["validations"], landscape.validations), "tests": 1}
        common = {"train": recording.train, "space": recording.space, "heldout": proof}
        made = SearchSettings.parse(common | {"budget": budget, "seed": repeat})
        journal = Journal(Path(":memory:"))
        study = Study(made, Path("replay"), journal, lambda kind, body: None)
        try:
            summary = conduct(study, Simulator(landscape, WORKERS), lambda: False)
        finally:
            journal.close()
        found[budget] = judged(recording, landscape, study.view, summary)
    return found


def given_out(view: View) -> int:
    """Frames of all that was begun; what the median rule pauses costs as far as it came."""
    return sum(_cost(view, number) for number in view.segments)


def _cost(view: View, number: int) -> int:
    segment, result = view.segments[number], view.results.get(number)
    end = segment.end if result is None else max(segment.begin, result["frames"])
    return end - segment.begin


def within(view: View, frames: int) -> list[Any]:
    """The segments that were begun before so many frames were given out."""
    total, found = 0, []
    for number, segment in view.segments.items():
        total += _cost(view, number)
        if total > frames:
            break
        found.append(segment)
    return found


def seen(events: Iterable[Event], view: View, frames: int) -> View:
    """The study as it is when all that was begun within a budget has come back."""
    known = {segment.number for segment in within(view, frames)}
    trials = {view.segments[number].trial for number in known}
    found = View(view.frames)
    for event in events:
        number = event.body.get("number" if event.kind == "segment" else "segment")
        if (event.kind == "trial" and event.body["number"] in trials) or number in known:
            found.take(event.kind, event.body)
    return found


def judged(
    recording: Recording, landscape: Recorded, view: View, proved: dict[str, Any] | None = None
) -> Found:
    """The choice of a study: by its own scores, and by a race of the best few.

    Args:
        recording: What there is to be found.
        landscape: What the study was told.
        view: Of the study.
        proved: The summary of one that raced its finalists itself.
    """
    final = recording.final
    best, spread = float(final.max()), float(final.max() - final.min())
    worst = float(final.min())

    def last(trial: Trial, purpose: str, replicate: int = 0) -> float:
        point = landscape.point(trial.point)
        score = recording.scores[point, landscape.seed(point, purpose, replicate), -1]
        return worst if math.isnan(score) else float(score)

    def validated(trial: Trial) -> float:
        each = [last(trial, "validate", n) for n in range(landscape.validations)]
        return statistics.fmean(each)

    def regret(trial: Trial) -> float:
        return (best - float(final[landscape.point(trial.point)])) / spread

    finalists = view.scored[:FINALISTS]
    if not finalists:  # nothing came to anything
        return Found(1.0, 0.0, 1.0, 0.0, len(view.trials))
    chosen = finalists[0]
    if proved is None:
        raced = max(finalists, key=validated)
        claimed = validated(raced)
    else:
        raced, mean = view.trials[proved["best_trial"]], proved["validation_mean_return"]
        claimed = proved["best_score"] if mean is None else mean
    assert chosen.score is not None
    return Found(
        regret=regret(chosen),
        optimism=(chosen.score - last(chosen, "test")) / spread,
        raced_regret=regret(raced),
        raced_optimism=(claimed - last(raced, "test")) / spread,
        trials=len(view.trials),
    )


if __name__ == "__main__":
    main()
