"""The cookbook: recipes are settings in TOML, ours by name, anybody's by path."""

import importlib.resources
import tomllib
from collections.abc import Iterable
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from veldt.platform.errors import InputError, SettingsError, UnknownName, unknown
from veldt.platform.settings import override

Kind = Literal["train", "search"]


def names() -> dict[str, str]:
    """Our recipes: name -> what it is for."""
    return {name: _parse(name, file)["description"] for name, file in sorted(_files().items())}


def kind_of(data: dict[str, Any]) -> Kind:
    """A study has stages, or a budget alone, and a population search a strategy; a training has
    none of these."""
    return "search" if data.keys() & {"stages", "budget", "strategy"} else "train"


def load(
    recipe: str, kind: Kind, assignments: Iterable[str] = (), seed: int | None = None
) -> dict[str, Any]:
    """The raw settings of a recipe with `--set` and `--seed` put over them.

    Args:
        recipe: A name from `veldt list recipes`, or the path of a TOML file.
        kind: What it has to be.

    Raises:
        UnknownName: if there is no such recipe.
        InputError: if the file cannot be read, is not TOML, or is of the other kind.
    """
    if recipe.endswith(".toml"):
        data = _parse(recipe, Path(recipe))
    elif recipe in (files := _files()):
        data = _parse(recipe, files[recipe])
    else:
        raise UnknownName(unknown("recipes", recipe, files) + " A file of your own ends in .toml.")
    if kind_of(data) != kind:
        raise InputError(f"{recipe}: this is a recipe for `veldt {kind_of(data)}`.")
    data.pop("description", None)
    data = override(data, assignments)
    return data if seed is None else data | {"seed": seed}


def _files() -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}

    def walk(folder: Traversable, prefix: str) -> None:
        for item in folder.iterdir():
            if item.is_dir():
                walk(item, f"{prefix}{item.name}/")
            elif item.name.endswith(".toml"):
                found[prefix + item.name.removesuffix(".toml")] = item

    walk(importlib.resources.files("veldt.launch") / "recipes", "")
    return found


def _parse(name: str, file: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}: not TOML: {error}.") from None
