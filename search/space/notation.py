"""Trees as people write them: TOML tables, or these classes in Python; and as JSON.

    {kind = "real", low = 0.9, high = 0.999}              step = 0.01 for a grid
    {kind = "log", low = 1e-5, high = 1e-2}               uniform in the logarithm
    {kind = "integer", low = 5, high = 40, log = true}
    {kind = "choice", values = ["relu", "tanh"]}          values may hold tables with nodes inside
    {kind = "repeat", of = ..., low = 1, high = 3}        an array of copies
    {kind = "same", name = "width"}                       what [shared] has under that name
    {kind = "rule", name = "block"}                       what [rules] has

Whatever else there is stands for itself.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pydantic

from veldt.platform.errors import SettingsError, unknown
from veldt.platform.settings import Path, Settings, dotted
from veldt.search.space import tree
from veldt.search.space.tree import Decided, Node, Parts, Tree, Value
from veldt.search.space.walk import least_depths


class _Interval(Settings, abc.ABC):
    """A number between two bounds, both included."""

    low: float
    high: float

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> "_Interval":
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        node = self.node()
        if node.log and self.low <= 0:
            raise ValueError(f"a logarithmic scale needs low above 0, got {self.low}")
        if node.log and node.step is not None:
            raise ValueError("a step is for a linear scale")
        return self

    @abc.abstractmethod
    def node(self) -> tree.Number: ...


class Real(_Interval):
    """Any number between the bounds, or one in steps from the lower."""

    kind: Literal["real"] = "real"
    step: float | None = pydantic.Field(None, gt=0.0)

    def node(self) -> tree.Number:
        return tree.Number(self.low, self.high, step=self.step)


class LogReal(_Interval):
    """Any number between the bounds, its logarithm uniform."""

    kind: Literal["log"] = "log"

    def node(self) -> tree.Number:
        return tree.Number(self.low, self.high, log=True)


class Integer(_Interval):
    """A whole number between the bounds."""

    kind: Literal["integer"] = "integer"
    low: int
    high: int
    log: bool = False
    step: int | None = pydantic.Field(None, ge=1)

    def node(self) -> tree.Number:
        return tree.Number(self.low, self.high, log=self.log, whole=True, step=self.step)


class Choice(Settings):
    """One of several values; the settings say whether each is allowed."""

    kind: Literal["choice"] = "choice"
    values: tuple[Any, ...] = pydantic.Field(min_length=2)

    def node(self) -> Node:
        options = tuple(as_node(value, ("values", i)) for i, value in enumerate(self.values))
        pick = tree.Pick(options)
        labels = {Value(pick.label(option)) for option in range(len(options))}
        if len(labels) < len(options):
            raise SettingsError(
                "values: two of them have the same name; tables are told apart by `name`."
            )
        return pick


class Repeat(Settings):
    """So many copies of a part, each decided for itself."""

    kind: Literal["repeat"] = "repeat"
    of: Any
    low: int = pydantic.Field(ge=0, le=1000)
    high: int = pydantic.Field(ge=1, le=1000)

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> "Repeat":
        if self.high < self.low:
            raise ValueError(f"high is {self.high}, below low, {self.low}")
        return self

    def node(self) -> Node:
        return tree.Repeat(as_node(self.of, ("of",)), self.low, self.high)


class Same(Settings):
    """A part that is decided once, wherever it stands."""

    kind: Literal["same"] = "same"
    name: str

    def node(self) -> Node:
        return tree.Same(self.name)


class Rule(Settings):
    """A part of a grammar."""

    kind: Literal["rule"] = "rule"
    name: str

    def node(self) -> Node:
        return tree.Rule(self.name)


KINDS: Mapping[str, type[Settings]] = {
    "real": Real,
    "log": LogReal,
    "integer": Integer,
    "choice": Choice,
    "repeat": Repeat,
    "same": Same,
    "rule": Rule,
}


FIELDS = {name for kind in KINDS.values() for name in kind.model_fields}


def as_node(data: Any, at: Path = ()) -> Node:
    """What somebody wrote, as a node.

    Args:
        data: TOML, one of the classes above, or a node.
        at: Its path, for messages.

    Raises:
        SettingsError: if it is wrong.
    """
    if isinstance(data, Node):
        return data
    if isinstance(data, Mapping) and isinstance(kind := data.get("kind"), str) and kind in KINDS:
        data = KINDS[kind].parse(data, at)
    if isinstance(data, Settings):
        try:
            node: Node = data.node()  # type: ignore[attr-defined]
        except SettingsError as error:
            raise SettingsError(f"{dotted(at)}.{error}") from None
        return node
    if isinstance(data, Mapping):
        _demand_kind(data, at)
        items = [(str(name), as_node(part, (*at, name))) for name, part in data.items()]
        return tree.Table(tuple(items))
    if isinstance(data, Sequence) and not isinstance(data, str):
        return tree.Row(tuple(as_node(part, (*at, i)) for i, part in enumerate(data)))
    if data is None or isinstance(data, bool | int | float | str):
        return Value(data)
    raise SettingsError(f"{dotted(at)}: {data!r} is no part of a space.")


def _demand_kind(data: Mapping[str, Any], at: Path) -> None:
    """Raises `SettingsError` for a table that was meant to be a node and is of no kind."""
    if {"values", "low", "of"} & data.keys() and isinstance(data.get("kind"), str):
        if data.keys() <= FIELDS:
            raise SettingsError(f"{dotted(at)}.kind: {unknown('kinds', data['kind'], KINDS)}")


def as_tree(
    root: Any,
    shared: Mapping[str, Any] | None = None,
    rules: Mapping[str, Any] | None = None,
    depth: int = 8,
) -> Tree:
    """A whole space.

    Raises:
        SettingsError: if something is wrong: unknown names, rules that never end.
    """

    def named(what: str, data: Mapping[str, Any] | None) -> Parts:
        return tuple((name, as_node(part, (what, name))) for name, part in (data or {}).items())

    found = Tree(as_node(root, ("space",)), named("shared", shared), named("rules", rules), depth)
    _demand_whole(found)
    return found


def _demand_whole(found: Tree) -> None:
    shared, rules = dict(found.shared), dict(found.rules)

    def names(node: Node, kind: type[tree.Same] | type[tree.Rule]) -> set[str]:
        match node:
            case tree.Table(items):
                return set().union(*(names(part, kind) for _, part in items))
            case tree.Row(parts) | tree.Pick(parts):
                return set().union(*(names(part, kind) for part in parts))
            case tree.Repeat(body):
                return names(body, kind)
            case Decided(_, _, inside):
                return names(inside, kind)
        return {node.name} if isinstance(node, kind) else set()

    everything = [found.root, *shared.values(), *rules.values()]
    for kind, there, what in ((tree.Same, shared, "shared"), (tree.Rule, rules, "rules")):
        for name in sorted(set().union(*(names(node, kind) for node in everything))):
            if name not in there:
                known = ", ".join(sorted(there)) or "none"
                raise SettingsError(f"{what}.{name}: there is no such part; there are: {known}.")
    for name in shared:
        mentioned, seen = {name}, set[str]()
        while mentioned - seen:
            one = min(mentioned - seen)
            seen.add(one)
            mentioned |= names(shared[one], tree.Same)
            if name in names(shared[one], tree.Same):
                raise SettingsError(f"shared.{name}: it mentions itself.")
    needed = least_depths(found)(found.root)
    if needed > found.depth:
        least = "however deep" if needed == float("inf") else f"within fewer than {needed:g}"
        raise SettingsError(
            f"rules: none of them ends {least} within another; rule_depth is {found.depth}."
        )


def is_open(node: Node) -> bool:
    """Whether there is anything to decide in a node."""
    match node:
        case tree.Table(items):
            return any(is_open(part) for _, part in items)
        case tree.Row(parts):
            return any(map(is_open, parts))
    return not isinstance(node, Value | Decided)


def demand_open(node: Node, at: Path) -> None:
    """Raises `SettingsError` if a part of a space has nothing to decide."""
    if is_open(node):
        return
    raise SettingsError(f"{dotted(at)}: it has one value only; put it under train.")


def as_json(node: Node) -> Any:
    """A node as it could have been written; what was decided stands as what it is."""
    match node:
        case Value(value):
            return value
        case tree.Table(items):
            return {name: as_json(part) for name, part in items}
        case tree.Row(parts):
            return [as_json(part) for part in parts]
        case tree.Number(low, high, log, whole, step):
            kind = "integer" if whole else "log" if log else "real"
            more = ({"log": True} if whole and log else {}) | ({"step": step} if step else {})
            return {"kind": kind, "low": low, "high": high} | more
        case tree.Pick(options):
            return {"kind": "choice", "values": [as_json(option) for option in options]}
        case tree.Repeat(body, low, high):
            return {"kind": "repeat", "of": as_json(body), "low": low, "high": high}
        case tree.Same(name):
            return {"kind": "same", "name": name}
        case tree.Rule(name):
            return {"kind": "rule", "name": name}
        case Decided(_, _, inside):
            return as_json(inside)
