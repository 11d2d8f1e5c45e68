"""Past studies as a beginning: the points that did best there, between them all, come first.

Wistuba, Schilling and Schmidt-Thieme 2015, "Sequential Model-Free Hyperparameter Tuning", ICDM;
Feurer et al. 2022, "Auto-Sklearn 2.0", arXiv:2007.04074. The portfolio is chosen
greedily: the next point is that which lowers the mean over the studies of the least regret that
any of the portfolio has there. What a point's regret is in a study that never tried it, is
guessed: the regret of the point that lies nearest to it there. When no point lowers the mean
any more, the studies are covered once more, by points that were not chosen yet.

One question in four ignores all this and is random: the past may mislead.

What past studies found is read once, when a study begins, and written down with its settings
(`past_studies.py`), so that it goes on with the same questions whatever becomes of them.
"""

from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.platform.settings import Path, Settings
from veldt.search.listed import Listed
from veldt.search.space.space import Point, Space
from veldt.search.vectors import Vector


class PortfolioSettings(Settings):
    """Which past studies, and how many points of theirs."""

    method: Literal["portfolio"] = "portfolio"
    trials: int = pydantic.Field(ge=1, le=10_000)
    studies: tuple[str, ...] = ()
    """Their folders"""
    points: tuple[dict[str, Any], ...] = ()
    """What was chosen of them, written down when a study begins; or points of your own"""
    random: float = pydantic.Field(0.25, ge=0.0, lt=1.0)
    """Share of the questions that ignore the past"""

    @classmethod
    def prepare(cls, data: dict[str, Any], at: Path) -> dict[str, Any]:
        studies = data.get("studies")
        return data | {"studies": (studies,)} if isinstance(studies, str) else data

    @pydantic.model_validator(mode="after")
    def _something(self) -> "PortfolioSettings":
        if not self.studies and not self.points:
            raise ValueError("name the folders of past studies, or points to begin with")
        return self

    @property
    def wanted(self) -> int:
        """Points of the past that there is room for."""
        return sum(not self.ignores(number) for number in range(self.trials))

    def ignores(self, number: int) -> bool:
        """Whether a question is random: as evenly among the others as can be, never the first."""
        return int((number + 1) * self.random) > int(number * self.random)


class Portfolio(Listed):
    """The points in their order, and random ones between and after them."""

    Settings = PortfolioSettings

    def __init__(
        self, settings: PortfolioSettings, space: Space, key: Key, start: Point | None
    ) -> None:
        super().__init__(settings.trials)
        if not settings.points:
            raise InputError("the past studies of a portfolio have not been read: see `settled`.")
        self._settings, self._space, self._key = settings, space, key

    def point(self, number: int) -> Point:
        settings = self._settings
        place = sum(not settings.ignores(before) for before in range(number))
        if settings.ignores(number) or place >= len(settings.points):
            return self._space.sample(self._key.child("point", number).generator())
        return dict(settings.points[place])


def regrets(places: Vector, tried: list[tuple[Vector, Vector]]) -> Vector:
    """Of each point in each study, tried there or guessed.

    Args:
        places: Of the points, [P, n].
        tried: Of each study, where its trials lie, [T, n], and their regrets, [T].

    Returns:
        [P, S].
    """
    columns = []
    for there, regret in tried:
        distances = np.square(places[:, None, :] - there[None, :, :]).sum(2)
        columns.append(regret[distances.argmin(1)])
    return np.stack(columns, axis=1)


def ranked(order: list[Any]) -> Vector:
    """Regrets of trials from the best to the worst, equal ones together: 0 to 1 by rank.

    Args:
        order: What each trial is worth; never increasing.
    """
    first = np.array([order.index(worth) for worth in order], dtype=float)
    return first / max(1, len(order) - 1)


def greedy(regret: Vector, count: int) -> list[int]:
    """The points that cover the studies best, in the order in which they are chosen.

    Args:
        regret: Of P points in S studies, [P, S]; of equals the earlier point is chosen.
        count: At most; there are no more than P.
    """
    chosen: list[int] = []
    least = np.full(regret.shape[1], np.inf)  # of the portfolio so far, in each study
    left: NDArray[np.bool_] = np.ones(len(regret), dtype=bool)
    while len(chosen) < count and left.any():
        means = np.minimum(regret, least).mean(1)
        means[~left] = np.inf
        if means.min() >= least.mean():  # everything is covered: once more
            least = np.full(regret.shape[1], np.inf)
            continue
        best = int(means.argmin())
        chosen.append(best)
        left[best] = False
        least = np.minimum(least, regret[best])
    return chosen
