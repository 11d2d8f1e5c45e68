"""What a policy is: parameters that turn an observation into an action.

Legend: P parameters, n numbers in an observation, m in an action (or m to choose from).
"""

from collections.abc import Callable
from typing import Any, Protocol

from veldt.platform.envs.single import SingleSpec
from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.vectors import State, Vector


class Policy(Protocol):
    """The contract. Deterministic: an observation, the same action."""

    size: int
    """P"""

    def start(self, key: Key) -> Vector:
        """Where a search begins, [P]."""

    def load(self, parameters: Vector, mean: Vector, scale: Vector) -> None:
        """Takes on parameters [P], and the filter that observations go through.

        Args:
            parameters: Copied.
            mean: [n], taken off an observation.
            scale: [n], what remains is multiplied by it.
        """

    def act(self, observation: Vector) -> Vector:
        """[n] as the environment gave it -> [m]: an action, or what each action is worth.

        The array may be the policy's own, valid until the next call.
        """

    act_with_1: Callable[[Vector], Vector] | None
    """`act` for an observation with a 1 behind it, [n + 1], if that is faster; set by `load`"""

    def named(self, parameters: Vector) -> State:
        """Parameters [P] as the arrays they are, for others to load."""


class Builder(Protocol):
    """What the catalogue holds: a class with its settings."""

    Settings: type[Settings]

    def __call__(self, settings: Any, spec: SingleSpec, clip: float | None) -> Policy:
        """For an environment; observations are cut at +-`clip` after the filter."""
