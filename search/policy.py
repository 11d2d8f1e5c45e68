"""What a search does that says only how much it may cost: `budget = 12`, in whole trials.

The proof is what every search does that does not say how its winner is chosen.

    searcher    auto, which takes turns between models
    scheduler   promotion in rungs of a ninth, a third and the whole (asha); every second trial
                begins at a third, since what a ninth says of slow winners is little
    proof       a race of the best three on validation seeds for 15 % of the budget, or of the
                best two, one training each, where that is less than two of them; below ten
                whole trials the highest score is taken at its word
                then the winner is trained on ten seeds that nothing was chosen by

Breadth first and seeds last is what recorded trainings of PPO say: of 108 settings on Enduro,
the regret of the best after 12 whole trials was 0.15 by halving with resumption and first
rungs of a ninth, 0.32 by random search on one seed, 0.60 on three seeds (replayed on
HPO-RL-Bench's curves, Shala et al. 2024). What a race is for is in the same curves: the best of
one seed each was reported by 8 and 36 % of the range too high on Enduro and Pong, and a second
seed took Pong's regret from 0.16 to 0.06.
"""

import math
from collections.abc import Mapping
from typing import Any

ETA, RUNGS, BRACKETS = 3, 3, 2
RESERVE = 0.15  # of the budget, for validations
FINALISTS, VALIDATIONS, TESTS = 3, 5, 10
LEAST = 10  # whole trials of a search that has a race
STOPPED = 3.0  # a scheduler that stops most trials early gives them a whole one's share of so many


def preset(budget: float, heldout: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a search with nothing but a budget has.

    Args:
        budget: Whole trials that tuning and validation may cost.
        heldout: What its recipe says of them, which is kept.
    """
    shortest = ETA ** (RUNGS - 1)
    return {
        "stages": [{"method": "auto", "trials": max(1, math.ceil(shortest * budget))}],
        "scheduler": {"name": "asha", "eta": ETA, "rungs": RUNGS, "brackets": BRACKETS},
        "heldout": race(budget) | {"tests": TESTS} | dict(heldout),
    }


def race(whole: float) -> dict[str, int]:
    """How the best few are validated.

    Args:
        whole: Whole trials that tuning and validation cost.
    """
    reserved = math.floor(RESERVE * whole)  # whole trainings
    if whole >= LEAST:
        reserved = max(2, reserved)
    finalists = min(FINALISTS, reserved) if reserved > 1 else 1
    return {
        "finalists": finalists,
        "validations": max(1, min(VALIDATIONS, reserved // finalists)),
    }


def tuning(budget: float, finalists: int, validations: int) -> float:
    """Whole trials of a budget that are left for tuning."""
    return budget - (finalists * validations if finalists > 1 else 0)
