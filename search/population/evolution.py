"""A population search without its processes: what is scored next, and what follows from it.

    while not evolution.done:
        turn = evolution.turn()
        scores = team.score(turn)          # on whatever ranks there are
        event = evolution.apply(scores)     # the same bits on each of them

Turns come in three kinds: a generation of the strategy's population; every so often an
evaluation of the strategy's centre; at the end one of the centre whose evaluation was
best, on episodes that nothing was chosen by.

Every rank holds the whole `Evolution`. All chance in turn r's task i is a key made of r
and i (or of r alone, where the members are to meet the same chance), so that it does not
matter who scores it, when, or how often.
"""

import dataclasses
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from veldt.platform.errors import InputError, Interrupted, RankLost, RunFailed
from veldt.platform.keys import Key
from veldt.platform.means import standard_error
from veldt.search.population.settings import PopulationSettings, build_problem, build_strategy
from veldt.search.problems.problem import Members, Problem, Score, Scores, Tick
from veldt.search.strategies.noise import WHOLE, Share
from veldt.search.strategies.strategy import Strategy, digest
from veldt.search.vectors import State, Vector

Purpose = Literal["generation", "evaluation", "final"]
Event = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Turn:
    """Tasks that are scored together, in any order and on any rank."""

    number: int
    purpose: Purpose
    size: int
    """members, or episodes of an evaluation"""
    block: int
    """of them in one task"""
    run: Callable[[range, Tick], Sequence[Score]]
    statistics_size: int
    carry_size: int

    @property
    def tasks(self) -> int:
        return math.ceil(self.size / self.block)

    def members(self, task: int) -> range:
        """The members that a task scores."""
        return range(task * self.block, min(self.size, (task + 1) * self.block))


@dataclasses.dataclass
class Counters:
    """How far a search is; plain numbers."""

    turns: int = 0
    generation: int = 0
    episodes: int = 0
    steps: int = 0
    failed: int = 0
    due: Purpose = "generation"
    done: bool = False
    best_fitness: float | None = None
    """of any member"""
    best_score: float | None = None
    """of the periodic evaluations"""
    chosen_generation: int | None = None
    """whose centre had it"""
    episodes_to_threshold: int | None = None
    steps_to_threshold: int | None = None


