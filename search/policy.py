"""What a search does that says only how much it may cost: `budget = 12`, in whole trials.

    searcher    auto, which takes turns between models
    scheduler   promotion in rungs of a ninth, a third and the whole (asha); every second trial
                begins at a third, since what a ninth says of slow winners is little
    proof       15 % of the budget is for the best three, trained again on validation seeds;
                where that is not two trainings, the highest score is taken at its word
                then the winner is trained on ten seeds that nothing was chosen by

Breadth first and seeds last is what recorded trainings of PPO say: of 108 settings on Enduro,
the regret of the best after 12 whole trials was 0.15 by halving with resumption and first
rungs of a ninth, 0.32 by random search on one seed, 0.60 on three seeds (replayed on
HPO-RL-Bench's curves, Shala et al. 2024).
"""

import math
from collections.abc import Mapping
from typing import Any

ETA, RUNGS, BRACKETS = 3, 3, 2
RESERVE = 0.15  # of the budget, for validations
FINALISTS, VALIDATIONS, TESTS = 3, 5, 10


def preset(budget: float, heldout: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a search with nothing but a budget has.

    Args:
        budget: Whole trials that tuning and validation may cost.
        heldout: What its recipe says of them, which is kept.
    """
    validations = math.floor(RESERVE * budget)  # whole trainings
    finalists = min(FINALISTS, validations) if validations > 1 else 1
    proof = {
        "finalists": finalists,
        "validations": max(1, min(VALIDATIONS, validations // finalists)),
        "tests": TESTS,
    }
    shortest = ETA ** (RUNGS - 1)
    return {
        "stages": [{"method": "auto", "trials": max(1, math.ceil(shortest * budget))}],
        "scheduler": {"name": "asha", "eta": ETA, "rungs": RUNGS, "brackets": BRACKETS},
        "heldout": proof | dict(heldout),
    }


def tuning(budget: float, finalists: int, validations: int) -> float:
    """Whole trials of a budget that are left for tuning."""
    return budget - (finalists * validations if finalists > 1 else 0)
