"""Tables of results from the summaries that `launch/results.sh` made; as Markdown.

python -m veldt.launch.results runs/results
"""

import json
import sys
from pathlib import Path
from typing import Any

import rich.console

from veldt.launch.console import number
from veldt.launch.epg_results import epg_tables
from veldt.launch.evolution_results import evolution_tables, markdown
from veldt.launch.search_results import search_tables
from veldt.launch.throughput_results import learner_tables, throughput_tables
from veldt.launch.training_results import training_tables

COMMANDS = {
    "cartpole-{}": "veldt train cartpole --seed {} --json",
    "quickstart": "bash launch/quickstart.sh",
}


def tables(folder: Path) -> str:
    """What the README claims, from the sections of measurements that are in `folder`.

    Raises:
        FileNotFoundError: if a measurement of a section that was begun is missing.
    """
    found = [*training_tables(folder), *evolution_tables(folder), *epg_tables(folder / "epg")]
    found += throughput_tables(folder / "throughput") + learner_tables(folder / "learner")
    found += search_tables(folder)
    if list(folder.glob("cartpole-*.json")):
        found = [_training(folder), _search(folder), *found]
    if (folder / "bench-transport.json").exists():
        found.append(_transport(_read(folder / "bench-transport.json")))
    return "\n\n".join(found)


def _training(folder: Path) -> str:
    rows = []
    for seed in (1, 2, 3):
        found, evaluation = (
            _read(folder / f"cartpole-{seed}{part}.json") for part in ("", "-evaluation")
        )
        error = evaluation["standard_error"]
        rows.append(
            [
                f"`{COMMANDS['cartpole-{}'].format(seed)}`",
                f"{found['frames']:,}",
                number(found["mean_return"]),
                f"{number(evaluation['mean_return'])} ± {number(error)}",
                f"{found['wall_seconds']:.0f} s",
                f"{found['steps_per_second']:,.0f}",
                number(found["policy_lag_mean"]),
                str(found["trajectories_dropped"]),
            ]
        )
    killed = _read(folder / "killed.json")
    names = ["command", "frames", "mean return, last 100 episodes"]
    names += ["evaluation, 100 fresh episodes", "wall", "steps/s", "mean lag", "dropped"]
    return f"{markdown(names, rows)}\n\n{_killed(killed)}"


def _killed(found: dict[str, Any]) -> str:
    return (
        "With an actor killed by SIGKILL in the middle (`veldt train cartpole --seed 4`): "
        f"{found['updates']:,} updates all the same, mean return {number(found['mean_return'])}; "
        f"{found['actor_restarts']} restart, the new actor's first unroll "
        f"{found['actor_recovery_seconds_max']:.2f} s after the death was found; "
        f"{found['trajectories_dropped']} unroll lost, counted, and made again."
    )


def _search(folder: Path) -> str:
    found = _read(folder / "quickstart.json")
    held = f"{number(found['heldout_mean_return'])} ± {number(found['heldout_standard_error'])}"
    rows = [
        [
            f"`{COMMANDS['quickstart']}`",
            str(found["trials"]),
            number(found["best_score"]),
            number(found["validation_mean_return"]),
            held,
            f"{found['steps']:,}",
            f"{found['wall_seconds']:.0f} s",
            str(found["ranks"]),
        ]
    ]
    names = ["command", "trials", "winner's score", "validation, 3 seeds"]
    names += ["held out, 100 episodes", "steps", "wall", "ranks"]
    return markdown(names, rows)


def _transport(found: dict[str, Any]) -> str:
    ways = ("memcpy", "shm", "ipc", "tcp", "curve")
    size = f"GB/s, unrolls of {found['unroll_bytes'] / 1e6:.1f} MB"
    rows = [
        [size, *(f"{found[f'{way}_gbps']:.2f}" for way in ways)],
        ["by memcpy", "1", *(f"{found[f'{way}_ratio']:.2f}" for way in ways[1:])],
    ]
    return markdown([f"`veldt bench transport --seconds {found['seconds']:g}`", *ways], rows)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


if __name__ == "__main__":
    rich.console.Console(soft_wrap=True).print(
        tables(Path(sys.argv[1])), markup=False, highlight=False
    )
