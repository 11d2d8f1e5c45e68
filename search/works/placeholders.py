"""Placeholders: "{lr}" in a command's arguments stands for what the setting is.

"{optimizer.name}" is a part of a setting that has parts; "{{" and "}}" are braces.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from veldt.platform.errors import SettingsError, unknown

_FOUND = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def fill(text: str, values: Mapping[str, Any]) -> str:
    """The text with all placeholders replaced; tables and arrays are written as JSON.

    Raises:
        SettingsError: for one that nobody has, and for a brace that stands alone.
    """

    def replaced(match: re.Match[str]) -> str:
        whole, name = match.group(), match.group(1)
        if whole in ("{{", "}}"):
            return whole[0]
        if name is None:
            raise SettingsError(f"{text!r} has a {whole!r} alone; write {whole * 2!r} for one.")
        found = dict(leaves(values))
        if name not in found:
            raise SettingsError(
                f"{unknown('placeholder', name, found)} Write {{{{ and }}}} for braces."
            )
        value = found[name]
        return value if isinstance(value, str) else json.dumps(value)

    return _FOUND.sub(replaced, text)


def leaves(values: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of all that can be named, tables themselves included."""
    for name, value in values.items():
        yield f"{at}{name}", value
        if isinstance(value, Mapping):
            yield from leaves(value, f"{at}{name}.")
