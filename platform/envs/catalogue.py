"""Every environment by its name: our families, plug-ins, and all of Gymnasium's.

A family is a name before the first "/", e.g. "atari" in "atari/pong". Others add
theirs through the entry points `veldt.environments`, under a family's name or a
whole id: a class of Gymnasium's environments, or a factory `(name, size, **options)`
of a vector. What is no family's is a Gymnasium id. Nothing heavy is imported before it
is asked for.
"""

import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from veldt.platform.envs.vector import VectorEnvironment
from veldt.platform.errors import SettingsError, UnknownName
from veldt.platform.plugins import attribute, known, load

ENVIRONMENTS: Mapping[str, str] = {
    "atari": "veldt.platform.envs.atari:AtariVector",
    "family": "veldt.platform.envs.families:make_family",
}
OTHERS = "veldt.platform.envs.gymnasium_vector:GymnasiumVector"


def make(name: str, size: int, options: Mapping[str, Any]) -> VectorEnvironment:
    """A vector of `size` environments.

    Args:
        name: E.g. "atari/pong", "CartPole-v1", or what a plug-in answers to.
        size: How many of them, B.
        options: Keyword arguments of the family's factory, or of `gymnasium.make`.

    Raises:
        UnknownName: with the nearest known name.
        SettingsError: if the options are not those of this environment.
        MissingProgram: if a library that it needs is not installed.
        UnsupportedSpace: if its observations cannot be made an array.
        DuplicateName: if two distributions claim one name.
    """
    table = known("environments", ENVIRONMENTS)
    family = name.partition("/")[0]
    key = name if name in table else family
    offered = load("environments", key, ENVIRONMENTS) if key in table else attribute(OTHERS)
    factory = _factory(key, offered)
    signature = inspect.signature(factory)
    try:
        signature.bind(name, size, **options)
    except TypeError as error:
        takes = ", ".join(list(signature.parameters)[2:]) or "no options"
        raise SettingsError(f"{name}: {error}. It takes: {takes}.") from error
    return factory(name, size, **options)


def _factory(key: str, offered: Any) -> Callable[..., VectorEnvironment]:
    """What is offered, as a factory: it may be a class of Gymnasium's environments."""
    import gymnasium

    from veldt.platform.envs.gymnasium_vector import GymnasiumVector

    if not (inspect.isclass(offered) and issubclass(offered, gymnasium.Env)):
        factory: Callable[..., VectorEnvironment] = offered
        return factory
    id_, environment = f"plugin/{re.sub(r'[^0-9A-Za-z]+', '-', key)}-v0", cast(Any, offered)
    if id_ not in gymnasium.registry:
        gymnasium.register(id_, environment)

    def make_vector(name: str, size: int, /, **options: Any) -> VectorEnvironment:
        return GymnasiumVector(id_, size, **options)

    return make_vector


def names() -> list[str]:
    """Every id that `make` understands, sorted: of Gymnasium's the newest versions only.

    A plug-in is listed as its entry point is called: as a family, or as a whole id.
    """
    from veldt.platform.envs.atari import games
    from veldt.platform.envs.families import FAMILIES

    families = known("environments", ENVIRONMENTS)
    plugins = [name for name in families if name not in ENVIRONMENTS]
    ours = [f"atari/{game}" for game in games()] + [f"family/{name}" for name in FAMILIES]
    return sorted(ours + plugins + _gymnasium_ids())


def no_environment(name: str) -> UnknownName:
    """The error for a name that nobody has, with the nearest that somebody has."""
    lower = {other.lower(): other for other in names()}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    hint = f" Did you mean {lower[near[0]]!r}?" if near else ""
    return UnknownName(
        f"environments: no {name!r}.{hint} `veldt list environments` shows all; if a package "
        "registers it with Gymnasium, write 'package:id'."
    )


def _gymnasium_ids() -> list[str]:
    """The newest version of each environment that is registered with Gymnasium."""
    import gymnasium

    from veldt.platform.envs.gymnasium_vector import NAMESPACES, register

    for namespace in NAMESPACES:
        register(namespace)
    newest: dict[tuple[str | None, str], gymnasium.envs.registration.EnvSpec] = {}
    for spec in gymnasium.registry.values():
        legacy = spec.namespace is None and str(spec.entry_point).startswith("ale_py")
        if legacy or spec.name.startswith("GymV2"):  # old names of ALE/...; adapters of old Gym
            continue
        other = newest.setdefault((spec.namespace, spec.name), spec)
        if (spec.version or 0) > (other.version or 0):
            newest[spec.namespace, spec.name] = spec
    return [spec.id for spec in newest.values()]
