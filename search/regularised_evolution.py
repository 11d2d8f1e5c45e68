"""Regularised evolution on trees: the best of a few gives birth, the oldest dies.

Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search",
arXiv:1802.01548, algorithm 1, for points of any space, grammars too: a child is one site of its
parent grown anew, or now and then a part of another's in its place.

Nobody is waited for: whoever is asked chooses among those that are known.
"""

from typing import Any, Literal

import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.searcher import Question
from veldt.search.space import variation, walk
from veldt.search.space.space import Point, Space


class EvolutionSettings(Settings):
    """The paper's P and S."""

    method: Literal["evolution"] = "evolution"
    trials: int = pydantic.Field(ge=1, le=1_000_000)
    population: int = pydantic.Field(20, ge=2, le=100_000)
    """Of the newest so many some may give birth; as many are random at first"""
    sample: int = pydantic.Field(5, ge=1, le=100_000)
    """Drawn of these, the best of which does"""
    crossover: float = pydantic.Field(0.2, ge=0.0, le=1.0)
    """Probability of a part of a second parent, before the mutation"""


class RegularisedEvolution:
    """Age decides who dies, so that nobody stays for one lucky score."""

    Settings = EvolutionSettings
    learns_at_once = True

    def __init__(
        self, settings: EvolutionSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        self._settings, self._space, self._key = settings, space, key
        self._start = start
        self._points: list[Point] = []
        self._scores: dict[int, float | None] = {}
        self._shares: dict[int, float] = {}

    def ask(self) -> Question | None:
        number, settings = len(self._points), self._settings
        if number == settings.trials:
            return None
        random = self._key.child("point", number).generator()
        alive = [n for n in self._scores if self._scores[n] is not None]
        alive = sorted(alive)[-settings.population :]
        if number == 0 and self._start is not None:
            point = self._start
        elif number < settings.population or not alive:
            point = self._space.sample(random)
        else:
            child = self._tree(self._parent(alive, random))
            if random.random() < settings.crossover:
                child = variation.crossed(child, self._tree(self._parent(alive, random)), random)
            point = walk.decisions(variation.mutated(child, random))
        self._points.append(point)
        return Question(number, point)

    def _tree(self, number: int) -> Any:
        return self._space.tree_of(self._points[number])

    def _parent(self, alive: list[int], random: Any) -> int:
        some = random.choice(alive, min(self._settings.sample, len(alive)), replace=False)
        return int(max(some.tolist(), key=lambda n: (self._shares[n], self._scores[n], -n)))

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        self._scores[number], self._shares[number] = score, share

    @property
    def done(self) -> bool:
        return len(self._scores) == self._settings.trials

    def state(self) -> dict[str, Any]:
        return {"points": self._points, "scores": dict(sorted(self._scores.items()))}
