"""The language of searches: a tree of what may be, and, once decided, of what is.

    Value      a constant, or what was decided
    Table      named parts, a TOML table
    Row        parts in order, a TOML array
    Number     any number between two bounds, on a linear or a logarithmic scale, in steps or not
    Pick       one of several parts, which may hold nodes of their own: conditional by nature
    Repeat     so many copies of a part, each decided for itself
    Same       a part that is decided once and shared, by its name
    Rule       a part of a grammar, by its name; it may mention itself
    Decided    an open node, what was decided there, and the part that this came to

A `Tree` is a root with its shared parts and its rules. With nodes still open (Number, Pick,
Repeat, Same, Rule) it is a space; when all that can be reached is decided it is a point of that
space. Trees are immutable and hashable; the verbs are functions:

    walk.py        the leftmost open node, deciding it; the decisions of a tree, and back
    variation.py   sites, growing one anew, grafting: mutation and crossover
    counting.py    how many points there are, and all of them
    identity.py    a key for equal points, features for models
    notation.py    TOML and JSON, in and out
    cube.py        points as vectors of the unit cube

Hyper-parameters, losses and networks are all such trees. After Negrinho and Gordon 2017,
"DeepArchitect", arXiv:1704.08792, and PyGlove (Peng et al. 2020, arXiv:2101.08809).
"""

import dataclasses
import math
from typing import Any

DIGITS = 5  # significant ones of a number: more only make tables unreadable

Scalar = None | bool | int | float | str


@dataclasses.dataclass(frozen=True)
class Value:
    """A constant."""

    value: Scalar

    def __eq__(self, other: object) -> bool:
        # 1 and True are one to Python, and two to settings.
        return (
            isinstance(other, Value)
            and type(other.value) is type(self.value)
            and other.value == self.value
        )

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclasses.dataclass(frozen=True)
class Table:
    """Named parts."""

    items: tuple[tuple[str, "Node"], ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """Parts in order."""

    items: tuple["Node", ...]


@dataclasses.dataclass(frozen=True)
class Number:
    """A number between two bounds, both included."""

    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: float | None = None
    """from `low` on; None: any"""

    def at(self, share: float) -> float | int:
        """The number that lies at a share of the way from `low` to `high`, of its scale."""
        share = min(max(share, 0.0), 1.0)
        low, high = self._scaled(self.low), self._scaled(self.high)
        there = low + share * (high - low)
        return self.nearest(math.exp(there) if self.log else there)

    def share(self, value: float) -> float:
        """Where a number lies, from 0 to 1."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        return (self._scaled(float(value)) - low) / (high - low)

    def nearest(self, value: float) -> float | int:
        """The allowed number nearest to one."""
        value = min(max(value, self.low), self.high)
        if self.step is not None:
            most = math.floor((self.high - self.low) / self.step + 1e-9)
            value = self.low + self.step * min(round((value - self.low) / self.step), most)
        value = float(f"{value:.{DIGITS}g}")
        if self.whole:
            return round(min(max(value, self.low), self.high))
        return min(max(value, self.low), self.high)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value


@dataclasses.dataclass(frozen=True)
class Pick:
    """One of several parts."""

    options: tuple["Node", ...]

    def label(self, option: int) -> Scalar:
        """What an option is called: its value, its `name`, or its number."""
        part = self.options[option]
        if isinstance(part, Value):
            return part.value
        if isinstance(part, Table):
            for name, inner in part.items:
                if name in ("name", "op", "id", "kind") and isinstance(inner, Value):
                    return inner.value
        return part.name if isinstance(part, Rule) else option

    def index(self, label: Scalar) -> int | None:
        """The option of a label; None if there is none."""
        for option in range(len(self.options)):
            if Value(self.label(option)) == Value(label):
                return option
        return None


@dataclasses.dataclass(frozen=True)
class Repeat:
    """Copies of a part."""

    body: "Node"
    low: int
    high: int


@dataclasses.dataclass(frozen=True)
class Same:
    """A shared part; `Tree.shared` has it."""

    name: str


@dataclasses.dataclass(frozen=True)
class Rule:
    """A part of a grammar; `Tree.rules` has it."""

    name: str


@dataclasses.dataclass(frozen=True)
class Decided:
    """What became of an open node."""

    site: Number | Pick | Repeat | Rule
    decision: Scalar
    """the number, the option's label, how many copies; None for a rule"""
    inside: "Node"


Open = Number | Pick | Repeat
Node = Value | Table | Row | Number | Pick | Repeat | Same | Rule | Decided
Parts = tuple[tuple[str, Node], ...]


@dataclasses.dataclass(frozen=True)
class Tree:
    """A space, or a point of one."""

    root: Node
    shared: Parts = ()
    rules: Parts = ()
    depth: int = 8
    """Rules within rules, at most"""


def plain(node: Node, shared: dict[str, Node]) -> Any:
    """What a decided part comes to, as JSON.

    Raises:
        ValueError: if it has open nodes.
    """
    match node:
        case Value(value):
            return value
        case Table(items):
            return {name: plain(part, shared) for name, part in items}
        case Row(parts):
            return [plain(part, shared) for part in parts]
        case Decided(_, _, inside):
            return plain(inside, shared)
        case Same(name):
            return plain(shared[name], shared)
    raise ValueError(f"{type(node).__name__} is not decided")


def value(tree: Tree) -> Any:
    """What a point comes to, as JSON.

    Raises:
        ValueError: if it is not all decided.
    """
    return plain(tree.root, dict(tree.shared))
