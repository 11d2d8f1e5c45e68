"""The tables of searches over settings, from what `launch/results.sh` searched and replayed."""

from pathlib import Path
from typing import Any

from veldt.launch import live_comparison
from veldt.launch.console import number
from veldt.launch.evolution_results import markdown
from veldt.platform.runs import read_json

BUDGETS = ("12", "24")


def search_tables(folder: Path) -> list[str]:
    """The tables of what is there."""
    found: list[str] = []
    if (folder / "bench-search.json").exists():
        found.append(_coordinator(read_json(folder / "bench-search.json")))
    found += [path.read_text().strip() for path in sorted((folder / "searchers").glob("*.md"))]
    if (folder / "live.json").exists():
        live = read_json(folder / "live.json")
        found.append(markdown(live_comparison.HEAD, live_comparison.rows(live)))
    if (folder / "schedules.json").exists():
        schedules = read_json(folder / "schedules.json")
        found += [_schedules(environment, each) for environment, each in schedules.items()]
    return found


def _coordinator(found: dict[str, Any]) -> str:
    rows = [
        [f"`{name}`", f"{value:.1%}" if name.startswith("util") else number(value)]
        for name, value in found.items()
    ]
    return markdown(["`veldt bench search`", ""], rows)


def _schedules(environment: str, found: dict[str, Any]) -> str:
    """Regret, in shares of the range of what was recorded, and the goals."""
    rows = [
        [
            name + (" (the default)" if name == found["default"] else ""),
            *(f"{row[b]['regret']:.3f} ± {row[b]['regret_error']:.3f}" for b in BUDGETS),
            *(f"{row['12'][what]:.3f}" for what in ("raced_regret", "optimism", "raced_optimism")),
            f"{row['12']['trials']:.0f}",
        ]
        for name, row in found["schedulers"].items()
    ]
    names = [f"{environment}, {found['points']} points, {found['repeats']} repeats"]
    names += [f"regret at {budget} whole trials" for budget in BUDGETS]
    names += ["raced at 12", "optimism at 12", "raced", "trials at 12"]
    goal = (
        f"The default by random search at 12 whole trials: {found['default_by_random_12']:.2f} "
        f"raced, {found['default_by_random_12_unraced']:.2f} not."
    )
    return f"{markdown(names, rows)}\n\n{goal}"
