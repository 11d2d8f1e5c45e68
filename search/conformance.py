"""What every searcher must satisfy; call `check` from the tests of your own.

from veldt.search.conformance import check
check(MySearcher, MySettings(trials=20))
"""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from veldt.platform.errors import BrokenContract
from veldt.platform.keys import Key
from veldt.search.searcher import Builder, Question, Searcher, fingerprint, tell_diverged
from veldt.search.space.notation import Choice, Integer, LogReal, Real
from veldt.search.space.space import Space
from veldt.search.vectors import Vector

SPACE = Space(
    {
        "a.real": Real(low=-2.0, high=3.0),
        "a.log": LogReal(low=1e-5, high=1e-1),
        "b.integer": Integer(low=1, high=64, log=True),
        "b.choice": Choice(values=("x", "y", "z")),
    }
)
UNDER_WAY = 4  # questions
LIMIT = 10_000  # questions; a searcher of this size is checked with smaller settings

Event = tuple[str, int, float | None]  # "ask" or "tell", number, score


def check(build: Builder, settings: Any, space: Space = SPACE) -> None:
    """Asks and tells in several ways and compares.

    Raises:
        BrokenContract: with what was wrong.
    """

    def new(seed: int = 0) -> Searcher:
        return build(settings, space, Key(seed), None)

    first, log = _drive(new(), space, _bowl(space), lambda waiting: waiting[0])
    _demand(first.done, "it must say that it is done when it asks no more")
    again, _ = _drive(new(), space, _bowl(space), lambda waiting: waiting[0])
    _demand(fingerprint(first) == fingerprint(again), "equal keys must give equal searches")
    if not getattr(build, "learns_at_once", False):
        late, _ = _drive(new(), space, _bowl(space), lambda waiting: waiting[-1])
        _demand(fingerprint(first) == fingerprint(late), "the order of answers must not matter")
    other, _ = _drive(new(1), space, _bowl(space), lambda waiting: waiting[0])
    _demand(fingerprint(first) != fingerprint(other), "other keys must give other searches")

    for cut in range(0, len(log), max(1, len(log) // 50)):
        rebuilt = new()
        for kind, number, score in log[:cut]:
            if kind == "ask":
                rebuilt.ask()
            else:
                rebuilt.tell(number, score)
        for kind, number, score in log[cut:]:
            if kind == "tell":
                rebuilt.tell(number, score)
            elif (question := rebuilt.ask()) is None or question.number != number:
                raise BrokenContract(f"rebuilt from its log at event {cut}, it asks otherwise.")
        _demand(
            fingerprint(rebuilt) == fingerprint(first),
            f"rebuilt from its log at event {cut}, it must end the same",
        )

    failed, _ = _drive(new(), space, lambda question: None, lambda waiting: waiting[0])
    _demand(failed.done, "it must come to its end though every question fails")
    failed, _ = _drive(new(), space, lambda question: -math.inf, lambda waiting: waiting[0])
    _demand(failed.done, "it must come to its end though every training diverges")


def _drive(
    searcher: Searcher,
    space: Space,
    answer: Callable[[Question], float | None],
    pick: Callable[[list[Question]], Question],
) -> tuple[Searcher, list[Event]]:
    """Has as many questions under way as it can, four at most, answers one, and so on."""
    waiting: list[Question] = []
    log: list[Event] = []
    asked = 0
    while True:
        while len(waiting) < UNDER_WAY and (question := searcher.ask()) is not None:
            _demand(question.number == asked, "questions must be numbered 0, 1, 2...")
            _demand(
                space.decode(space.encode(question.point)) == question.point,
                f"question {asked} is not a point of the space: {question.point}",
            )
            asked += 1
            _demand(asked <= LIMIT, f"it asks more than {LIMIT} questions")
            waiting.append(question)
            log.append(("ask", question.number, None))
        if not waiting:
            break
        chosen = pick(waiting)
        waiting.remove(chosen)
        score = answer(chosen)
        if score == -math.inf:
            tell_diverged(searcher, chosen.number)
        else:
            searcher.tell(chosen.number, score)
        log.append(("tell", chosen.number, score))
    json.dumps(searcher.state(), allow_nan=False)
    return searcher, log


def _bowl(space: Space) -> Callable[[Question], float]:
    """Higher nearer to one point of the cube; deterministic."""
    centre: Vector = np.linspace(0.2, 0.8, space.dimensions)

    def score(question: Question) -> float:
        return -float(np.square(space.encode(question.point) - centre).sum())

    return score


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise BrokenContract(f"{otherwise}.")