class Evolution:
    """The strategy, the problem and how far they are.

    Args:
        settings: Of the search.

    Raises:
        InputError: if the two do not go together.
    """

    def __init__(self, settings: PopulationSettings) -> None:
        self._settings = settings
        self._key = Key(settings.seed)
        self.problem: Problem = build_problem(settings.problem)(
            settings.problem, self._key.child("problem")
        )
        self.strategy: Strategy = build_strategy(settings.strategy)(
            settings.strategy, self.problem.start, self._key.child("strategy")
        )
        if self.strategy.unrolls > 1 and self.strategy.unrolls != self.problem.unrolls:
            raise InputError(
                f"strategy.unrolls = {self.strategy.unrolls}: a life in this problem takes "
                f"{self.problem.unrolls} generation(s), and both have to say the same (lives: "
                "problem.life.stretches)."
            )
        self.counters = Counters()
        self.chosen: State = {}  # the best centre and the problem's state that went with it
        self.final: Event | None = None

    @property
    def done(self) -> bool:
        return self.counters.done

    @property
    def dimensions(self) -> int:
        return len(self.problem.start)

    def turn(self) -> Turn:
        """What is to be scored now; the same until `apply`."""
        problem, counters = self.problem, self.counters
        if counters.due == "generation":
            population = self.strategy.ask()
            return Turn(
                counters.turns,
                "generation",
                population.size,
                problem.block,
                lambda members, tick: self._evaluate(members, population.candidate, tick),
                problem.statistics_size,
                problem.carry_size,
            )
        centre = self.choose() if counters.due == "final" else self.strategy.centre
        episodes = self._settings.evaluation.episodes
        return Turn(
            counters.turns,
            counters.due,
            episodes,
            problem.test_block,
            lambda episodes, tick: self._test(episodes, centre, tick),
            0,
            0,
        )

    def choose(self) -> Vector:
        """The best centre so far; the problem becomes what it was when it was evaluated."""
        self.problem.restore(_part(self.chosen, "problem."))
        return self.chosen["centre"]

    def _evaluate(
        self, numbers: range, candidate: Callable[[int], Vector], tick: Tick
    ) -> Sequence[Score]:
        generation, common = self.counters.generation, self._settings.common_random_numbers
        born = generation - generation % self.problem.unrolls

        def key(number: int) -> Key:
            return self._key.child("member", born, 0 if common else number)

        try:
            return self.problem.evaluate(Members(numbers, candidate, key), tick)
        except Exception as error:
            where = f"generation {generation}, member {numbers[0]}"
            return [self._failed(error, where, key(numbers[0]))] * len(numbers)

    def _test(self, episodes: range, centre: Vector, tick: Tick) -> Sequence[Score]:
        purpose, generation = self.counters.due, self.counters.generation
        keys = [self._key.child(purpose, generation, episode) for episode in episodes]
        try:
            return self.problem.test(centre, keys, tick)
        except Exception as error:
            where = f"{purpose}, episode {episodes[0]}"
            return [self._failed(error, where, keys[0])] * len(keys)

    def _failed(self, error: Exception, where: str, key: Key) -> Score:
        """A failed evaluation, or the end of the search."""
        if isinstance(error, Interrupted | RankLost):
            raise error
        if self._settings.errors == "stop":
            raise RunFailed(
                f"{where} (seed {key.seed}, key {'/'.join(map(str, key.path))}) raised:\n"
                f"{''.join(traceback.format_exception(error)).rstrip()}\n"
                'With errors = "fail" such evaluations count as failed and the search goes on.'
            ) from error
        return Score(math.nan)

    def apply(self, scores: Scores, share: Share = WHOLE) -> Event:
        """Takes in a turn; returns what there is to tell about it.

        If `share.reduce` raises, nothing has changed.
        """
        purpose = self.counters.due
        event = (
            self._apply_generation(scores, share)
            if purpose == "generation"
            else self._apply_evaluation(scores)
        )
        self.counters.turns += 1
        return event | {"turn": self.counters.turns}

    def _apply_generation(self, scores: Scores, share: Share) -> Event:
        counters, fitness = self.counters, scores.fitness
        told = fitness
        if self._settings.shuffled:
            order = self._key.child("shuffled", counters.generation).generator()
            told = order.permutation(fitness)
        self.strategy.tell(told, share)
        self.problem.merge(scores)
        finite = fitness[np.isfinite(fitness)]
        best = float(finite.max()) if len(finite) else None
        failed = len(fitness) - len(finite)
        counters.generation += 1
        counters.episodes += len(fitness) * max(1, self.problem.episodes)
        counters.steps += scores.steps
        counters.failed += failed
        if best is not None and (counters.best_fitness is None or best > counters.best_fitness):
            counters.best_fitness = best
        periodic = counters.generation % self._settings.evaluation.every == 0
        counters.due = "evaluation" if periodic or self._spent() else "generation"
        return {
            "kind": "metrics",
            "generation": counters.generation,
            "best_fitness": best,
            "mean_fitness": float(finite.mean()) if len(finite) else None,
            "fitness_deviation": float(finite.std()) if len(finite) else None,
            "failed": failed,
            "episodes": counters.episodes,
            "steps": counters.steps,
            "mean_steps": scores.steps / len(fitness),
            "fingerprint": digest(self.strategy.state()),
        }

    def _spent(self) -> bool:
        settings, counters = self._settings, self.counters
        return any(
            budget is not None and spent >= budget
            for budget, spent in (
                (settings.generations, counters.generation),
                (settings.episodes, counters.episodes),
                (settings.steps, counters.steps),
            )
        )

    def _apply_evaluation(self, scores: Scores) -> Event:
        counters, protocol = self.counters, self._settings.evaluation
        final = counters.due == "final"
        returns = scores.fitness
        mean = float(returns.mean())  # NaN if an episode failed: no such centre is chosen
        error = standard_error(returns)
        event: Event = {
            "kind": "final" if final else "evaluation",
            "generation": counters.chosen_generation if final else counters.generation,
            "episodes": counters.episodes,
            "steps": counters.steps,
            "mean_return": _number(mean),
            "standard_error": None if error is None else _number(error),
            "evaluation_episodes": len(returns),
            "evaluation_steps": scores.steps,
            "returns": [_number(value) for value in returns.tolist()],
        }
        if final:
            self.final, counters.done = event, True
            return event
        best = -math.inf if counters.best_score is None else counters.best_score
        # Where fitness is shuffled nothing may choose: its last centre is what it came to.
        if not self.chosen or self._settings.shuffled or mean > best:
            counters.best_score = _number(mean)
            counters.chosen_generation = counters.generation
            self.chosen = {"centre": self.strategy.centre.copy()}
            for name, array in self.problem.state().items():
                self.chosen[f"problem.{name}"] = array.copy()
        reached = protocol.threshold is not None and mean >= protocol.threshold
        if reached and counters.episodes_to_threshold is None:
            counters.episodes_to_threshold = counters.episodes
            counters.steps_to_threshold = counters.steps
        over = self._spent() or (reached and protocol.stop_at_threshold)
        counters.due = "final" if over else "generation"
        return event

    def fingerprint(self) -> str:
        """Of all that has been computed, down to the last bit."""
        return digest(self.state()[0])

    def state(self) -> tuple[State, dict[str, Any]]:
        """All there is to go on from: named arrays, and plain values."""
        arrays: State = {}
        for prefix, part in (
            ("strategy.", self.strategy.state()),
            ("problem.", self.problem.state()),
            ("chosen.", self.chosen),
        ):
            arrays |= {prefix + name: array for name, array in part.items()}
        return arrays, {"counters": dataclasses.asdict(self.counters), "final": self.final}

    def restore(self, arrays: Mapping[str, NDArray[Any]], plain: Mapping[str, Any]) -> None:
        """Becomes what `state` was taken from.

        Raises:
            InputError: if it was taken from another search.
        """
        try:
            self.strategy.restore(_part(arrays, "strategy."))
            self.problem.restore(_part(arrays, "problem."))
            self.counters = Counters(**plain["counters"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"this checkpoint is of another strategy or problem ({error!r})."
            ) from error
        if len(self.strategy.centre) != self.dimensions:
            raise InputError(
                f"this checkpoint is of a problem with {len(self.strategy.centre)} parameters; "
                f"this one has {self.dimensions}."
            )
        self.chosen = _part(arrays, "chosen.")
        self.final = plain["final"]

    def close(self) -> None:
        self.problem.close()


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> State:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
