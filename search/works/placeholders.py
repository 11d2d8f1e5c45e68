"""Placeholders: "{lr}" in a command's arguments stands for what the setting is.

"{optimizer.name}" is a part of a setting that has parts. Braces around anything but a name are
braces (JSON, awk), and "{{lr}}" is "{lr}".
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from veldt.platform.errors import SettingsError, unknown

_NAME = r"\{\s*([A-Za-z_][\w.-]*)\s*\}"
_FOUND = re.compile(rf"\{{{_NAME}\}}|{_NAME}")


def fill(text: str, values: Mapping[str, Any]) -> str:
    """The text with all placeholders replaced; tables and arrays are written as JSON.

    Raises:
        SettingsError: for one that nobody has.
    """

    def replaced(match: re.Match[str]) -> str:
        literal, name = match.groups()
        if literal is not None:
            return match.group()[1:-1]
        found = dict(leaves(values))
        if name not in found:
            raise SettingsError(
                f"{unknown('placeholder', name, found)} For the text itself write {{{{{name}}}}}."
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
