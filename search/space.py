"""The space of a search: named settings and the values they may take.

    [space]
    "optimizer.learning_rate" = {kind = "log", low = 1e-4, high = 1e-1}
    "actors.unroll_length" = {kind = "integer", low = 5, high = 40, log = true}
    "agent.discount" = {kind = "real", low = 0.9, high = 0.999}
    "optimizer.name" = {kind = "choice", values = ["rmsprop", "adam"]}

A point is a value for each. Encoded, a point is a vector in the unit cube: one
coordinate for a number, one for each value of a choice (the largest wins), so that a
searcher over vectors needs to know nothing else.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.settings import Settings, merge, nested

DIGITS = 5  # significant ones of a real value: more only make tables unreadable
Point = dict[str, Any]
Vector = NDArray[np.float64]


class _Interval(Settings):
    """A number between two bounds, both included."""

    low: float
    high: float

    @property
    def width(self) -> int:
        return 1

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> "_Interval":
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        if self._logarithmic() and self.low <= 0:
            raise ValueError(f"a logarithmic scale needs low above 0, got {self.low}")
        return self

    def _logarithmic(self) -> bool:
        return False

    def encode(self, value: Any) -> Vector:
        low, high, at = map(self._scaled, (self.low, self.high, float(value)))
        return np.array([(at - low) / (high - low)])

    def decode(self, vector: Vector) -> Any:
        share = min(max(float(vector[0]), 0.0), 1.0)
        low, high = self._scaled(self.low), self._scaled(self.high)
        at = low + share * (high - low)
        value = float(f"{math.exp(at) if self._logarithmic() else at:.{DIGITS}g}")
        return min(max(value, self.low), self.high)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self._logarithmic() else value


class Real(_Interval):
    """Any number between the bounds."""

    kind: Literal["real"] = "real"


class LogReal(_Interval):
    """Any number between the bounds, its logarithm uniform."""

    kind: Literal["log"] = "log"

    def _logarithmic(self) -> bool:
        return True


class Integer(_Interval):
    """A whole number between the bounds."""

    kind: Literal["integer"] = "integer"
    low: int
    high: int
    log: bool = False

    def _logarithmic(self) -> bool:
        return self.log

    def decode(self, vector: Vector) -> int:
        value: float = super().decode(vector)
        return min(max(round(value), self.low), self.high)


class Choice(Settings):
    """One of several values; the settings say whether each is allowed."""

    kind: Literal["choice"] = "choice"
    values: tuple[Any, ...] = pydantic.Field(min_length=2)

    @property
    def width(self) -> int:
        return len(self.values)

    def encode(self, value: Any) -> Vector:
        return np.array([float(value == other) for other in self.values])

    def decode(self, vector: Vector) -> Any:
        return self.values[int(np.argmax(vector))]


Node = Annotated[Real | LogReal | Integer | Choice, pydantic.Field(discriminator="kind")]


class Space:
    """Named nodes, in the order in which they are encoded: by name."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes: dict[str, Node] = dict(sorted(nodes.items()))
        self.dimensions = sum(node.width for node in self.nodes.values())

    def sample(self, generator: np.random.Generator) -> Point:
        """A point drawn uniformly from the unit cube."""
        return self.decode(generator.random(self.dimensions))

    def encode(self, point: Point) -> Vector:
        parts = [node.encode(point[name]) for name, node in self.nodes.items()]
        return np.concatenate(parts) if parts else np.empty(0)

    def decode(self, vector: Vector) -> Point:
        """The point of a vector; what lies outside the cube counts as on its side."""
        point, at = {}, 0
        for name, node in self.nodes.items():
            point[name] = node.decode(vector[at : at + node.width])
            at += node.width
        return point

    def corners(self) -> list[Point]:
        """Points that between them hold every bound and every choice, for checking."""
        longest = max((node.width for node in self.nodes.values()), default=0)
        return [
            {
                name: node.values[i % node.width]
                if isinstance(node, Choice)
                else (node.low, node.high)[i % 2]
                for name, node in self.nodes.items()
            }
            for i in range(max(2, longest))
        ]


def bind(settings: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """Raw settings with the values of a point put at their paths."""
    bound = dict(settings)
    for path, value in point.items():
        bound = merge(bound, nested(path, value))
    return bound
