"""Basic random search: finite differences along random directions, and nothing more.

Mania, Guy and Recht 2018, arXiv:1803.07055, algorithm 1; augmented random search without the
division by the scores' deviation and without a choice of directions.
"""

from typing import Literal

import pydantic

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.strategies.ars import ARS, ARSSettings
from veldt.search.vectors import Vector


class BasicRandomSearchSettings(Settings):
    """The paper's knobs."""

    method: Literal["brs"] = "brs"
    directions: int = pydantic.Field(ge=1, le=1_000_000)
    """N"""
    step_size: float = pydantic.Field(gt=0.0)
    """alpha"""
    noise: float = pydantic.Field(gt=0.0)
    """nu"""


class BasicRandomSearch(ARS):
    """Over M, a flat vector."""

    Settings = BasicRandomSearchSettings  # type: ignore[assignment]

    def __init__(self, settings: BasicRandomSearchSettings, start: Vector, key: Key) -> None:
        knobs = settings.dump() | {"method": "ars", "scale_by_deviation": False}
        super().__init__(ARSSettings.parse(knobs), start, key)
