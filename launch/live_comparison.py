"""The default policy beside random search, in real trainings: `launch/results.sh live` runs them.

    python -P -m veldt.launch.live_comparison FOLDER [--json]

FOLDER/POLICY/SEED is a study of the recipe `search/cartpole-hard`: as it is, or by random search
for as many environment steps, which takes the highest score at its word. What is compared is
what the winners come to on seeds that nothing was chosen by, study by study: the two studies of a
seed are a pair, and the interval is Student's t of the pairs' differences.
"""

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import rich.table
import scipy.stats

from veldt.launch.console import Console, number
from veldt.platform.errors import InputError
from veldt.platform.runs import read_json

POLICIES = ("default", "random")
CONFIDENCE = 0.95
HELD = "heldout_mean_return"


def compared(folder: Path) -> dict[str, Any]:
    """All numbers.

    Args:
        folder: Of the studies of both policies.

    Raises:
        InputError: if there are fewer than two pairs of studies that are over.
    """
    found = {policy: _summaries(folder / policy) for policy in POLICIES}
    seeds = sorted(set.intersection(*(set(each) for each in found.values())))
    if len(seeds) < 2:
        raise InputError(
            f"{folder}: {len(seeds)} seed(s) with a study of each policy that is over, and an "
            "interval takes two; `bash launch/results.sh live` makes five."
        )
    pairs = [{policy: _study(found[policy][seed]) for policy in POLICIES} for seed in seeds]
    differences = [pair["default"][HELD] - pair["random"][HELD] for pair in pairs]
    mean = statistics.fmean(differences)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    half = error * float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1))

    def total(policy: str, name: str) -> float:
        return math.fsum(pair[policy][name] for pair in pairs)

    return {
        "studies": [
            {"seed": seed, "difference": difference} | pair
            for seed, difference, pair in zip(seeds, differences, pairs, strict=True)
        ],
        **{f"{policy}_mean_return": total(policy, HELD) / len(pairs) for policy in POLICIES},
        "difference": mean,
        "difference_low": mean - half,
        "difference_high": mean + half,
        "won": sum(difference > 0.0 for difference in differences),
        "steps_ratio": total("default", "steps") / total("random", "steps"),
        "wall_seconds": {policy: total(policy, "wall_seconds") for policy in POLICIES},
    }


def _summaries(folder: Path) -> dict[str, dict[str, Any]]:
    """By the seed of the study."""
    return {path.parent.name: read_json(path) for path in folder.glob("*/summary.json")}


def _study(summary: dict[str, Any]) -> dict[str, Any]:
    names = (HELD, "heldout_standard_error", "best_score", "trials", "steps", "wall_seconds")
    return {name: summary[name] for name in names}


def rows(found: dict[str, Any]) -> list[list[str]]:
    """Of the table: a study of each policy in a row, and what they come to."""
    made = [
        [
            study["seed"],
            *(
                f"{number(study[p][HELD])} ± {number(study[p]['heldout_standard_error'])}"
                for p in POLICIES
            ),
            number(study["difference"]),
            *(f"{study[p]['steps']:,}" for p in POLICIES),
        ]
        for study in found["studies"]
    ]
    low, high = (number(found[f"difference_{end}"]) for end in ("low", "high"))
    means = [number(found[f"{policy}_mean_return"]) for policy in POLICIES]
    last = f"{number(found['difference'])} ({low} to {high})"
    return [*made, ["mean, 95 %", *means, last, f"{found['steps_ratio']:.2f} of", "random's"]]


HEAD = ["study", "default, held out", "random, held out", "difference", "steps", "random's steps"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="veldt.launch.live_comparison", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    try:
        found = compared(given.folder)
    except InputError as error:
        parser.error(str(error))
    if given.json:
        print(json.dumps(found))
        return
    table = rich.table.Table()
    for column in HEAD:
        table.add_column(column, justify="right")
    for row in rows(found):
        table.add_row(*row)
    Console().say(table)


if __name__ == "__main__":
    main()
