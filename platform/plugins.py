"""Finding agents, environments, searchers and problems by name.

What this repository ships stands in a table next to its kind; what others ship
is found through the entry points of their distributions, group `veldt.<kind>`.
Nothing is imported before it is asked for.
"""

import functools
import importlib
import importlib.metadata
import operator
from collections.abc import Mapping
from typing import Any

from veldt.platform.errors import BrokenPlugin, DuplicateName, UnknownName, VeldtError, unknown


def known(kind: str, builtin: Mapping[str, str]) -> dict[str, str]:
    """Name -> "module:attribute" of everything of this kind, ours and others'.

    Args:
        kind: Plural noun, e.g. "agents"; also the end of the entry points' group.
        builtin: The same mapping for what we ship.

    Raises:
        DuplicateName: if a plug-in claims a name that is taken.
    """
    found = dict(builtin)
    for point in _offered(kind):
        if found.get(point.name, point.value) != point.value:
            raise DuplicateName(
                f"{kind}: {point.name!r} is both {found[point.name]} and {point.value}. "
                "Uninstall one of the two distributions or rename its entry point."
            )
        found[point.name] = point.value
    return found


@functools.cache
def _offered(kind: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    """Looked for once: it takes milliseconds, and a search asks for every trial."""
    return tuple(importlib.metadata.entry_points(group=f"veldt.{kind}"))


def load(kind: str, name: str, builtin: Mapping[str, str], *needs: str) -> Any:
    """Imports and returns what is called `name` among the `kind`.

    Args:
        kind: As in `known`.
        name: Of one of them.
        builtin: As in `known`.
        needs: Attributes that the kind has, "Settings.parse" is one within another.

    Raises:
        UnknownName: with the nearest known name, if there is one.
        DuplicateName: if a plug-in claims a name that is taken.
        BrokenPlugin: if importing another distribution's raises, or what it offers cannot be
            called or lacks an attribute.
    """
    table = known(kind, builtin)
    if name not in table:
        raise UnknownName(unknown(kind, name, table))
    try:
        found = attribute(table[name])
    except VeldtError:
        raise
    except Exception as error:
        if name in builtin:
            raise
        raise BrokenPlugin(
            f"{kind}: {name!r}, {_distribution(kind, name)}, cannot be imported from "
            f"{table[name]}: {error!r}. Whatever is not named {name!r} works without it."
        ) from error
    if name not in builtin:
        _demand_kind(kind, name, table[name], found, needs)
    return found


def _demand_kind(kind: str, name: str, where: str, found: Any, needs: tuple[str, ...]) -> None:
    """Raises `BrokenPlugin` if what another distribution offers is something else."""
    lacks = []
    for need in needs:
        try:
            operator.attrgetter(need)(found)
        except AttributeError:
            lacks.append(need)
    wrong = [] if callable(found) else ["cannot be called"]
    wrong += [f"has no {', '.join(lacks)}"] if lacks else []
    if wrong:
        having = f" with {', '.join(needs)}" if needs else ""
        raise BrokenPlugin(
            f"{kind}: {name!r}, {_distribution(kind, name)}, is {found!r} from {where}, which "
            f"{' and '.join(wrong)}; the group veldt.{kind} is for what can be called, as a "
            f"class{having}. Mend its entry point, or take another name."
        )


def _distribution(kind: str, name: str) -> str:
    """Who offers it."""
    for point in importlib.metadata.entry_points(group=f"veldt.{kind}", name=name):
        if point.dist is not None:
            return f"of the distribution {point.dist.name} {point.dist.version}"
    return "of a distribution without a name"


def attribute(path: str) -> Any:
    """Imports "module:attribute" and returns the attribute."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
