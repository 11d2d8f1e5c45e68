"""The searcher that is there when nobody names one: several of ours take turns.

A few points of Sobol's sequence; every tenth question random, whatever the models think; and
else, one after another,

    everywhere   where a Gaussian process expects the largest improvement
    nearby       the same among points that are spread as the best fifth is
    tpe          Parzen estimators, which care nothing for how scores are scaled or how smooth
    cma          CMA-ES for mixed spaces, which slides along valleys

Each learns from every answer. Functions with one valley belong to the first, rugged ones with a
trend to the last three; the order was tuned on COCO's instances 1 to 5 only. What the Gaussian
process sees is the logarithm of how far scores lie below the best, so that near the best it
tells apart what a bad score would flatten. Beyond two hundred answers, or where the space is
a grammar, it is left out; in a grammar the best are mutated instead of cma.

Scores of shorter trainings are kept apart by their length. The model looks at the longest that
enough trials have come to (Falkner et al. 2018, "BOHB", arXiv:1807.01774); the others do as
they do on their own.
"""

from typing import Any, Literal

import numpy as np
import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.candidates import Candidates
from veldt.search.cma_search import CmaSearch, CmaSearchSettings
from veldt.search.gaussian_process import GaussianProcess
from veldt.search.optuna_search import Tpe, TpeSettings
from veldt.search.searcher import Question, tell_diverged
from veldt.search.sobol import Sobol, SobolSettings
from veldt.search.space import variation, walk
from veldt.search.space.space import Point, Space
from veldt.search.vectors import Vector

EVER = 1_000_000  # questions of a member, which never comes to its end
RANDOM = 10  # every so many
TURNS = ("everywhere", "nearby", "tpe", "everywhere", "nearby", "cma")
SMALL_TURNS = ("tpe", "cma")
GRAMMAR_TURNS = ("tpe", "mutation")
MODELLED = 200  # answers; more make the Gaussian process slow
LEAST = 4  # answers that a model needs
GLOBAL, LOCAL, TOP = 512, 128, 8  # candidates
SCALES = (0.1, 0.03, 0.01, 0.003)
SAMPLE = 5  # drawn, the best of which is mutated


class AutoSettings(Settings):
    """How many questions; all else is chosen."""

    method: Literal["auto"] = "auto"
    trials: int = pydantic.Field(100, ge=1, le=1_000_000)
    first: int = pydantic.Field(8, ge=1, le=10_000)
    """Sobol's, before a model is asked"""


