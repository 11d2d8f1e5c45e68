"""The report of several population searches: seeds of one, or groups to be compared.

FOLDER/SEED/settings.json          one group
FOLDER/GROUP/SEED/settings.json    a group for each folder

A training inside another run, such as a search's winner, is that run's and not compared.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from veldt.launch.console import number
from veldt.launch.intervals import interval_text
from veldt.launch.page import facts, heading, page, paragraph, section, settings_table, table
from veldt.launch.population_curves import (
    Run,
    comparison,
    median_interval,
    read_run,
)
from veldt.launch.protocols import apart, of_search
from veldt.platform.errors import InputError
from veldt.platform.runs import differences, read_json

Groups = dict[str, list[Run]]

CURVES = (
    "Evaluations of the centre. Thick: the median over the seeds, as far as all of a group have "
    "come. Shaded: its 95 % interval over the seeds, by percentile bootstrap, at each point by "
    "itself; of three seeds or fewer it is no more than their range. Thin: each seed."
)
RESULTS = (
    "Of each search its held-out evaluation: the centre whose evaluation was best, on episodes "
    "that nothing was chosen by. Intervals are 95 %, by percentile bootstrap over the seeds."
)
PAIRS = (
    "Held-out mean returns of a group minus those of the first, seed by seed: only seeds that "
    "finished in both. The interval is of the mean difference (percentile bootstrap)."
)


Reader = Callable[[Path, dict[str, Any]], Run]


def find(folder: Path) -> Groups:
    """The population searches in the folders below, by group; see `collect`."""
    return collect(folder, is_population, read_run)


def collect(folder: Path, is_one: Callable[[Any], bool], read_one: Reader) -> Groups:
    """The runs of one kind in the folders below, by group; nothing if there are none.

    Args:
        folder: Where they are.
        is_one: Whether the content of a settings.json is of this kind.
        read_one: Reads one.

    Raises:
        InputError: if runs of one group differ in more than their seed.
    """
    groups: Groups = {}
    for file in sorted([*folder.glob("*/settings.json"), *folder.glob("*/*/settings.json")]):
        document = read_json(file)
        place = file.parent.parent
        part_of_a_run = place != folder and (place / "settings.json").exists()
        if is_one(document) and not part_of_a_run:
            name = folder.resolve().name if place == folder else place.name
            groups.setdefault(name, []).append(read_one(file.parent, document))
    for name, runs in groups.items():
        runs.sort(key=lambda run: (int(run.settings["seed"]), run.folder.name))
        first = runs[0].settings | {"seed": None}
        for run in runs[1:]:
            found = differences(first, run.settings | {"seed": None})
            if found:
                raise InputError(
                    f"{run.folder}: differs from {runs[0].folder} in more than the seed "
                    f"({'; '.join(found[:5])}). Runs to be compared go into a folder for "
                    "each group: FOLDER/GROUP/SEED."
                )
        seeds = [run.settings["seed"] for run in runs]
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        if twice:
            raise InputError(f"{name}: seed {twice[0]} is there more than once.")
    return groups


def is_population(document: Any) -> bool:
    """Whether this is the settings.json of a population search."""
    settings = document.get("settings") if isinstance(document, dict) else None
    return isinstance(settings, dict) and {"strategy", "problem"} <= settings.keys()


def groups_report(folder: Path, groups: Groups, command: str) -> str:
    """The page.

    Args:
        folder: Where the searches are.
        groups: What `find` found there.
        command: Which asked for it, for the footer.
    """
    runs = [run for group in groups.values() for run in group]
    finished = [run for run in runs if score(run) is not None]
    methods = ", ".join(sorted({run.strategy for run in runs}))
    problems = ", ".join(sorted({run.problem for run in runs}))
    head = facts(
        [
            ("problem", problems, ""),
            ("strategy", methods, ""),
            ("groups", len(groups), ""),
            ("searches", len(runs), f"{number(len(finished))} finished"),
            ("steps", sum(_spent(run, "steps") for run in runs), "in all of them"),
        ]
    )
    parts = apart(groups, lambda group: of_search(group[0].settings))
    sections = [head]
    for number_, (protocol, alike) in enumerate(parts.items()):
        of = f": {protocol}" if len(parts) > 1 else ""
        sections += _sections(alike, of, number_)
    sections.append(section("Settings", *settings_of_groups(groups)))
    left = len(runs) - len(finished)
    state = f"{left} of the {len(runs)} searches not finished." if left else ""
    return page("Population searches", f"{methods} on {problems}", state, sections, command)


def _sections(groups: Groups, of: str, number_: int) -> list[str]:
    """Curves and tables of groups that were measured alike.

    Args:
        groups: Those.
        of: What the titles say of their protocol.
        number_: Of the protocol in the page.
    """
    shown = [run for group in groups.values() for run in group if run.evaluations]
    axes = [axis for axis in ("episodes", "steps") if any(_spent(run, axis) for run in shown)]
    plots = [comparison(groups, axis, number=number_) for axis in axes or ["generation"]]
    curves = [*plots, paragraph(CURVES)] if shown else [paragraph("Nothing is evaluated yet.")]
    return [
        section(f"Learning curves{of}", *curves),
        section(f"Results{of}", paragraph(RESULTS), _results(groups), *_pairs(groups)),
        section(f"All searches{of}", _runs(groups)),
    ]


def score(run: Run) -> float | None:
    """The held-out mean return of a search that is over."""
    value: float | None = (run.summary or {}).get("evaluation_mean_return")
    return value


def _spent(run: Run, name: str) -> int:
    return int((run.metrics[-1].get(name) if run.metrics else 0) or 0)


def _crossing(run: Run) -> int | None:
    """Episodes (generations, where there are none) to the threshold."""
    for record in run.evaluations:
        if run.threshold is not None and record["mean_return"] >= run.threshold:
            return int(record["episodes"] or record["generation"])
    return None


def _results(groups: Groups) -> str:
    """A row for each group."""
    rows = []
    for name, runs in groups.items():
        scores = [value for run in runs if (value := score(run)) is not None]
        reached = [value for run in runs if (value := _crossing(run)) is not None]
        # A median counts a seed that never got there as later than any that did.
        late = sorted(reached) + [None] * (len(runs) - len(reached))
        middle = late[len(late) // 2] if len(late) % 2 else _between(late)
        threshold = runs[0].threshold
        rows.append(
            [
                name,
                f"{len(scores)} of {len(runs)}",
                float(np.median(scores)) if scores else None,
                _bounds(scores),
                float(np.mean(scores)) if scores else None,
                interval_text(scores) if len(scores) > 1 else "needs two seeds",
                min(scores, default=None),
                max(scores, default=None),
                "-" if threshold is None else f"{len(reached)} of {len(runs)}",
                middle,
            ]
        )
    names = ["group", "finished", "median", "its interval", "mean", "its interval"]
    names += ["lowest", "highest", "reached threshold", "median episodes to it"]
    return table(names, rows)


def _between(ordered: Sequence[int | None]) -> float | None:
    low, high = ordered[len(ordered) // 2 - 1], ordered[len(ordered) // 2]
    return None if low is None or high is None else (low + high) / 2


def _bounds(scores: Sequence[float]) -> str:
    if len(scores) < 2:
        return "needs two seeds"
    low, high = median_interval(np.array(scores)[:, None])
    return f"{number(float(low[0]))} to {number(float(high[0]))}"


def paired(first: Sequence[Run], other: Sequence[Run]) -> list[float]:
    """Differences (other minus first) in the held-out mean return, of the seeds in both."""
    known = {run.settings["seed"]: score(run) for run in first}
    differences_: list[float] = []
    for run in other:
        mine, theirs = score(run), known.get(run.settings["seed"])
        if mine is not None and theirs is not None:
            differences_.append(mine - theirs)
    return differences_


def _pairs(groups: Groups) -> list[str]:
    """Each group against the first, seed by seed."""
    (base, first), *others = groups.items()
    rows = []
    for name, runs in others:
        found = paired(first, runs)
        if found:
            text = interval_text(found) if len(found) > 1 else "needs two seeds"
            rows.append([f"{name} - {base}", len(found), float(np.mean(found)), text])
    if not rows:
        return []
    names = ["difference", "seeds in both", "mean", "95 % interval"]
    return [heading("Seed by seed"), paragraph(PAIRS), table(names, rows)]


def _runs(groups: Groups) -> str:
    rows = []
    for name, runs in groups.items():
        for run in runs:
            summary = run.summary or {}
            rows.append(
                [
                    name,
                    run.settings["seed"],
                    score(run),
                    summary.get("evaluation_standard_error"),
                    summary.get("best_score"),
                    summary.get("chosen_generation"),
                    len(run.metrics),
                    _spent(run, "episodes"),
                    _spent(run, "steps"),
                    _crossing(run),
                    sum(r.get("failed") or 0 for r in run.metrics),
                    round((run.metrics[-1].get("wall_seconds") or 0.0), 1)
                    if run.metrics
                    else None,
                ]
            )
    names = ["group", "seed", "held-out return", "standard error", "best evaluation", "chosen"]
    names += ["generations", "episodes", "steps", "to threshold", "failed", "wall s"]
    note = paragraph(
        "Chosen: the generation of the centre that was held out. To threshold: episodes up to the "
        "first evaluation that reached it."
    )
    return table(names, rows, sortable=True) + note


def settings_of_groups(groups: Groups) -> list[str]:
    """The first group's settings, and how the others differ from it."""
    (base, first), *others = groups.items()
    parts = [settings_table(first[0].settings | {"seed": "each run's own"}, f"Of {base}")]
    for name, runs in others:
        changed = differences(
            first[0].settings | {"seed": None}, runs[0].settings | {"seed": None}
        )
        rows = [line.partition(": ")[::2] for line in changed]
        body = table(["setting", f"{base} -> {name}"], rows) if rows else paragraph("Nothing.")
        parts.append(heading(f"{name} differs from {base} in") + body)
    return parts
