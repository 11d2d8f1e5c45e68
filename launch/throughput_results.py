"""The tables of how fast a training is, from what `launch/results.sh throughput` measured."""

import statistics
from pathlib import Path

from veldt.launch.console import number
from veldt.launch.evolution_results import markdown
from veldt.launch.learner_bench import UPDATE
from veldt.platform.runs import read_json

COMMANDS = {
    "cartpole": "cartpole",
    "shallow": "--set env=atari/pong --set network=shallow",
    "nature": "--set env=atari/pong --set network=nature",
    "deep": "--set env=atari/pong --set network=deep",
}
RATES = ("env_only", "inference_only", "learner_only", "end_to_end", "limit")
RATIOS = ("ratio_to_limit", "ratio_to_env")
LEARNERS = {
    "shallow": "--set network=shallow",
    "nature": "--set network=nature",
    "deep": "--set network=deep",
    "minibatches": "atari/pong --set network=shallow",
}
FAULTS = {
    "kills": "kills",
    "updates": "updates",
    "updates_lost": "updates lost",
    "actors_ended_at_work": "actors killed at an unroll",
    "trajectories_dropped": "unrolls lost, counted and made again",
    "unrolls_unaccounted": "unrolls unaccounted for",
    "undisturbed_steps_per_second": "steps/s undisturbed",
    "disturbed_steps_per_second": "steps/s",
    "ratio": "ratio",
    "learner_megabytes_early": "learner's MB at the beginning",
    "learner_megabytes_late": "at the end",
    "learner_megabytes_per_minute": "more a minute",
}


def throughput_tables(folder: Path) -> list[str]:
    """The tables of what is there; medians where a command was run several times."""
    rows = []
    for name, command in COMMANDS.items():
        runs = [read_json(path) for path in sorted(folder.glob(f"{name}-*.json"))]
        if runs:
            medians = {key: statistics.median(run[key] for run in runs) for key in RATES + RATIOS}
            seconds = f"--seconds {runs[0]['seconds']:g}"
            rows.append(
                [
                    f"`veldt bench throughput {command} {seconds}`",
                    str(len(runs)),
                    *(f"{medians[rate]:,.0f}" for rate in RATES),
                    *(f"{medians[ratio]:.2f}" for ratio in RATIOS),
                ]
            )
    names = ["command, steps/s of 2 cores", "runs", "environments", "inference", "learning"]
    names += ["whole", "limit", "whole / limit", "whole / environments"]
    found = [markdown(names, rows)] if rows else []
    if (folder / "faults.json").exists():
        faults = read_json(folder / "faults.json")
        head = [f"`veldt bench faults --seconds {faults['seconds']:g}`", *FAULTS.values()]
        found.append(markdown(head, [["", *(number(faults.get(name)) for name in FAULTS)]]))
    return found


def learner_tables(folder: Path) -> list[str]:
    """Where an update's time goes, in milliseconds, from `launch/results.sh learner`."""
    rows = []
    for name, command in LEARNERS.items():
        path = folder / f"{name}.json"
        if path.exists():
            found = read_json(path)
            rows.append(
                [
                    f"`veldt bench learner {command}`",
                    found["device"],
                    f"{found['frames_per_second']:,.0f}",
                    *(f"{found[f'{stage}_ms']:.2f}" for stage in ("update", *UPDATE)),
                    f"{found['v_trace_share']:.2%}",
                ]
            )
    names = ["command", "device", "frames/s", "update, ms", "forward", "V-trace"]
    names += ["backward", "optimiser", "V-trace's share"]
    return [markdown(names, rows)] if rows else []
