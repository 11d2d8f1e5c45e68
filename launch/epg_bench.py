"""A learned loss against hand-written ones, on tasks that nothing was chosen by.

    veldt bench epg DIR --lives 100
    veldt bench epg DIR --set environment.id=Acrobot-v1      elsewhere than it was evolved

All live the same lives, so that differences are paired, and a life that breaks counts for each
as the worst of all; see agents/lives/contest.py.
"""

import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rich.table
from numpy.typing import NDArray

from veldt.agents.build import use_threads
from veldt.agents.lives import loss_file
from veldt.agents.lives.catalogue import kind_of
from veldt.agents.lives.contest import Contest, Record, Tuned, counted
from veldt.agents.lives.settings import LifeSettings
from veldt.launch import epg_report
from veldt.launch.console import Console, number
from veldt.launch.epg_report import EPISODE, REWARD, pairs
from veldt.launch.intervals import interval, stratified
from veldt.platform.keys import Key
from veldt.platform.settings import override

LONGER = (4, 8)
RIVALS = {"epg": ("ppo", "policy-gradient"), "drift": ("ppo", "dpo"), "v-trace": ("ppo",)}
HALVES = ("right", "left")
UNEVOLVED = "losses as evolution begins with, one for each life"
HEAD = ("return", "area", "broken", "settings")


def epg(
    folder: Path, assignments: list[str], lives: int, seed: int, rivals: bool, console: Console
) -> dict[str, Any]:
    """Lives `lives` lives by each loss.

    Args:
        folder: A search's, with loss.safetensors in it, or such a file.
        assignments: `--set`, over how members of the search lived.
        lives: Of each, on unseen tasks.
        seed: Of them.
        rivals: Whether losses written by hand live them too.

    Raises:
        InputError: if there is no loss.
    """
    use_threads(1)
    frozen = loss_file.load(folder / "loss.safetensors" if folder.is_dir() else folder)
    life = LifeSettings.parse(override(frozen.life.dump(), assignments))
    begun = time.perf_counter()
    contest = Contest(frozen, life, lives, Key(seed).child("contest"))
    records: dict[str, Record] = {}

    def run(name: str, words: str, found: Any) -> None:
        console.say(f"{words} ...")
        lived = found()
        if isinstance(lived, Tuned):
            records[name], records[epg_report.by_area(name)] = lived.by_return, lived.by_area
        else:
            records[name] = lived

    part = kind_of(frozen.settings).any_shape
    if part:  # of a loss written by hand, whose settings it needs
        run("epg", "the evolved loss, each of a grid", contest.tuned)
        run("unevolved", UNEVOLVED, lambda: contest.tuned(False))
        run("epg_as_lived", "the evolved loss as it was evolved", contest.evolved)
        run("ppo_as_lived", "PPO with the same settings", lambda: contest.as_lived("ppo"))
    else:
        run("epg", "the evolved loss", contest.evolved)
        run("unevolved", UNEVOLVED, contest.unevolved)
    if frozen.policy is not None:  # evolved with the loss, which begins with it in what follows
        run(
            "epg_fresh",
            "the evolved loss from fresh weights",
            lambda: contest.evolved(fresh=True),
        )
        run(
            "first_policy",
            "the evolved first policy, not learning",
            lambda: contest.random(evolved=True),
        )
    run("random", "a policy that does not learn", contest.random)
    run("no_reward", "the evolved loss without rewards", lambda: contest.evolved(blind=True))
    for times in LONGER:
        run(
            f"longer_{times}",
            f"lives {times} times as long",
            lambda times=times: contest.evolved(longer=times),
        )
    if "half" in life.environment.options:
        for side in HALVES:
            run(
                f"epg_{side}", f"tasks to the {side}", lambda side=side: contest.evolved(half=side)
            )
            run(f"random_{side}", "... not learning", lambda side=side: contest.random(half=side))
        # On one half alone, who pushes all agents the same way may look as if it learnt.
        everywhere = {
            "epg_all": ("tasks everywhere", contest.evolved),
            "no_reward_all": ("... without rewards", lambda **o: contest.evolved(blind=True, **o)),
            "unevolved_all": ("... by losses not evolved", contest.unevolved),
            "random_all": ("... not learning", contest.random),
        }
        for name, (words, lives_of) in everywhere.items():
            run(name, words, lambda lives_of=lives_of: lives_of(half="all"))
    for name in RIVALS[frozen.settings.kind] if rivals else ():
        run(name.replace("-", "_"), f"{name}, each of a grid", lambda n=name: contest.by_hand(n))
    if "half" in life.environment.options:  # what a policy knows beforehand, without learning
        chosen = records["ppo"].settings if "ppo" in records else {}
        console.say("a policy trained on tasks to the right, and fixed ...")
        for side, record in contest.fixed("right", HALVES, chosen).items():
            records[f"fixed_{side}"] = record
    result: dict[str, Any] = {"environment": life.environment.id, "lives": lives, "seed": seed}
    result["area_of"] = REWARD if records["epg"].alike else EPISODE
    result["provenance"] = frozen.provenance
    records = counted(records)
    for name, record in records.items():
        result |= {
            f"{name}_return": float(record.returns.mean()),
            f"{name}_area": float(record.areas.mean()),
            f"{name}_broken": record.broken,
        }
        if record.settings:
            result[f"{name}_settings"] = record.settings
    result["epg_returns"] = records["epg"].returns.tolist()
    result |= differences(records)
    if "epg_left" in records:
        for prefix, who in (("", "epg"), ("fixed_", "fixed")):
            share = left_half_share(records, who) or (None, None, None)
            for end, value in zip(("", "_low", "_high"), share, strict=True):
                result[f"{prefix}left_half_share{end}"] = value
    if frozen.settings.kind == "drift":
        result["closed_form"] = dataclasses.asdict(epg_report.closed_form(frozen))
    if folder.is_dir():
        console.say("the page ...")
        place = life.environment.id.replace("/", "-")
        page = folder / (f"epg-{place}.html" if assignments else "epg.html")
        result["report"] = str(epg_report.write(page, result, records, frozen, life))
    return result | {"seconds": time.perf_counter() - begun}


