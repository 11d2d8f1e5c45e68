"""Settings: frozen pydantic models, TOML outside, `--set a.b=c` on top.

A settings class stands beside the thing it sets. Unknown keys are refused with
the nearest known one; every message gives the whole path of the setting.
"""

import difflib
import json
import tomllib
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Self

import pydantic

from veldt.platform.errors import SettingsError

Path = tuple[str | int, ...]


class Settings(pydantic.BaseModel):
    """A frozen record of settings; unknown keys are errors."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def prepare(cls, data: dict[str, Any], at: Path) -> dict[str, Any]:
        """Replaces parts whose class is found by name; most settings have none."""
        return data

    @classmethod
    def parse(cls, data: Any, at: Path = ()) -> Self:
        """Checks raw data (a TOML table, JSON) and freezes it.

        Args:
            data: What the user wrote.
            at: The path of `data` inside the whole recipe, for messages.

        Raises:
            SettingsError: with one line for each thing that is wrong.
        """
        if isinstance(data, cls):
            return data
        if not isinstance(data, Mapping):
            raise SettingsError(f"{dotted(at)}: expected a table of settings, got {data!r}.")
        try:
            return cls.model_validate(cls.prepare(dict(data), at))
        except pydantic.ValidationError as error:
            lines = [_line(cls, at, item) for item in error.errors(include_url=False)]
            raise SettingsError("\n".join(lines)) from None

    def dump(self) -> dict[str, Any]:
        """Plain JSON values; `parse(dump())` is the same settings."""
        return self.model_dump(mode="json", serialize_as_any=True)


def dotted(path: Iterable[str | int]) -> str:
    return ".".join(map(str, path)) or "settings"


def _line(model: type[pydantic.BaseModel], at: Path, error: Any) -> str:
    where = dotted((*at, *error["loc"]))
    if error["type"] == "extra_forbidden":
        names = _fields(model, error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), names, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"{where}: no such setting.{hint} Known here: {', '.join(names)}."
    if error["type"] == "missing":
        return f"{where}: this setting is required."
    said = error["msg"].removeprefix("Value error, ")
    # Of a whole table it is said what is wrong in it; all of it would bury that.
    got = "" if isinstance(error["input"], Mapping) and not error["loc"] else error["input"]
    return f"{where}: {said}." if got == "" else f"{where}: {said}; got {got!r}."


def _fields(model: type[pydantic.BaseModel], loc: Path) -> list[str]:
    """The names of the settings of the table at `loc` inside `model`."""
    for part in loc:
        field = model.model_fields.get(str(part))
        options = typing.get_args(field.annotation) if field else ()
        inner = [
            option
            for option in (*options, field.annotation if field else None)
            if isinstance(option, type) and issubclass(option, pydantic.BaseModel)
        ]
        if not inner:
            return []
        model = inner[0]
    return sorted(model.model_fields)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the leaves of `over` put over it; neither is changed."""
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def nested(path: str, value: Any) -> dict[str, Any]:
    """{"a": {"b": value}} for the path "a.b"."""
    for part in reversed(path.split(".")):
        value = {part: value}
    return typing.cast(dict[str, Any], value)


def override(data: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Applies `--set` assignments, each "key.sub=value" with the value as in TOML.

    A value that is not TOML is a string, so that `agent.name=impala` needs no quotes; a
    key that has dots of its own does: `space."agent.discount".low=0.9`.

    Raises:
        SettingsError: for an assignment without "=" or with an empty key.
    """
    merged = dict(data)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        table = _toml(assignment) or _toml(f"{path}= {json.dumps(text.strip())}")
        if not equals or not table:
            raise SettingsError(
                f"--set {assignment}: expected key.sub=value, a key with dots in quotes."
            )
        merged = merge(merged, table)
    return merged


def _toml(line: str) -> dict[str, Any]:
    """What a line of TOML says; nothing if it is none."""
    try:
        return tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return {}
