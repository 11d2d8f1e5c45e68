"""CMA-ES and its separable variant, by the library `cmaes`, and going on with them exactly.

Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772; Ros and Hansen 2008,
"A Simple Modification in CMA-ES Achieving Linear Time and Space Complexity", PPSN X. The
library minimises, and its own pickles leave out the generator of its random numbers; here
everything it is between two generations is kept as arrays.
"""

from collections.abc import Mapping
from typing import Any, Literal

import cmaes
import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.strategies.fitness import failures_last
from veldt.search.strategies.noise import WHOLE, Share
from veldt.search.strategies.strategy import Population
from veldt.search.vectors import State, Vector

# What the library's objects change as they go on.
NAMES = ("mean", "sigma", "C", "p_sigma", "pc", "g", "funhist_values")
LARGEST = 1e30  # the library refuses points beyond 1e32


class CmaSettings(Settings):
    """All else follows from these (the tutorial's table 1)."""

    population: int | None = pydantic.Field(None, ge=4, le=1_000_000)
    """4 + 3 ln n if not given; with fewer than 4 no weights are left to learn a shape from"""
    sigma: float = pydantic.Field(gt=0.0)
    """the step size at first"""


class CmaESSettings(CmaSettings):
    """Memory grows with n^2: for a few thousand parameters at most."""

    method: Literal["cma-es"] = "cma-es"


class SepCmaESSettings(CmaSettings):
    """A diagonal covariance."""

    method: Literal["sep-cma-es"] = "sep-cma-es"


class _Cmaes:
    """The library behind the contract.

    Args:
        settings: Of the search.
        start: The mean at first, [n].
        key: Seeds the library.
        build: Its class.
    """

    unrolls = 1

    def __init__(self, settings: CmaSettings, start: Vector, key: Key, build: Any) -> None:
        self._library = build(
            mean=start.astype(float),
            sigma=settings.sigma,
            population_size=settings.population,
            seed=key.child("noise").integer(),
        )
        self._library._funhist_values[:] = 0.0  # it leaves them as memory happens to be
        self._begin()

    def _begin(self) -> None:
        """Between two generations: the state is taken, the members are drawn."""
        self._state = {
            name: np.array(getattr(self._library, f"_{name}"), copy=True) for name in NAMES
        }
        # The normal deviate that NumPy may hold back belongs to the generator's state.
        _, keys, place, held, deviate = self._library._rng.get_state()
        self._state |= {"rng.keys": keys.copy(), "rng.place": np.array([place, held, deviate])}
        self._members = [self._library.ask() for _ in range(self._library.population_size)]

    @property
    def centre(self) -> Vector:
        mean: Vector = self._state["mean"]
        return mean

    def ask(self) -> Population:
        members = self._members
        return Population(len(members), lambda member: members[member])

    def tell(self, scores: Vector, share: Share = WHOLE) -> None:
        if np.isfinite(scores).any():
            values = -failures_last(scores)
            members = [member.clip(-LARGEST, LARGEST) for member in self._members]
            # On an endless slope sigma outgrows a float before the library cuts it.
            with np.errstate(over="ignore"):
                self._library.tell(list(zip(members, values.tolist(), strict=True)))
        self._begin()

    def state(self) -> State:
        return dict(self._state)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        for name in NAMES:
            array = state[name]
            scalar = name in ("sigma", "g")
            setattr(self._library, f"_{name}", array.item() if scalar else array.copy())
        self._library._D = None
        if hasattr(self._library, "_B"):
            self._library._B = None
        place, held, deviate = state["rng.place"].tolist()
        keys = state["rng.keys"].copy()
        self._library._rng.set_state(("MT19937", keys, int(place), int(held), deviate))
        self._begin()


class CmaES(_Cmaes):
    """The whole covariance."""

    Settings = CmaESSettings

    def __init__(self, settings: CmaESSettings, start: Vector, key: Key) -> None:
        super().__init__(settings, start, key, cmaes.CMA)


class SepCmaES(_Cmaes):
    """Its diagonal."""

    Settings = SepCmaESSettings

    def __init__(self, settings: SepCmaESSettings, start: Vector, key: Key) -> None:
        if len(start) < 2:
            raise SettingsError("sep-cma-es: one parameter has nothing to separate; use cma-es.")
        super().__init__(settings, start, key, cmaes.SepCMA)
