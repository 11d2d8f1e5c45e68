"""Optuna's samplers as searchers: TPE and Gaussian processes.

Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"; Akiba et al. 2019,
arXiv:1907.10902. What is bought is the model. The study is in memory and rebuilt from the log:
the sampler is seeded anew for every question, so that what it says is a function of the answers
and of the question's number.

Scores of shorter trainings are kept apart by their length. Asked for a point, the model looks at
the longest that enough trials have come to. TPE with `random = 0.33` under the scheduler
`hyperband` is BOHB (Falkner et al. 2018, arXiv:1807.01774), with Optuna's estimator for theirs.

A trial that diverged is a result: at every length that it has no score of it is told as minus
infinity, once there is a score to be below. TPE puts that last; the Gaussian process takes it
for the worst score it has at the time. One that was killed, or ran out of memory, says nothing
of its point, and is left out.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.optuna_points import distribution, parameters, quiet
from veldt.search.searcher import Question
from veldt.search.space import walk
from veldt.search.space.space import Point, Space
from veldt.search.space.tree import Number, Pick, Scalar


class TpeSettings(Settings):
    """Tree-structured Parzen estimators."""

    method: Literal["tpe"] = "tpe"
    trials: int = pydantic.Field(ge=1, le=1_000_000)
    first: int = pydantic.Field(10, ge=1, le=100_000)
    """Random ones, before the model is asked"""
    candidates: int = pydantic.Field(24, ge=1, le=100_000)
    """Of which the model takes the best"""
    multivariate: bool = True
    """Model settings together, and not each for itself"""
    random: float = pydantic.Field(0.0, ge=0.0, le=1.0)
    """This share of the questions is random, whatever the model thinks (BOHB: a third)"""


class GpSettings(Settings):
    """A Gaussian process; for some hundred trials."""

    method: Literal["gp"] = "gp"
    trials: int = pydantic.Field(ge=1, le=10_000)
    first: int = pydantic.Field(10, ge=1, le=10_000)
    """Random ones, before the model is asked"""
    random: float = pydantic.Field(0.0, ge=0.0, le=1.0)
    """This share of the questions is random, whatever the model thinks"""


def _tpe(settings: TpeSettings, seed: int, known: "_Known") -> Any:
    from optuna.samplers import TPESampler
    from optuna.samplers._tpe.sampler import default_gamma, default_weights

    together = settings.multivariate
    # Where all points have the same settings, there is nothing to group.
    flat = together and known.distributions is not None
    # All arguments: another version's defaults would make another search of the same log.
    sampler = TPESampler(
        consider_prior=True,
        prior_weight=1.0,
        consider_magic_clip=True,
        consider_endpoints=False,
        n_startup_trials=settings.first,
        n_ei_candidates=settings.candidates,
        gamma=default_gamma,
        weights=default_weights,
        seed=seed,
        multivariate=together,
        group=together and not flat,
        warn_independent_sampling=False,
        constant_liar=True,
        constraints_func=None,
    )
    if flat:
        known.teach(sampler)
    return sampler


def _gp(settings: GpSettings, seed: int, known: "_Known") -> Any:
    from optuna.samplers import GPSampler, RandomSampler

    return GPSampler(
        seed=seed,
        independent_sampler=RandomSampler(seed=seed),
        n_startup_trials=settings.first,
        deterministic_objective=False,
        constraints_func=None,
        warn_independent_sampling=False,
    )


class _Optuna:
    """What they have in common."""

    learns_at_once = True

    sampler: Callable[[Any, int, "_Known"], Any]

    def __init__(self, settings: Any, space: Space, key: Key, start: Point | None) -> None:
        self._settings, self._space, self._key = settings, space, key
        self._models: dict[float, _Model] = {}  # share of a whole trial -> what is known there
        self._asked: list[Point] = []
        self._scores: dict[int, dict[float, float | None]] = {}
        self._waiting: dict[int, tuple[float, int]] = {}  # question -> model, its trial there
        self._diverged: list[tuple[Point, int | None]] = []  # and the question, if it was ours

    def ask(self) -> Question | None:
        number = len(self._asked)
        if number == self._settings.trials:
            return None
        chance = self._key.child("random", number).generator()
        if chance.random() < self._settings.random:
            point = self._space.sample(chance)
        else:
            share = self._trusted()
            model = self._model(share)
            seed = self._key.child("point", number).integer()
            mine, point = model.ask(self._sampled(seed, model.known), self._space)
            self._waiting[number] = share, mine
        self._asked.append(point)
        return Question(number, point)

    def _sampled(self, seed: int, known: "_Known") -> Any:
        with quiet():
            return type(self).sampler(self._settings, seed, known)

    def _model(self, share: float) -> "_Model":
        if share not in self._models:
            self._models[share] = _Model(self._space)
            for point, number in self._diverged:
                if number is None or self._scores[number].get(share) is None:
                    self._models[share].shun(point)
        return self._models[share]

    def _trusted(self) -> float:
        """The longest that enough trials have come to."""
        enough = len(self._space.nodes) + 2
        there = [share for share, model in self._models.items() if model.scored >= enough]
        return max(there, default=1.0)

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        self._scores.setdefault(number, {})[share] = score
        model = self._model(share)
        asked = self._waiting.pop(number, None)
        if asked is not None and asked[0] == share:
            model.tell(asked[1], score)
            return
        if asked is not None:  # it was asked about another length
            self._models[asked[0]].tell(asked[1], None)
        model.add(self._asked[number], score)

    def diverged(self, number: int, share: float = 1.0) -> None:
        """A question's training diverged, which it would do in a longer one too."""
        scores = self._scores.setdefault(number, {})
        scores[share] = None
        point = self._asked[number]
        self._diverged.append((point, number))
        asked = self._waiting.pop(number, None)
        for length, model in self._models.items():
            if scores.get(length) is None:
                own = asked[1] if asked is not None and asked[0] == length else None
                model.shun(point, own)

    def shun(self, point: Point) -> None:
        """Takes in that a training diverged that somebody else asked about."""
        self._diverged.append((point, None))
        for model in self._models.values():
            model.shun(point)

    def learn(self, point: Point, score: float, share: float = 1.0) -> None:
        """Takes in what somebody else asked about."""
        self._model(share).add(point, score)

    @property
    def done(self) -> bool:
        return bool(len(self._scores) == self._settings.trials)

    def state(self) -> dict[str, Any]:
        return {
            "points": self._asked,
            "scores": [[n, sorted(s.items())] for n, s in sorted(self._scores.items())],
        }


