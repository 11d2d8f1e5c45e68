"""Every strategy on several problems with equal budgets, as a table: `launch/results.sh` runs it.

    mpirun -n 2 python -m veldt.launch.comparison FOLDER
    python -m veldt.launch.comparison FOLDER

Each cell is searched on several seeds, its strategy's step sizes the same on every problem but
for the problem's own scale; the score is that of the centre whose evaluation was best, on
episodes that nothing was chosen by. Ranks share the cells out among them. What is there
already is not searched again.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from veldt.launch.console import Console, number
from veldt.platform.ranks import OneRank, join
from veldt.platform.runs import read_json
from veldt.search.population.run import search
from veldt.search.population.settings import PopulationSettings

SEEDS = range(1, 6)

PROBLEMS: dict[str, dict[str, Any]] = {
    "sphere": {"kind": "function", "name": "sphere"},
    "ellipsoid": {"kind": "function", "name": "ellipsoid", "rotated": True},
    "rastrigin": {"kind": "function", "name": "rastrigin"},
    "lqr": {"kind": "lqr", "horizon": 100},
    "cartpole": {
        "kind": "episodes",
        "environment": {"id": "CartPole-v1"},
        "policy": {"name": "linear"},
        "filter": {"enabled": False},
    },
    "pendulum": {
        "kind": "episodes",
        "environment": {"id": "InvertedPendulum-v5"},
        "policy": {"name": "mlp", "hidden": [16]},
    },
    "swimmer": {
        "kind": "episodes",
        "environment": {"id": "Swimmer-v5"},
        "policy": {"name": "linear"},
        "filter": {"enabled": False},
    },
}
# Evaluations of members, and the size of a step that makes sense.
BUDGETS = {
    "sphere": (2000, 0.5),
    "ellipsoid": (2000, 0.5),
    "rastrigin": (2000, 0.5),
    "lqr": (2000, 0.02),
    "cartpole": (1000, 0.3),
    "pendulum": (1000, 0.1),
    "swimmer": (400, 0.1),
}


def strategies(size: float) -> dict[str, dict[str, Any]]:
    """The settings of each strategy for a step of this size; 20 members a generation."""
    adam = {"name": "adam", "learning_rate": size}
    common = {"pairs": 10, "sigma": size / 2}
    return {
        "ars": {"directions": 10, "top": 5, "step_size": size / 2, "noise": size / 2},
        "brs": {"directions": 10, "step_size": size / 10, "noise": size / 2},
        "openai-es": common | {"optimizer": adam},
        "guided-es": common | {"optimizer": adam, "subspace": 3},
        "persistent-es": common | {"optimizer": adam, "unrolls": 1},
        "noise-reuse-es": common | {"optimizer": adam, "unrolls": 1},
        "pgpe": {"pairs": 10, "sigma": size / 2}
        | {"optimizer": {"name": "clipup", "learning_rate": size}},
        "snes": {"population": 20, "sigma": size},
        "cma-es": {"population": 20, "sigma": size},
        "sep-cma-es": {"population": 20, "sigma": size},
        "genetic": {"population": 20, "parents": 5, "sigma": size / 2},
        "random-search": {"population": 20, "sigma": size / 2},
    }


def settings(strategy: str, problem: str, seed: int) -> PopulationSettings:
    """Of one search."""
    budget, size = BUDGETS[problem]
    exact = PROBLEMS[problem]["kind"] == "function"
    return PopulationSettings.parse(
        {
            "strategy": {"method": strategy} | strategies(size)[strategy],
            "problem": PROBLEMS[problem],
            "episodes": budget,
            "evaluation": {"episodes": 1 if exact else 20, "every": 5},
            "seed": seed,
        }
    )


def cells() -> list[tuple[str, str, int]]:
    """What there is to search, the long ones first."""
    order = sorted(PROBLEMS, key=lambda problem: problem not in ("swimmer", "pendulum"))
    return [(s, p, seed) for p in order for s in strategies(1.0) for seed in SEEDS]


def table(folder: Path) -> str:
    """Mean and 95 % interval over the seeds, as Markdown."""
    names = ["strategy", *PROBLEMS]
    lines = [names, ["---"] * len(names)]
    for strategy in strategies(1.0):
        row = [f"`{strategy}`"]
        for problem in PROBLEMS:
            scores = [
                read_json(folder / f"{strategy}-{problem}-{seed}" / "summary.json")
                for seed in SEEDS
            ]
            values = np.array([s["evaluation_mean_return"] for s in scores], np.float64)
            half = scipy.stats.t.ppf(0.975, len(values) - 1) * scipy.stats.sem(values)
            row.append(f"{number(float(values.mean()))} ± {number(float(half))}")
        lines.append(row)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Searches what is missing; rank 0 writes the table."""
    folder, ranks, console = Path(sys.argv[1]), join(), Console()
    folder.mkdir(parents=True, exist_ok=True)
    for index, (strategy, problem, seed) in enumerate(cells()):
        name = f"{strategy}-{problem}-{seed}"
        if index % ranks.size == ranks.rank:
            search(settings(strategy, problem, seed), folder / name, OneRank(), resume=True)
    ranks.gather(b"")
    if ranks.rank == 0:
        text = table(folder)
        (folder / "table.md").write_text(text + "\n")
        console.say(text)
    ranks.leave()


if __name__ == "__main__":
    main()
