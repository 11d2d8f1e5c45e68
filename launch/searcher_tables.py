"""What a comparison of searchers came to, as a table and as JSON.

Contenders are ranked on every problem and seed by what their best point is worth, equal ones at
the mean of their ranks. Against random search, ranks are paired by problem and seed: Wilcoxon's
signed-rank test, two-sided, Holm's correction over the contenders. A twin (`optuna-tpe` of
`tpe`) is not ranked: it has to ask the same questions.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from veldt.launch.searcher_rivals import TWINS
from veldt.platform.runs import write_json
from veldt.search.vectors import Vector

MARKS = (25, 50, 100, 200)  # questions after which the best so far is kept
AGAINST = "random"
OPTUNA = ("tpe", "gp", "optuna-tpe", "optuna-gp", "optuna-cma")

Seen = Mapping[tuple[str, str], Mapping[str, Any]]
"""(problem, contender) -> seed -> record"""


def written(folder: Path, suite: str, seen: Seen, seeds: int) -> str:
    """The table, which is put into the folder, with all its numbers."""
    found = compared(seen, seeds)
    write_json(folder / f"{suite}.json", found)
    text = table(suite, found)
    (folder / f"{suite}.md").write_text(text + "\n")
    return text


def compared(seen: Seen, seeds: int) -> dict[str, Any]:
    """All numbers."""
    contenders = list(dict.fromkeys(contender for _, contender in seen))
    problems = list(dict.fromkeys(problem for problem, _ in seen))
    twins = {twin: of for twin, of in TWINS.items() if twin in contenders and of in contenders}
    ranked = [contender for contender in contenders if contender not in twins]

    def worth(contender: str, mark: int) -> Vector:
        """[problems, seeds], after so many questions."""
        return np.array(
            [
                [_at(seen[problem, contender][str(seed)]["worth"], mark) for seed in range(seeds)]
                for problem in problems
            ]
        )

    marks = [mark for mark in MARKS if mark <= _last(seen)]
    marks = sorted({*marks, _last(seen)})
    ranks = {
        mark: scipy.stats.rankdata(-np.array([worth(c, mark) for c in ranked]), axis=0)
        for mark in marks
    }
    final, last = ranks[marks[-1]], {c: worth(c, marks[-1]) for c in ranked}
    rows: dict[str, dict[str, Any]] = {
        contender: {
            "mean_rank": {str(mark): float(ranks[mark][i].mean()) for mark in marks},
            "by_problem": dict(zip(problems, final[i].mean(1).tolist(), strict=True)),
        }
        for i, contender in enumerate(ranked)
    }
    if AGAINST in ranked:
        others = [contender for contender in ranked if contender != AGAINST]
        base = final[ranked.index(AGAINST)]
        raw = [wilcoxon(final[ranked.index(c)], base, "less") for c in others]
        for contender, p in zip(others, holm(raw), strict=True):
            rows[contender]["p_against_random"] = p
            rows[contender]["won_against_random"] = won(last[contender], last[AGAINST])
    twin_rows = {
        twin: sum(
            seen[p, twin][str(s)]["points"] == seen[p, of][str(s)]["points"]
            for p in problems
            for s in range(seeds)
        )
        / (len(problems) * seeds)
        for twin, of in twins.items()
    }
    found = {"contenders": rows, "twins_equal": twin_rows, "seeds": seeds, "problems": problems}
    samplers = [contender for contender in ranked if contender in OPTUNA]
    if samplers and "auto" in ranked:
        best = min(samplers, key=lambda c: final[ranked.index(c)].mean())
        p = wilcoxon(final[ranked.index("auto")], final[ranked.index(best)])
        found["auto"] = {"best_optuna": best, "p": p, "won": won(last["auto"], last[best])}
    return found


def _at(worth: Mapping[str, float], mark: int) -> float:
    return worth[str(mark)] if str(mark) in worth else worth[max(worth, key=int)]


def _last(seen: Seen) -> int:
    return max(int(n) for seeds in seen.values() for one in seeds.values() for n in one["worth"])


def wilcoxon(a: Vector, b: Vector, alternative: str = "two-sided") -> float:
    """The p of Wilcoxon's signed-rank test of pairs; 1 where all are equal.

    Args:
        a: One's.
        b: The other's, of the same shape.
        alternative: "less": how likely a would be so much lower if it were not.
    """
    off = (a - b).ravel()
    return float(scipy.stats.wilcoxon(off, alternative=alternative).pvalue) if off.any() else 1.0


def holm(p: list[float]) -> list[float]:
    """Holm 1979: p's of several tests, corrected, in their order."""
    order, found, largest = np.argsort(p), [0.0] * len(p), 0.0
    for place, index in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(p) - place) * p[index]))
        found[index] = largest
    return found


def won(a: Vector, b: Vector) -> dict[str, Any]:
    """The share of pairs in which a is better, equal ones half; of all, and by problem."""
    pairs = (a > b) + 0.5 * (a == b)
    return {"all": float(pairs.mean()), "by_problem": pairs.mean(1).tolist()}


def table(suite: str, found: dict[str, Any]) -> str:
    """As Markdown, the best first."""
    rows = found["contenders"]
    marks = list(next(iter(rows.values()))["mean_rank"])
    head = [
        suite,
        *(f"mean rank at {mark}" for mark in marks),
        "pairs won, by problem",
        "p, of a better rank",
    ]
    lines = [head, ["---"] * len(head)]
    for contender, row in sorted(rows.items(), key=lambda item: item[1]["mean_rank"][marks[-1]]):
        shares = row.get("won_against_random")
        many = shares is not None and len(shares["by_problem"]) <= 4
        each = f" ({', '.join(f'{x:.0%}' for x in shares['by_problem'])})" if many else ""
        lines.append(
            [
                f"`{contender}`",
                *(f"{row['mean_rank'][mark]:.2f}" for mark in marks),
                "-" if shares is None else f"{shares['all']:.0%}{each}",
                "-" if shares is None else f"{row['p_against_random']:.2g}",
            ]
        )
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    for twin, share in found["twins_equal"].items():
        text += (
            f"\n\n`{twin}` asks the same questions as `{TWINS[twin]}` in {share:.1%} of studies."
        )
    if "auto" in found:
        auto = found["auto"]
        text += (
            f"\n\n`auto` against the best of Optuna's, `{auto['best_optuna']}`: "
            f"{auto['won']['all']:.0%} of pairs, p = {auto['p']:.2g}."
        )
    return text
