"""What a study came to: the numbers of its summary."""

import math
from typing import Any

from veldt.search.border import at_border
from veldt.search.searcher import digest
from veldt.search.space.space import Space
from veldt.search.view import Purpose, Trial, View


def findings(view: View, winner: Trial, searcher: dict[str, Any], space: Space) -> dict[str, Any]:
    """The numbers of summary.json; "best" is the winner.

    Args:
        view: Of a study that is over.
        winner: Of it.
        searcher: Its state.
        space: That was searched.
    """
    best = view.best
    tested = [body["evaluation"] for body in tests(view, winner.number)]
    first = tested[0]
    means = [evaluation["mean_return"] for evaluation in tested]
    error = first["standard_error"]
    if len(means) > 1:  # between trainings: what episodes vary by is in it
        mean = math.fsum(means) / len(means)
        spread = math.fsum((x - mean) ** 2 for x in means) / (len(means) - 1)
        error = math.sqrt(spread / len(means))
    return {
        "trials": len(view.trials),
        "failed_trials": sum(t.state == "condemned" for t in view.trials.values()),
        "failed_attempts": view.failed,
        "lost_ranks": view.lost_ranks,
        "checkpoints_dropped": view.drops,
        "promotable_dropped": view.missed_drops,
        "highest_score": best.score if best else None,
        "best_trial": winner.number,
        "best_score": winner.score,
        "best_settings": winner.point,
        "at_border": at_border(space, winner.point),
        "validation_mean_return": view.mean("validate", winner.number),
        "heldout_mean_return": math.fsum(means) / len(means),
        "heldout_standard_error": error,
        "heldout_episodes": sum(evaluation["episodes"] for evaluation in tested),
        "steps": steps(view),
        "fingerprint": digest(
            {
                "searcher": searcher,
                "trials": [
                    [t.number, t.point, t.parent, sorted(t.scores.items())]
                    for t in view.trials.values()
                ],
            }
        ),
    }


def results(view: View, purpose: Purpose) -> list[dict[str, Any]]:
    """Of all segments of a purpose."""
    return [
        view.results[number]
        for number, segment in view.segments.items()
        if segment.purpose == purpose and number in view.results
    ]


def tests(view: View, trial: int) -> list[dict[str, Any]]:
    """Of a trial's last trainings, the longest ones if it was made longer."""
    segments = view.segments
    mine = [body for body in results(view, "test") if segments[body["segment"]].trial == trial]
    longest = max((segments[body["segment"]].end for body in mine), default=0)
    return [body for body in mine if segments[body["segment"]].end == longest]


def steps(view: View) -> int:
    """Environment steps of all trainings, what a fork began with not counted again."""
    furthest: dict[Any, dict[str, Any]] = {}
    anew = 0  # of trainings that began from 0 again, since their checkpoints were gone
    for number, body in sorted(view.results.items()):
        # Where each stretch begins from 0, each counts.
        again = number if body["summary"].get("from_zero") else None
        segment = view.segments[number]
        before = furthest.get((segment.name, again))
        if before is not None and segment.purpose == "tune" and segment.begin == 0:
            anew += before["summary"].get("steps", 0)
        furthest[segment.name, again] = body
    total: int = anew + sum(body["summary"].get("steps", 0) for body in furthest.values())
    for trial in view.trials.values():
        if trial.parent is not None and trial.scores:
            body = next(
                body
                for number, body in view.results.items()
                if view.segments[number].trial == trial.parent[0]
                and body["frames"] == trial.parent[1]
            )
            total -= body["summary"].get("steps", 0)
    return total
