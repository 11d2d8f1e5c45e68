"""What a problem is: it scores flat vectors, on any rank, from keys alone.

    problem = build(settings, key)
    scores = problem.evaluate(members, tick)      # on some rank, a block of members at a time
    problem.merge(generation)                     # on every rank, the whole generation

What an evaluation leaves behind travels in two forms. `statistics` are integers that
are added up over the generation (observation sums in fixed point, say), so that no order
matters; `carry` is a row that belongs to its member (the state of a life that goes on).
`merge` sees both, so that the problem's own state is the same bits on each rank.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.vectors import State, Vector

Tick = Callable[[], None]
NO_WORDS: Mapping[str, str] = {}
Integers = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Members:
    """Members of one generation that are evaluated together."""

    numbers: range
    candidate: Callable[[int], Vector]
    """number -> its parameters [n]"""
    key: Callable[[int], Key]
    """number -> all the chance there is in its evaluation; the same throughout a life"""


@dataclasses.dataclass(frozen=True)
class Score:
    """What one evaluation came to."""

    fitness: float
    """what is maximised; NaN: failed"""
    steps: int = 0
    """of the environment, or inner updates; below 2^32"""
    statistics: Integers | None = None
    """[k], added up over the generation; None: zeros"""
    carry: Vector | None = None
    """[c], what the member takes along to the next generation; None: zeros"""


@dataclasses.dataclass(frozen=True)
class Scores:
    """A whole generation."""

    fitness: Vector  # [size] in the members' order, NaN: failed
    steps: int  # of all members
    statistics: Integers  # [k], their sum
    carry: Vector  # [size, c]


class Problem(Protocol):
    """The contract; higher fitness is better."""

    start: Vector
    """[n], where a search begins"""
    block: int
    """members that are evaluated together; the same for any number of ranks"""
    test_block: int
    """tests that are run together; as `block`"""
    episodes: int
    """that one evaluation plays; 0 where there are none"""
    unrolls: int
    """generations that one life of a member spans; 1: every evaluation is a whole one"""
    statistics_size: int
    """k"""
    carry_size: int
    """c"""
    product: str
    """what a candidate is called in the end, "policy" for one: the name of the file it is in"""
    words: Mapping[str, str]
    """metadata of that file"""
    environment_seconds: float
    """about so much was spent inside `env.step` and its like in this process; 0 if not known"""

    def evaluate(self, members: Members, tick: Tick) -> Sequence[Score]:
        """Scores some members: a function of its arguments and of the problem's state alone.

        A member's score must not depend on the block's other members.

        Args:
            members: `block` of them, fewer at the end of a generation.
            tick: Called at least every few milliseconds; it may raise to end the evaluation.

        Raises:
            EnvironmentFault: if an environment broke its contract.
        """

    def test(self, candidate: Vector, keys: Sequence[Key], tick: Tick) -> Sequence[Score]:
        """Evaluations under the protocol of reports: no shift, nothing is learnt from them.

        Args:
            candidate: Its parameters [n].
            keys: All the chance there is in each; `test_block` of them, fewer at the end.
            tick: As in `evaluate`.
        """

    def merge(self, scores: Scores) -> None:
        """Takes in a generation; everything was evaluated with the state from before it."""

    def policy(self, candidate: Vector) -> State:
        """A candidate as named arrays, with what of the problem's state it needs to be used."""

    def state(self) -> State:
        """All it is but its settings and its key."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Becomes what `state` was taken from."""

    def close(self) -> None:
        """Lets go of environments; called again it does nothing."""


class Builder(Protocol):
    """What the catalogue holds: a class with its settings."""

    Settings: type[Settings]

    def __call__(self, settings: Any, key: Key) -> Problem: ...
