"""What every strategy must satisfy; call `check` from the tests of your own.

from veldt.search.strategies.conformance import check
check(MyStrategy, MySettings(pairs=4, sigma=0.1))
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from veldt.platform.errors import BrokenContract
from veldt.platform.keys import Key
from veldt.search.strategies.noise import Share
from veldt.search.strategies.strategy import Builder, Strategy, digest
from veldt.search.vectors import State, Vector, reloaded

GENERATIONS = 6


def check(build: Builder, settings: Any, dimensions: int = 7) -> None:
    """Searches in several ways and compares.

    Raises:
        BrokenContract: with what was wrong.
    """
    start = np.linspace(-1.0, 2.0, dimensions)

    def new(seed: int = 0) -> Strategy:
        return build(settings, start.copy(), Key(seed))

    first, states, scores = new(), [], []
    for _ in range(GENERATIONS):
        states.append(reloaded(first.state()))
        scores.append(_scores(first))
        first.tell(scores[-1])
    end = digest(first.state())
    _demand(first.centre.shape == start.shape, "its centre has another shape than its start")
    _demand(bool(np.isfinite(first.centre).all()), "its centre is not finite")
    _same(new, scores, end)
    _demand(_run(new(1)) != end, "other keys must give other searches")
    _parts(new, states, scores)
    _failures(new)


def _scores(strategy: Strategy) -> Vector:
    """Of a bowl, asked about from the last member to the first."""
    population = strategy.ask()
    _demand(population.size > 0, "a population needs members")
    scores = np.empty(population.size)
    for member in reversed(range(population.size)):
        x = population.candidate(member)
        again = strategy.ask().candidate(member)
        _demand(bool(np.array_equal(x, again)), "asked again before `tell`, it asks otherwise")
        scores[member] = -float(x @ x)
    return scores


def _run(strategy: Strategy) -> str:
    for _ in range(GENERATIONS):
        strategy.tell(_scores(strategy))
    return digest(strategy.state())


def _same(new: Callable[[], Strategy], scores: list[Vector], end: str) -> None:
    """Told the same it becomes the same, whether anybody looked at its members or not."""
    blind = new()
    for told in scores:
        blind.tell(told)
    _demand(digest(blind.state()) == end, "equal keys and scores must give equal searches")


def _parts(new: Callable[[], Strategy], states: list[State], scores: list[Vector]) -> None:
    """Going on from any state; sums in parts; a sum that fails."""
    for cut, (state, told) in enumerate(zip(states, scores, strict=True)):
        whole = new()
        whole.restore(state)
        _demand(digest(whole.state()) == digest(state), f"restored at {cut}, it is not the same")
        whole.tell(told)
        after = states[cut + 1] if cut + 1 < len(states) else whole.state()
        _demand(digest(whole.state()) == digest(after), f"restored at {cut}, it goes on otherwise")
        for count in (2, 3):
            _demand(
                _in_parts(new, state, told, count) == digest(after),
                f"its update by {count} ranks has other bits than by one",
            )

        def fail(part: Vector) -> Vector:
            raise ConnectionError

        broken = new()
        broken.restore(state)
        try:
            broken.tell(told, Share(0, 2, fail))
        except ConnectionError:
            _demand(digest(broken.state()) == digest(state), "a sum failed, and it has changed")


def _in_parts(new: Callable[[], Strategy], state: State, told: Vector, count: int) -> str:
    """The state after an update that `count` ranks make together."""
    totals: list[Vector] = []  # of the sums that are complete
    while True:
        parts: list[Vector] = []
        ends = []
        for index in range(count):
            calls = iter(totals)

            def reduce(part: Vector, calls: Any = calls, parts: list[Vector] = parts) -> Vector:
                known = next(calls, None)
                if known is None:
                    parts.append(part.copy())
                    raise ConnectionError
                summed: Vector = known
                return summed

            strategy = new()
            strategy.restore(state)
            try:
                strategy.tell(told, Share(index, count, reduce))
                ends.append(digest(strategy.state()))
            except ConnectionError:
                pass
        if not parts:
            _demand(len(set(ends)) == 1, "ranks that made one update together differ")
            return ends[0]
        total: Vector = np.add.reduce(parts)
        totals.append(total)


def _failures(new: Callable[[], Strategy]) -> None:
    """Failed members: none of them is preferred, and a generation may be all failures."""
    strategy = new()
    strategy.tell(np.full(strategy.ask().size, np.nan))
    _demand(bool(np.isfinite(strategy.centre).all()), "a generation failed, and it is not finite")
    scores = _scores(new())
    bad = int(scores.argmin())
    others = np.delete(scores, bad)
    # As if it had been the worst by itself, or as bad as the worst of the others.
    fair = {_told(new(), scores, bad, value) for value in (scores[bad], others.min())}
    for value in (np.nan, np.inf, -np.inf):
        _demand(
            _told(new(), scores, bad, value) in fair,
            f"a member that scored {value} must count as the worst there is",
        )


def _told(strategy: Strategy, scores: Vector, member: int, value: float) -> str:
    """The centre after scores of which one is another."""
    changed = scores.copy()
    changed[member] = value
    strategy.tell(changed)
    return digest({"centre": strategy.centre})


def _demand(fine: bool, otherwise: str) -> None:
    if not fine:
        raise BrokenContract(f"{otherwise}.")
