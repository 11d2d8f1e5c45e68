"""What a searcher is: it asks questions and is told the answers.

    searcher = build(settings, space, key, start)
    while not searcher.done:
        question = searcher.ask()            # None: wait for an answer first
        ...                                  # somebody trains
        searcher.tell(question.number, score)

Pure: no clock, no chance but its key's, nothing global; it never waits. Answers may come in
any order, and what it asks next depends on the questions and answers so far alone, so that a
search can be rebuilt from its log. One that waits for whole generations is the same on any
number of ranks; one that learns from each answer at once says so: `learns_at_once`.
"""

import dataclasses
import hashlib
import json
from typing import Any, Protocol

from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.space.space import Point, Space


@dataclasses.dataclass(frozen=True)
class Question:
    """How good is this point?"""

    number: int  # 0, 1, 2... in the order of asking
    point: Point


class Searcher(Protocol):
    """The contract; higher scores are better."""

    def ask(self) -> Question | None:
        """The next question; None while answers are missing, and at the end."""

    def tell(self, number: int, score: float | None, share: float = 1.0) -> None:
        """The answer to a question, None for one that failed.

        Args:
            number: Of the question.
            score: Higher is better.
            share: Of a whole training, which the score is of. A question may be answered more
                than once, each time after more of it.
        """

    # May have `diverged(number, share)`: see `tell_diverged`.

    @property
    def done(self) -> bool:
        """Whether everything was asked and answered."""

    def state(self) -> dict[str, Any]:
        """All it is, as plain JSON: equal states go on equally."""


class Builder(Protocol):
    """What the catalogue holds: a class with its settings."""

    Settings: type[Settings]

    def __call__(self, settings: Any, space: Space, key: Key, start: Point | None) -> Searcher: ...


def tell_diverged(searcher: Searcher, number: int, share: float = 1.0) -> None:
    """The answer to a question whose training diverged, which says that the point is bad.

    A searcher that can learn from that has a method `diverged(number, share)`; to others the
    question has failed, as one whose process was killed.
    """
    if (diverged := getattr(searcher, "diverged", None)) is not None:
        diverged(number, share)
    else:
        searcher.tell(number, None, share)


def fingerprint(searcher: Searcher) -> str:
    """A digest of a searcher's state, independent of the order of the answers."""
    return digest(searcher.state())


def digest(state: Any) -> str:
    """Of plain JSON."""
    text = json.dumps(state, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