def differences(records: Mapping[str, Record]) -> dict[str, float]:
    """Of all pairs of losses, life by life: their means and 95 % intervals.

    Args:
        records: By name. Whoever had a grid meets the areas with the settings that are best for
            them.
    """
    found: dict[str, float] = {}
    for prefix, one, other in pairs(records):
        throughout = [records.get(epg_report.by_area(n), records[n]).areas for n in (one, other)]
        for what, values in (
            ("difference", (records[one].returns, records[other].returns)),
            ("area_difference", throughout),
        ):
            paired = values[0] - values[1]
            low, high = interval(paired.tolist()) or (math.nan, math.nan)
            found |= {
                f"{prefix}{what}": float(paired.mean()),
                f"{prefix}{what}_low": low,
                f"{prefix}{what}_high": high,
            }
    return found


def left_half_share(
    records: Mapping[str, Record], name: str = "epg"
) -> tuple[float, float, float] | None:
    """Of the gain on the right over not learning, how much there is on the left, with its 95 %
    bootstrap interval; None where the gain on the right is not above 0 by its own, and there is
    nothing to keep.

    Args:
        records: By name.
        name: Whose gain.
    """
    gains = {s: records[f"{name}_{s}"].returns - records[f"random_{s}"].returns for s in HALVES}
    low, _ = interval(gains["right"].tolist()) or (math.nan, math.nan)
    if not low > 0.0:
        return None

    def share(left: NDArray[np.float64], right: NDArray[np.float64]) -> Any:
        return left.mean(-1) / right.mean(-1)

    ends = stratified([gains["left"], gains["right"]], share) or (math.nan, math.nan)
    return float(share(gains["left"], gains["right"])), *ends


def show(result: dict[str, Any], console: Console) -> None:
    table = rich.table.Table(title=f"{result['lives']} lives by each", title_justify="left")
    for column in ("", *HEAD):
        table.add_column(column, justify="right" if column in HEAD[:3] else "left")
    for key in result:
        name = key.removesuffix("_return")
        if key != name:
            settings = result.get(f"{name}_settings", {})
            words = ", ".join(f"{k} {number(v)}" for k, v in settings.items())
            numbers = (number(result[f"{name}_{what}"]) for what in HEAD[:3])
            table.add_row(name, *numbers, words)
    console.say(table)
    console.say(f"area: {result['area_of']}, over the whole life")
    for prefix, one, other in epg_report.pairs(result):
        parts = (result[f"{prefix}difference{end}"] for end in ("", "_low", "_high"))
        mean, low, high = map(number, parts)
        words = f"{epg_report.WORDS[one]} less {epg_report.WORDS[other]}"
        console.say(f"{words}: {mean} ({low} to {high}), paired, 95 %")
    if "closed_form" in result:
        form = {name: number(value) for name, value in result["closed_form"].items()}
        console.say(
            f"read off the drift: {form['a']} relu(g - alpha tanh(g / alpha)), alpha "
            f"{form['alpha']}, where A >= 0; {form['b']} and beta {form['beta']} where A < 0; "
            f"residual {form['residual']} of its size (DPO: 1, 2, 1, 0.6)"
        )
    if "left_half_share" in result:
        for key, who in (("", "the evolved loss"), ("fixed_", "a policy trained on the right")):
            share = result[f"{key}left_half_share"]
            words = "no clear gain on the right"
            if share is not None:
                low, high = (result[f"{key}left_half_share{end}"] for end in ("_low", "_high"))
                words = f"{share:.0%} ({low:.0%} to {high:.0%}) on the left"
            console.say(f"of the gain on the right, {who}: {words}")