class _Model:
    """An Optuna study of trials of one length."""

    def __init__(self, space: Space) -> None:
        import optuna  # 0.2 seconds, which other searches need not wait for

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction="maximize")
        self._space, self.known = space, _Known(space)
        self.scored = 0
        self._shunned: list[tuple[Point, int | None]] = []  # until there is a score

    def ask(self, sampler: Any, space: Space) -> tuple[int, Point]:
        with quiet():
            self._study.sampler = sampler
            trial = self._study.ask()
            tree = walk.fill(space.tree, lambda site: _suggested(trial, site))
        return trial.number, walk.decisions(tree)

    def tell(self, number: int, score: float | None) -> None:
        from optuna.trial import TrialState

        self.scored += score is not None
        if score is None:
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, score)
            self._settle()

    def shun(self, point: Point, number: int | None = None) -> None:
        """A trial that diverged; of this study, if it has a number."""
        self._shunned.append((point, number))
        self._settle()

    def _settle(self) -> None:
        """Has those that diverged be the worst, once there is a score."""
        if not self.scored:
            return
        shunned, self._shunned = self._shunned, []
        for point, number in shunned:
            if number is None:
                self._put(point, -math.inf)
            else:
                self._study.tell(number, -math.inf)

    def add(self, point: Point, score: float | None) -> None:
        """A trial that was asked about elsewhere."""
        if score is None:
            return
        self._put(point, score)
        self.scored += 1
        self._settle()

    def _put(self, point: Point, value: float) -> None:
        from optuna.trial import TrialState, create_trial

        params, distributions = parameters(self._space.tree, point)
        with quiet():
            self._study.add_trial(
                create_trial(
                    state=TrialState.COMPLETE,
                    value=value,
                    params=params,
                    distributions=distributions,
                )
            )


class _Known:
    """What a sampler that is made anew for each question would find out anew from all trials:
    which settings there are, and their values as the model has them. The answers are the same.

    Args:
        space: If all its points have the same settings; of others nothing is known.
    """

    def __init__(self, space: Space) -> None:
        self.distributions: dict[str, Any] | None = None
        if not space.grammar and all(p.keys() == space.nodes.keys() for p in space.corners()):
            found: dict[str, Any] = {}
            point = space.corners()[0]

            def decide(site: walk.Site) -> Scalar:
                found[site.address] = distribution(site)
                return point[site.address]

            walk.fill(space.tree, decide)
            ordered = sorted(found.items())
            self.distributions = {name: d for name, d in ordered if not d.single()}
        self._rows: dict[int, list[float]] = {}  # of trials that are over

    def teach(self, sampler: Any) -> None:
        """Has a TPE sampler ask here."""
        literal = sampler._get_internal_repr

        def values(trials: list[Any], searched: dict[str, Any], study: Any) -> Any:
            if searched.keys() != (self.distributions or {}).keys():
                return literal(trials, searched, study)
            rows = [self._rows.get(t.number) or self._row(sampler, t, study) for t in trials]
            columns = np.array([row for row in rows if row], float).reshape(-1, len(searched)).T
            return dict(zip(searched, columns, strict=True))

        sampler.infer_relative_search_space = lambda study, trial: self.distributions
        sampler._get_internal_repr = values

    def _row(self, sampler: Any, trial: Any, study: Any) -> list[float] | None:
        params, distributions = sampler._get_params(trial, study), self.distributions or {}
        if not distributions.keys() <= params.keys():
            return None
        row = [d.to_internal_repr(params[name]) for name, d in distributions.items()]
        if trial.state.is_finished():
            self._rows[trial.number] = row
        return row


def _suggested(trial: Any, site: walk.Site) -> Scalar:
    """A decision by the model; numbers as they are written, with few digits."""
    found = trial._suggest(site.address, distribution(site))
    node = site.node
    if isinstance(node, Pick):
        return node.label(site.options[found])
    return node.nearest(found) if isinstance(node, Number) else int(found)


class Tpe(_Optuna):
    """Where good points are many beside the others."""

    Settings = TpeSettings
    sampler = staticmethod(_tpe)


class Gp(_Optuna):
    """Where a smooth function of the settings may be highest."""

    Settings = GpSettings
    sampler = staticmethod(_gp)
