"""Which settings the good trials owe their scores to: PED-ANOVA, Optuna's.

Watanabe, Bansal and Hutter 2023, "PED-ANOVA", arXiv:2304.10255; for settings that are not always
there, arXiv:2601.20800. A setting matters as far as its values among the best trials are spread
otherwise than among all. Beside it what chance alone does: the same with the scores dealt out
anew, again and again.
"""

import dataclasses
from collections.abc import Sequence

from veldt.platform.keys import Key
from veldt.search.optuna_points import parameters, quiet
from veldt.search.space.space import Point
from veldt.search.space.tree import Tree

ENOUGH = 20  # trials
BEST = 5  # of them at least, for a density
SHARE = 0.1  # of all that are the best, where that is more
DEALS = 20  # of the scores anew: what none of them reached has a chance of less than 1 in 20
MOST = 1000  # trials looked at, the last ones; it is for a page that somebody waits for

Answers = Sequence[tuple[Point, float]]


@dataclasses.dataclass(frozen=True)
class Importance:
    """What was found."""

    shares: dict[str, float]
    """setting -> its share of all importance, the highest first"""
    chance: float
    """the highest share that any setting came to by chance, on the same scale"""
    best: int
    """trials that were taken for the good ones"""
    trials: int


def importance(space: Tree, answers: Answers) -> Importance | str:
    """Of each setting; a sentence if it cannot be said.

    Args:
        space: That was searched.
        answers: Points with their scores, all after trainings of one length.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.trial import TrialState, create_trial

    count = len(answers)
    if count < ENOUGH:
        return f"It takes {ENOUGH} trials of one length, and there are {count}."
    answers = answers[-MOST:]
    scores = [score for _, score in answers]
    if min(scores) == max(scores):
        return "All trials have the same score."
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize")
    for point, score in answers:
        values, distributions = parameters(space, point)
        with quiet():
            trial = create_trial(
                state=TrialState.COMPLETE,
                value=-score,
                params=values,
                distributions=distributions,
            )
            study.add_trial(trial)
    best = max(BEST, round(SHARE * len(scores)))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=best / len(scores))

    def measured(dealt: Sequence[float]) -> dict[str, float]:
        with quiet():
            found = evaluator.evaluate(study, target=lambda trial: -dealt[trial.number])
        return {name: float(value) for name, value in found.items()}

    found = measured(scores)
    whole = sum(found.values())
    if not whole > 0.0:
        return "The best trials are spread over every setting as all of them are."
    random = Key(0).child("importance").generator()
    chances = [max(measured(random.permutation(scores).tolist()).values()) for _ in range(DEALS)]
    ordered = sorted(found, key=lambda name: (-found[name], name))
    shares = {name: found[name] / whole for name in ordered}
    return Importance(shares, max(chances) / whole, best, len(scores))
