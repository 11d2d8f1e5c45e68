"""Optuna as its users call it, beside our searchers that are made of it.

`optuna-tpe` and `optuna-gp` are seeded anew for every question with the seeds of our searchers,
and must ask the same: whatever lies between, stages, log and simulator, adds nothing.
`optuna-cma` has one seed, as it is meant.
"""

import warnings
from collections.abc import Callable
from typing import Any

from veldt.platform.keys import Key
from veldt.search.space.space import Point, Space
from veldt.search.space.tree import Number, Open, Pick, Repeat, Scalar

FIRST = 10  # random ones, in Optuna and in our searchers


def _tpe(seed: int) -> Any:
    from optuna.samplers import TPESampler

    return TPESampler(
        n_startup_trials=FIRST,
        n_ei_candidates=24,
        multivariate=True,
        group=True,
        constant_liar=True,
        seed=seed,
    )


def _gp(seed: int) -> Any:
    from optuna.samplers import GPSampler

    return GPSampler(n_startup_trials=FIRST, deterministic_objective=False, seed=seed)


def _cma(seed: int) -> Any:
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(seed=seed)


RIVALS = {"optuna-tpe": _tpe, "optuna-gp": _gp, "optuna-cma": _cma}
TWINS = {"optuna-tpe": "tpe", "optuna-gp": "gp"}


def optimise(
    rival: str, space: Space, key: Key, trials: int, answer: Callable[[Point, int], float]
) -> list[Point]:
    """The points that a rival asks about, in order.

    Args:
        rival: Of `RIVALS`.
        space: Without conditions.
        key: Of the searcher that is its twin.
        trials: How many.
        answer: What point and number score.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found: list[Point] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of experimental arguments
        study = optuna.create_study(direction="maximize")
        for number in range(trials):
            if number == 0 or rival in TWINS:
                study.sampler = RIVALS[rival](key.child("point", number).integer())
            trial = study.ask()
            found.append({name: _suggested(trial, name, n) for name, n in space.nodes.items()})
            study.tell(trial, answer(found[-1], number))
    return found


def _suggested(trial: Any, name: str, node: Open) -> Scalar:
    """A decision; numbers with as few digits as ours."""
    match node:
        case Pick(options):
            return node.label(trial.suggest_categorical(name, range(len(options))))
        case Repeat(_, low, high):
            return int(trial.suggest_int(name, low, high))
        case Number(low, high, log, whole, step):
            if whole:
                return int(trial.suggest_int(name, int(low), int(high), log=log))
            return node.nearest(trial.suggest_float(name, low, high, log=log, step=step))
