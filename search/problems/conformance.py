"""What every problem must satisfy; call `check` from the tests of your own.

from veldt.search.problems.conformance import check
check(MyProblem, MyProblemSettings())
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from veldt.platform.errors import BrokenContract
from veldt.platform.keys import Key
from veldt.search.problems.problem import Builder, Members, Problem, Score, Scores
from veldt.search.strategies.strategy import digest
from veldt.search.vectors import State, Vector, reloaded

SIZE = 6  # members of a generation


class _Stopped(Exception):
    """What a tick raises."""


def check(build: Builder, settings: Any, spread: float = 0.1, generations: int = 3) -> None:
    """Plays some generations in several ways and compares.

    Args:
        build: The problem's class.
        settings: Its settings; the shorter its evaluations the better.
        spread: Deviation of the members around the start.
        generations: How many.

    Raises:
        BrokenContract: with what was wrong.
    """
    problems: list[Problem] = []

    def new() -> Problem:
        problems.append(build(settings, Key(3).child("problem")))
        return problems[-1]

    try:
        _check(new, spread, generations)
    finally:
        for problem in problems:
            problem.close()
            problem.close()  # again it does nothing


def _check(new: Callable[[], Problem], spread: float, generations: int) -> None:
    first = new()
    start = first.start
    _demand(start.ndim == 1 and start.dtype == np.float64, "start must be a vector of float64")
    _demand(first.block >= 1 and first.unrolls >= 1, "block and unrolls are at least 1")
    _demand(bool(np.array_equal(start, new().start)), "equal keys must give equal starts")
    for generation in range(generations):
        noise = Key(generation).child("members").generator().standard_normal((SIZE, len(start)))
        candidates = start + spread * noise
        state = reloaded(first.state())
        scores = _generation(first, candidates, generation, reverse=False)
        _demand(
            digest(reloaded(first.state())) == digest(state),
            "evaluating must leave the state alone",
        )
        other = new()
        other.restore(state)
        _demand(digest(other.state()) == digest(state), "restored, it is not the same")
        again = _generation(other, candidates, generation, reverse=True)
        _demand(_equal(scores, again), "a score must depend on its arguments and the state alone")
        _interrupted(other, candidates, generation, scores)
        _tested(first, other, start, state)
        merged = _together(scores, first)
        first.merge(merged)
        other.merge(merged)
        _demand(digest(first.state()) == digest(other.state()), "merged the same, they differ")
    _demand(all(isinstance(array, np.ndarray) for array in first.policy(start).values()), "policy")


def _generation(
    problem: Problem, candidates: Vector, generation: int, reverse: bool
) -> list[Score]:
    """The scores of a generation, its blocks in order or from the last to the first."""
    found: dict[int, Score] = {}
    blocks = range(0, SIZE, problem.block)
    for first in reversed(blocks) if reverse else blocks:
        numbers = range(first, min(SIZE, first + problem.block))
        ticks = [0]

        def tick(ticks: list[int] = ticks) -> None:
            ticks[0] += 1

        scores = problem.evaluate(_members(problem, numbers, candidates, generation), tick)
        _demand(ticks[0] > 0, "an evaluation must tick")
        _demand(len(scores) == len(numbers), "an evaluation gives one score for each member")
        for number, score in zip(numbers, scores, strict=True):
            found[number] = _sound(score, problem)
    return [found[number] for number in range(SIZE)]


def _members(problem: Problem, numbers: range, candidates: Vector, generation: int) -> Members:
    born = generation - generation % problem.unrolls

    def key(number: int) -> Key:
        return Key(5).child("member", born, number)

    return Members(numbers, lambda number: candidates[number].copy(), key)


def _sound(score: Score, problem: Problem) -> Score:
    _demand(0 <= score.steps < 2**32, f"steps are a count below 2^32, not {score.steps}")
    if score.statistics is not None:
        fine = score.statistics.dtype == np.int64
        fine = fine and score.statistics.shape == (problem.statistics_size,)
        _demand(fine, "statistics must be int64 [statistics_size]")
    if score.carry is not None:
        _demand(score.carry.shape == (problem.carry_size,), "carry must be [carry_size]")
    return score


def _equal(scores: Sequence[Score], others: Sequence[Score]) -> bool:
    def plain(score: Score) -> Any:
        arrays = [None if a is None else a.tolist() for a in (score.statistics, score.carry)]
        return [repr(score.fitness), score.steps, *arrays]

    return [plain(score) for score in scores] == [plain(score) for score in others]


def _interrupted(
    problem: Problem, candidates: Vector, generation: int, scores: Sequence[Score]
) -> None:
    """A tick that raises ends an evaluation, and the next one is none the worse for it."""

    def stop() -> None:
        raise _Stopped

    numbers = range(min(SIZE, problem.block))
    try:
        problem.evaluate(_members(problem, numbers, candidates, generation), stop)
    except _Stopped:
        pass
    else:
        raise BrokenContract("what a tick raises must end the evaluation.")
    again = problem.evaluate(_members(problem, numbers, candidates, generation), lambda: None)
    _demand(_equal(again, scores[: len(numbers)]), "an evaluation was stopped, and left a trace")


def _tested(first: Problem, other: Problem, start: Vector, state: State) -> None:
    keys = [Key(9).child("test", episode) for episode in range(first.test_block)]
    one, two = (p.test(start.copy(), keys, lambda: None) for p in (first, other))
    _demand(_equal(one, two), "a test must depend on its arguments and the state alone")
    _demand(len(one) == len(keys), "a test gives one score for each key")
    _demand(digest(reloaded(first.state())) == digest(state), "a test must leave the state alone")


def _together(scores: Sequence[Score], problem: Problem) -> Scores:
    statistics = np.zeros(problem.statistics_size, np.int64)
    carry = np.zeros((SIZE, problem.carry_size))
    for row, score in enumerate(scores):
        statistics += 0 if score.statistics is None else score.statistics
        if score.carry is not None:
            carry[row] = score.carry
    fitness = np.array([score.fitness for score in scores])
    return Scores(fitness, sum(score.steps for score in scores), statistics, carry)


def _demand(fine: bool, otherwise: str) -> None:
    if not fine:
        raise BrokenContract(f"{otherwise}.")
