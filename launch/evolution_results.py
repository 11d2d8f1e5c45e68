"""The tables of population searches, from the runs that `launch/results.sh` made; as Markdown."""

from pathlib import Path
from typing import Any

import numpy as np

from veldt.launch.console import number
from veldt.platform.runs import read_json

# Folder -> the command whose runs are in it, and what its paper took in episodes or steps.
SEARCHES = {
    "swimmer/v1": ("ars/swimmer", "100 episodes"),
    "hopper/shift": ("ars/hopper", "1,973 episodes"),
    "hopper/no-shift": ("ars/hopper --set problem.shift=0.0", "-"),
    "halfcheetah/filter": ("ars/halfcheetah", "1,707 episodes"),
    "halfcheetah/no-filter": (
        "ars/halfcheetah --set problem.filter.enabled=false",
        "8,106 episodes",
    ),
    "walker2d/shift": ("ars/walker2d", "24,000 episodes"),
    "ant/shift": ("ars/ant", "20,800 episodes"),
    "es-pendulum/es": ("es/inverted-pendulum", "4.55e5 steps"),
    "es-halfcheetah/es": ("es/halfcheetah", "2.88e6 steps"),
    "freeway/vbn": ("es/freeway", "-"),
    "ga-cartpole/ga": ("ga/cartpole", "-"),
    "cma-cartpole/cma": ("cma/cartpole", "-"),
}


def evolution_tables(folder: Path) -> list[str]:
    """The tables of what is there."""
    found = [text for text in (_searches(folder), _bench(folder), _comparison(folder)) if text]
    return found


def _searches(folder: Path) -> str:
    rows = []
    for name, (command, paper) in SEARCHES.items():
        runs = [path.parent for path in sorted((folder / name).glob("*/summary.json"))]
        if runs:
            rows.append(_row(command, paper, runs))
    if not rows:
        return ""
    names = [
        "`veldt search ...`",
        "threshold",
        "reached at, by seed",
        "the paper",
        "best evaluation",
    ]
    names += ["held out, 100 fresh episodes", "steps", "wall"]
    return markdown(names, rows)


def _row(command: str, paper: str, runs: list[Path]) -> list[str]:
    summaries = [read_json(run / "summary.json") for run in runs]
    protocol = read_json(runs[0] / "settings.json")["settings"]["evaluation"]
    unit = "steps" if paper.endswith("steps") else "episodes"
    reached = [summary[f"{unit}_to_threshold"] for summary in summaries]
    held = [
        f"{number(s['evaluation_mean_return'])} ± {number(s['evaluation_standard_error'])}"
        for s in summaries
    ]
    seconds = sum(summary["wall_seconds"] for summary in summaries)
    return [
        f"`{command} --seed {','.join(run.name for run in runs)}`",
        number(protocol["threshold"]),
        ", ".join(number(value) for value in reached) + f" {unit}",
        paper,
        ", ".join(number(summary["best_score"]) for summary in summaries),
        ", ".join(held),
        f"{np.mean([summary['steps'] for summary in summaries]):,.0f}",
        f"{seconds / len(summaries) / 60:.1f} min",
    ]


def _bench(folder: Path) -> str:
    path = folder / "bench-evolution.json"
    if not path.exists():
        return ""
    found: dict[str, Any] = read_json(path)
    rows = [
        [
            f"`veldt bench evolution`, {size} rank(s)",
            f"{found[f'env_only_{size}']:,.0f}",
            f"{found[f'ars_{size}']:,.0f}",
            f"{found[f'ratio_{size}']:.2f}",
            "-" if size == 1 else f"{found[f'efficiency_{size}']:.2f}",
            f"{found['outside_env_share']:.1%}" if size == 1 else "-",
            "-" if size == 1 else f"{found['bytes_per_pair']:.1f}",
        ]
        for size in (1, 2)
    ]
    names = ["command", "bare `env.step`, steps/s", "ARS, steps/s", "ratio", "efficiency"]
    return markdown([*names, "outside the environment", "bytes a pair"], rows)


def _comparison(folder: Path) -> str:
    path = folder / "comparison" / "table.md"
    return path.read_text().strip() if path.exists() else ""


def markdown(names: list[str], rows: list[list[str]]) -> str:
    """A table."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
