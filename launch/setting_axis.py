"""A searched setting as the axis of a plot: its scale, its ticks, where a value stands."""

import math
from collections.abc import Sequence
from typing import Any

from veldt.launch.console import number
from veldt.search.space.tree import Number, Open, Pick


class SettingAxis:
    """An axis in the setting's own values; a choice's are counted from 0.

    Args:
        name: The setting's path.
        node: The values it may take.
    """

    def __init__(self, name: str, node: Open) -> None:
        self.name, self._node = name, node
        self.choice = isinstance(node, Pick)
        self.log = isinstance(node, Number) and node.log
        self._whole = not isinstance(node, Number) or node.whole
        if isinstance(node, Pick):
            self.ticks: list[float] = list(range(len(node.options)))
            self.texts = [str(node.label(option)) for option in range(len(node.options))]
        else:
            whole = self._whole
            low, high = node.low, node.high
            self.ticks = log_ticks(low, high) if self.log else linear_ticks(low, high, whole)
            self.texts = [number(int(t) if t == int(t) else t) for t in self.ticks]

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest place."""
        node = self._node
        return (0, len(node.options) - 1) if isinstance(node, Pick) else (node.low, node.high)

    @property
    def range(self) -> list[float]:
        """As plotly wants it: a little beyond the bounds, logarithms for a logarithmic axis."""
        low, high = (math.log10(x) if self.log else x for x in self.bounds)
        return [low - 0.06 * (high - low), high + 0.06 * (high - low)]

    @property
    def meaning(self) -> str:
        """The values it may take, for people."""
        if isinstance(self._node, Pick):
            return ", ".join(self.texts)
        kind = "whole numbers " if self._whole else ""
        low, high = map(number, self.bounds)
        return f"{kind}{low} to {high}{', logarithmic' if self.log else ''}"

    def place(self, value: Any) -> float:
        """Where a value of the setting stands."""
        if isinstance(self._node, Pick):
            return self._node.index(value) or 0
        return float(value)

    def share(self, place: float) -> float:
        """A place as a number between 0 and 1, along the axis as drawn."""
        low, high, at = (math.log(x) if self.log else x for x in (*self.bounds, place))
        return (at - low) / (high - low)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The last parts of settings' paths, the whole path where two end alike."""
    last = [_short(name) for name in names]
    return {n: part if last.count(part) == 1 else n for n, part in zip(names, last, strict=True)}


def _short(name: str) -> str:
    """The last part of a path; of a copy, whose number says little, the last two."""
    parts = name.split(".")
    return ".".join(parts[-2:]) if parts[-1].isdigit() else parts[-1]


def log_ticks(low: float, high: float) -> list[float]:
    """Round values between two positive bounds, for a logarithmic axis; at least two."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    choices: Sequence[Sequence[int]] = ((1,), (1, 3), (1, 2, 5), range(1, 10))
    for steps in choices:
        ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            return ticks[:: math.ceil(len(ticks) / 7)]
    return [low, high]


def linear_ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Round values between two bounds, two to seven of them.

    Args:
        low: The lower bound.
        high: The upper one, above it.
        whole: Integers only.
    """
    step = 10.0 ** math.floor(math.log10((high - low) / 6))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{count * step:.9g}") for count in range(first, last + 1)]
