"""The tables of learned losses, from what `launch/results.sh epg` searched and compared."""

from pathlib import Path
from typing import Any

import numpy as np

from veldt.launch.console import number
from veldt.launch.epg_report import WORDS, pairs
from veldt.launch.evolution_results import markdown
from veldt.launch.intervals import interval
from veldt.launch.lives_bench import WAYS
from veldt.launch.replicates import Replicates
from veldt.platform.records import read
from veldt.platform.runs import read_json

# Folder -> the search whose loss is in it.
ABLATIONS = {
    "direction": "epg/direction",
    "shuffled": "epg/direction --set shuffled=true",
    "no-bootstrap": "epg/direction --set problem.bootstrap=0",
    "no-context": "epg/direction --set problem.loss.context=0",
    "no-memory": "epg/direction --set problem.loss.memory=0",
    "not-mirrored": "epg/direction --set strategy.mirrored=false",
}
OTHER_LOSSES = {
    "drift": "epg/drift",
    "v-trace": "epg/v-trace",
    "halfcheetah": "epg/halfcheetah",
}


def epg_tables(folder: Path) -> list[str]:
    """The tables of what is there."""
    found = [_ablations(folder)]
    for name in ("direction", *OTHER_LOSSES):
        for path in sorted((folder / name).glob("bench*.json")):
            found += _comparison(name, read_json(path))
    found.append(_inside_impala(folder / "impala"))
    found.append(_speed(folder / "bench-lives.json"))
    return [text for text in found if text]


def _ablations(folder: Path) -> str:
    rows: list[list[str]] = []
    whole: dict[str, Any] = {}
    for name, command in ABLATIONS.items():
        path = folder / name / "bench.json"
        if not path.exists():
            continue
        found, search = read_json(path), read_json(folder / name / "1" / "summary.json")
        whole = whole or found
        rows.append(
            [
                f"`{command}`",
                number(found["epg_return"]),
                _less(found, whole) if rows else "-",
                _interval(found, "random_difference"),
                number(found["no_reward_return"]),
                *(number(found[f"longer_{times}_return"]) for times in (4, 8)),
                _both_halves(found),
                *(_share(found, f"{who}left_half_share") for who in ("", "fixed_")),
                f"{search['wall_seconds'] / 60:.0f} min",
            ]
        )
    if not rows:
        return ""
    names = ["`veldt search ...`", "return", "less the first, paired"]
    names += ["above not learning, paired", "without rewards"]
    names += [
        "lives 4 times as long",
        "8 times",
        "above not learning on tasks everywhere",
        "of the gain kept on the left",
        "by a fixed policy",
    ]
    names += ["search"]
    return markdown(names, rows)


def _comparison(name: str, found: dict[str, Any]) -> list[str]:
    """The losses that lived the same lives, and the paired differences."""
    rows = []
    for key in found:
        loss = key.removesuffix("_return")
        if key != loss and loss in WORDS:
            settings = found.get(f"{loss}_settings", {})
            chosen = ", ".join(f"{k} {number(v)}" for k, v in settings.items())
            under = number(found[f"{loss}_area"])
            rows.append([WORDS[loss], number(found[key]), under, chosen])
    place = f"{name}, {found['environment']}, {found['lives']} lives"
    area = found["area_of"]
    losses = markdown([place, "return", area, "best of the grid"], rows)
    rows = [
        [
            f"{WORDS[one]} less {WORDS[other]}",
            _interval(found, f"{prefix}difference"),
            _interval(found, f"{prefix}area_difference"),
        ]
        for prefix, one, other in pairs(found)
    ]
    return [losses, markdown([f"paired, {place}", "return", area], rows)]


def _inside_impala(folder: Path) -> str:
    """Trainings by IMPALA's own loss and by the evolved one, of the same seeds."""
    rows = []
    for place in sorted(folder.glob("*/")):
        came = {way: _trainings(place / way) for way in ("plain", "evolved")}
        seeds = sorted(set(came["plain"]) & set(came["evolved"]))
        if not seeds:
            continue
        row = [f"`{place.name}`", str(len(seeds))]
        for what in range(2):
            plain, evolved = (
                Replicates(tuple(came[way][seed][what] for seed in seeds))
                for way in ("plain", "evolved")
            )
            pairs = zip(plain.scores, evolved.scores, strict=True)
            less = Replicates(tuple(new - old for old, new in pairs))
            row += [number(plain.mean), number(evolved.mean), f"{number(less.mean)} ({less.text})"]
        rows.append(row)
    names = ["`veldt train ...`", "seeds", "evaluation, plain", "evolved", "difference, paired"]
    names += ["mean return of all records, plain", "evolved", "difference, paired"]
    return markdown(names, rows) if rows else ""


def _trainings(folder: Path) -> dict[str, tuple[float, float]]:
    """Seed -> what was evaluated, and the mean over the training: the area under its curve."""
    found = {}
    for path in sorted(folder.glob("*/evaluation.json")):
        curve = [r["mean_return"] for r in read(path.parent) if r.get("mean_return") is not None]
        if curve:
            found[path.parent.name] = read_json(path)["mean_return"], sum(curve) / len(curve)
    return found


def _speed(path: Path) -> str:
    if not path.exists():
        return ""
    found = read_json(path)
    rows = [
        [
            f"`veldt bench lives {found['recipe']}`, {size} rank(s)",
            f"{found[f'lives_steps_{size}']:,.0f}",
            *(
                part
                for way in WAYS
                for part in (
                    f"{found[f'{way}_steps_{size}']:,.0f}",
                    f"{found[f'{way}_ratio_{size}']:.1f}",
                )
            ),
            "-" if size == 1 else f"{found[f'efficiency_{size}']:.2f}",
        ]
        for size in (1, 2)
    ]
    names = ["command, lives x steps a second", "lives together", "a process for each", "ratio"]
    return markdown([*names, "processes that stay", "ratio", "efficiency"], rows)


def _less(found: dict[str, Any], whole: dict[str, Any]) -> str:
    """An ablation's lives less those of the whole loss, which were the same lives."""
    if (found["seed"], found["lives"]) != (whole["seed"], whole["lives"]):
        return "-"
    paired = np.subtract(found["epg_returns"], whole["epg_returns"])
    ends = interval(paired.tolist())
    return number(paired.mean()) + (f" ({number(ends[0])} to {number(ends[1])})" if ends else "")


def _both_halves(found: dict[str, Any]) -> str:
    return _interval(found, "epg_all_random_difference") if "epg_all_return" in found else "-"


def _share(found: dict[str, Any], name: str) -> str:
    if found.get(name) is None:
        return "-"
    share, low, high = (found[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{share:.0%} ({low:.0%} to {high:.0%})"


def _interval(found: dict[str, Any], name: str) -> str:
    mean, low, high = (number(found[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{mean} ({low} to {high})"
