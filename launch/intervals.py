"""Intervals of means, by bootstrap: Efron 1979; stratified, Agarwal et al. 2021.

They hold for new episodes (or runs) of what was drawn from, not for other seeds of a training.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from veldt.launch.console import number
from veldt.platform.envs.atari_scores import scores_of

CONFIDENCE = 0.95
RESAMPLES = 9_999
DRAWS = 50_000_000  # at most, so that a million episodes take seconds


def interval(returns: Sequence[float]) -> tuple[float, float] | None:
    """A bootstrap interval (percentile) of the mean; None for fewer than two episodes."""
    if len(returns) < 2:
        return None
    return stratified([np.asarray(returns, float)], lambda only: only.mean(-1))


def stratified(
    groups: Sequence[NDArray[np.float64]],
    statistic: Callable[..., Any],
    resamples: int = RESAMPLES,
) -> tuple[float, float] | None:
    """A bootstrap interval (percentile) of a statistic of several groups, each drawn from anew by
    itself (arXiv:2108.13264, section 4.1); None where a group has fewer than two values.

    Args:
        groups: [values] each.
        statistic: Of the groups, [..., values] each, to [...].
        resamples: Of the bootstrap; fewer where there is much to draw.
    """
    if any(len(values) < 2 for values in groups):
        return None
    size = sum(map(len, groups))
    found = scipy.stats.bootstrap(
        tuple(groups),
        lambda *drawn, axis=-1: statistic(*drawn),  # noqa: ARG005
        n_resamples=min(resamples, max(200, DRAWS // size)),
        batch=max(1, 1_000_000 // size),
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def interval_text(returns: Sequence[float]) -> str:
    """The interval for people."""
    bounds = interval(returns)
    return f"{number(bounds[0])} to {number(bounds[1])}" if bounds else "needs two episodes"


def bounds(name: str, found: tuple[float, float] | None) -> dict[str, float | None]:
    """An interval as NAME_low and NAME_high; None where there is none."""
    low, high = found or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def with_intervals(result: dict[str, Any], environment: str) -> dict[str, Any]:
    """An evaluation with the 95 % intervals of its means, task by task where it has tasks.

    Args:
        result: As `agents.evaluate.score` has it.
        environment: Of an evaluation without tasks.

    Returns:
        It, and `mean_return_low` and `mean_return_high`; where there are human-normalised
        scores, which are linear in the mean return, `normalised_score_low` and `_high`; over
        several tasks `mean_normalised_score_low` and `_high`, episodes drawn task by task.
    """
    if "tasks" not in result:
        return result | _of_one(result, environment)
    tasks = {name: scored | _of_one(scored, name) for name, scored in result["tasks"].items()}
    found = result | {"tasks": tasks}
    known = [
        np.array([scores.normalised(value) for value in scored["returns"]])
        for name, scored in tasks.items()
        if (scores := scores_of(name)) is not None
    ]
    if known:
        drawn = stratified(known, lambda *games: sum(g.mean(-1) for g in games) / len(games))
        found |= bounds("mean_normalised_score", drawn)
    return found


def _of_one(scored: dict[str, Any], environment: str) -> dict[str, float | None]:
    """The intervals of one task's evaluation."""
    found, scores = interval(scored["returns"]), scores_of(environment)
    intervals = bounds("mean_return", found)
    if scores is not None:
        ends = (scores.normalised(found[0]), scores.normalised(found[1])) if found else None
        intervals |= bounds("normalised_score", ends)
    return intervals