class AutoSearch:
    """Whose turn it is depends on the question's number alone."""

    Settings = AutoSettings
    learns_at_once = True

    def __init__(
        self, settings: AutoSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        self._settings, self._space, self._key, self._start = settings, space, key, start
        self._points: list[Point] = []
        self._scores: dict[int, dict[float, float | None]] = {}
        self._theta: Vector | None = None
        self._members: dict[str, Any] = {
            "tpe": Tpe(TpeSettings(trials=EVER, first=1), space, key.child("tpe"), None)
        }
        self._asked: dict[int, tuple[str, int]] = {}  # question -> member, and its own
        if not space.grammar:
            self._candidates = Candidates(space)
            sobol = SobolSettings(trials=settings.first)
            self._sobol = Sobol(sobol, space, key.child("sobol"), None)
            cma = CmaSearchSettings(trials=EVER)
            self._members["cma"] = CmaSearch(cma, space, key.child("cma"), start)

    def ask(self) -> Question | None:
        number = len(self._points)
        if number == self._settings.trials:
            return None
        point = self._point(number)
        self._points.append(point)
        return Question(number, point)

    def _point(self, number: int) -> Point:
        random = self._key.child("point", number).generator()
        known = self._known()
        if number == 0 and self._start is not None:
            return self._start
        if number < self._settings.first and not self._space.grammar:
            return self._sobol.point(number)
        scored = [n for n in known if self._scores[n].get(self._trusted()) is not None]
        if number % RANDOM == RANDOM - 1 or len(scored) < LEAST:
            return self._space.sample(random)
        turn = self._turn(number, len(known))
        if turn == "mutation":
            return self._mutated(scored, random)
        if turn in self._members:
            question = self._members[turn].ask()
            self._asked[number] = turn, question.number
            found: Point = question.point
            return found
        return self._modelled(known, turn == "nearby", random)

    def _turn(self, number: int, known: int) -> str:
        if self._space.grammar:
            turns: tuple[str, ...] = GRAMMAR_TURNS
        else:
            turns = TURNS if known <= MODELLED else SMALL_TURNS
        return turns[number % len(turns)]

    def _trusted(self) -> float:
        """The longest share that enough trials have come to, or most."""
        answers = [pair for scores in self._scores.values() for pair in scores.items()]
        shares = [share for share, score in answers if score is not None]
        enough = len(self._space.nodes) + 2
        there = [share for share in set(shares) if shares.count(share) >= enough]
        return (
            max(there)
            if there
            else max(set(shares), key=lambda s: (shares.count(s), s), default=1.0)
        )

    def _known(self) -> list[int]:
        """Questions that were answered at the trusted share, or failed."""
        share = self._trusted()
        return [
            n
            for n, scores in sorted(self._scores.items())
            if share in scores or None in scores.values()
        ]

    def _mutated(self, scored: list[int], random: Any) -> Point:
        share = self._trusted()
        some = random.choice(scored, min(SAMPLE, len(scored)), replace=False).tolist()
        best = max(some, key=lambda n: (self._scores[n][share], -n))
        tree = self._space.tree_of(self._points[best])
        return walk.decisions(variation.mutated(tree, random))

    def _modelled(self, known: list[int], nearby: bool, random: Any) -> Point:
        """Where the Gaussian process would like to look."""
        share = self._trusted()
        told = [self._scores[n].get(share) for n in known]
        encoded = {n: self._space.encode(point) for n, point in enumerate(self._points)}
        x, y = np.array([encoded[n] for n in known]), warped(told)
        process = GaussianProcess(x, y, self._theta)
        self._theta = process.theta
        waiting = [encoded[n] for n in encoded if n not in self._scores]
        if waiting:  # they will be as is expected of them, and nobody need go there
            there = np.array(waiting)
            believed = np.concatenate([y, process.predict(there)[0]])
            process = GaussianProcess(np.vstack([x, there]), believed, self._theta, fit=False)
        best, order = float(y.max()), np.argsort(-y)
        if nearby:
            good = x[order[: max(5, len(x) // 5)]]
            found = self._candidates.among(good, LOCAL * 2, random)
        else:
            found = self._climbed(process, x[order[:5]], best, random)
        promise = process.log_improvement(found, best)
        for place in np.argsort(-promise).tolist():
            point = self._space.decode(found[place])
            if point not in self._points:
                return point
        return self._space.sample(random)

    def _climbed(self, process: GaussianProcess, top: Vector, best: float, random: Any) -> Vector:
        """Candidates from everywhere, and from ever nearer around the most promising."""
        of = self._candidates
        found = np.vstack(
            [
                of.anywhere(GLOBAL, random),
                *(of.near(top, scale, LOCAL, random) for scale in (0.1, 0.02)),
            ]
        )
        for scale in SCALES:
            promise = process.log_improvement(found, best)
            leading = found[np.argsort(-promise)[:TOP]]
            found = np.vstack([leading, of.near(leading, scale, LOCAL, random)])
        return found

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        self._scores.setdefault(number, {})[share] = score
        asker, own = self._asked.get(number, ("", 0))
        for name, member in self._members.items():
            if name == asker:
                member.tell(own, score, share)
            elif score is not None:
                member.learn(self._points[number], score, share)

    def diverged(self, number: int, share: float = 1.0) -> None:
        """The Gaussian process here takes it for the worst, as every failure."""
        self._scores.setdefault(number, {})[share] = None
        asker, own = self._asked.get(number, ("", 0))
        for name, member in self._members.items():
            if name == asker:
                tell_diverged(member, own, share)
            elif isinstance(member, Tpe):
                member.shun(self._points[number])

    @property
    def done(self) -> bool:
        return len(self._scores) == self._settings.trials

    def state(self) -> dict[str, Any]:
        return {
            "points": self._points,
            "scores": [[n, sorted(s.items())] for n, s in sorted(self._scores.items())],
        }


def warped(scores: list[float | None]) -> Vector:
    """Minus the logarithm of how far scores lie below the best, with mean 0 and deviation 1.

    What is added before taking it is a quarter's quantile, so that the best are not torn apart.
    Failures are as the worst.
    """
    seen = [score for score in scores if score is not None]
    y = np.array([min(seen) if score is None else score for score in scores])
    below = y.max() - y
    if not below.any():
        return np.zeros(len(y))
    z = -np.log(below + np.quantile(below[below > 0.0], 0.25))
    deviation = z.std()
    scaled: Vector = (z - z.mean()) / (deviation if deviation > 0.0 else 1.0)
    return scaled
