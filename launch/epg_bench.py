"""A learned loss against hand-written ones, on tasks that nothing was chosen by.

    veldt bench epg DIR --lives 100

All live the same lives, so that differences are paired; see agents/lives/contest.py.
"""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import rich.table

from veldt.agents.build import use_threads
from veldt.agents.lives import loss_file
from veldt.agents.lives.contest import Contest, Record
from veldt.launch import epg_report
from veldt.launch.console import Console, number
from veldt.launch.evaluation_report import interval
from veldt.platform.keys import Key

LONGER = (4, 8)
HALVES = ("right", "left")
HEAD = ("return", "area", "settings")


def epg(folder: Path, lives: int, seed: int, console: Console) -> dict[str, Any]:
    """Lives `lives` lives by each loss.

    Args:
        folder: A search's, with loss.safetensors in it, or such a file.
        lives: Of each, on unseen tasks.
        seed: Of them.

    Raises:
        InputError: if there is no loss.
    """
    use_threads(1)
    frozen = loss_file.load(folder / "loss.safetensors" if folder.is_dir() else folder)
    begun = time.perf_counter()
    contest = Contest(frozen, frozen.life, lives, Key(seed).child("contest"))
    records: dict[str, Record] = {}

    def run(name: str, words: str, found: Any) -> None:
        console.say(f"{words} ...")
        records[name] = found()

    run("epg", "the evolved loss", contest.evolved)
    run("random", "a policy that does not learn", contest.random)
    run("unevolved", "the loss that evolution began with", contest.unevolved)
    run("no_reward", "the evolved loss without rewards", lambda: contest.evolved(blind=True))
    for times in LONGER:
        run(
            f"longer_{times}",
            f"lives {times} times as long",
            lambda times=times: contest.evolved(longer=times),
        )
    half = {}
    if "half" in frozen.life.environment.options:
        for side in HALVES:
            run(
                f"epg_{side}", f"tasks to the {side}", lambda side=side: contest.evolved(half=side)
            )
            run(f"random_{side}", "... not learning", lambda side=side: contest.random(half=side))
        gains = [_mean(records[f"epg_{s}"]) - _mean(records[f"random_{s}"]) for s in HALVES]
        half["left_half_share"] = gains[1] / gains[0]
    for name in ("ppo", "policy-gradient"):
        run(name.replace("-", "_"), f"{name}, each of a grid", lambda n=name: contest.by_hand(n))
    result: dict[str, Any] = {"lives": lives, "seed": seed, "provenance": frozen.provenance}
    for name, record in records.items():
        result |= {f"{name}_return": _mean(record), f"{name}_area": float(record.areas.mean())}
        if record.settings:
            result[f"{name}_settings"] = record.settings
    for prefix, other in (
        ("", "ppo"),
        ("policy_gradient_", "policy_gradient"),
        ("unevolved_", "unevolved"),
        ("random_", "random"),
        ("no_reward_random_", "random"),
    ):
        one = records["no_reward" if prefix == "no_reward_random_" else "epg"]
        for what, values in (
            ("difference", (one.returns, records[other].returns)),
            ("area_difference", (one.areas, records[other].areas)),
        ):
            paired = values[0] - values[1]
            low, high = interval(paired.tolist()) or (math.nan, math.nan)
            result |= {
                f"{prefix}{what}": float(paired.mean()),
                f"{prefix}{what}_low": low,
                f"{prefix}{what}_high": high,
            }
    result |= half
    if folder.is_dir():
        console.say("the page ...")
        result["report"] = str(epg_report.write(folder / "epg.html", result, records, frozen))
    return result | {"seconds": time.perf_counter() - begun}


def _mean(record: Record) -> float:
    return float(np.nanmean(record.returns))


def show(result: dict[str, Any], console: Console) -> None:
    table = rich.table.Table(title=f"{result['lives']} lives by each", title_justify="left")
    for column in ("", *HEAD):
        table.add_column(column, justify="right" if column in HEAD[:2] else "left")
    for key in result:
        name = key.removesuffix("_return")
        if key != name:
            settings = result.get(f"{name}_settings", {})
            words = ", ".join(f"{k} {number(v)}" for k, v in settings.items())
            table.add_row(name, number(result[key]), number(result[f"{name}_area"]), words)
    console.say(table)
    for prefix, words in (
        ("", "the best of PPO"),
        ("policy_gradient_", "the best of the policy gradient"),
        ("unevolved_", "the un-evolved loss"),
        ("random_", "not learning"),
    ):
        parts = (result[f"{prefix}difference{end}"] for end in ("", "_low", "_high"))
        mean, low, high = map(number, parts)
        console.say(f"evolved less {words}: {mean} ({low} to {high}), paired, 95 %")
    if "left_half_share" in result:
        console.say(f"of the gain on the right, {result['left_half_share']:.0%} on the left")
