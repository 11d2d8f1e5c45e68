"""Lives: a candidate is a loss, and is scored by what agents become that descend it.

Houthooft et al. 2018, "Evolved Policy Gradients", arXiv:1802.04821, algorithm 1: each member's
loss is lived by on several tasks of a family, and its fitness is the mean return of the policies
that these lives end with. In the first generations the agents descend PPO's loss as well, by a
share that shrinks to nothing, so that there is something to select by.

With `life.stretches` a life takes as many generations, each of which scores the policies that a
stretch ends with: for persistent-es (Vicol et al. 2021, arXiv:2112.13835) and noise-reuse-es (Li
et al. 2023, arXiv:2304.12180), whose estimates climb the sum of these scores over a life. What an
agent is and remembers travels from generation to generation with its member.

All lives of a block are one program; see `agents/lives`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pydantic
import torch
from numpy.typing import NDArray

from veldt.agents.build import use_threads
from veldt.agents.environment_settings import TaskSettings
from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.catalogue import kind_of, memory_of, parse
from veldt.agents.lives.chance import first_weights
from veldt.agents.lives.inner_losses import PPO
from veldt.agents.lives.learned_loss import LossSettings
from veldt.agents.lives.life import Blend, Lives, blend_of, carry_size
from veldt.agents.lives.loss_file import NUMBERS, POLICY, words
from veldt.agents.lives.settings import LifeSettings, demand_family
from veldt.platform.keys import Key
from veldt.platform.settings import Path, Settings
from veldt.search.problems.problem import Members, Score, Scores, Tick
from veldt.search.vectors import State, Vector

PLACE = tuple(TaskSettings.model_fields)


class ScoredEnvironment(TaskSettings):
    """Where members live, and what a return there is worth."""

    low: float
    """Counts as 0"""
    high: float
    """Counts as 1"""

    @pydantic.model_validator(mode="after")
    def _order(self) -> "ScoredEnvironment":
        if self.high <= self.low:
            raise ValueError(f"high is {self.high:g}, which is not above low, {self.low:g}")
        return self


class LivesSettings(Settings):
    """The lives, the loss, and how a member is scored."""

    kind: Literal["lives"] = "lives"
    life: LifeSettings
    loss: pydantic.SerializeAsAny[Settings] = LossSettings()
    """`kind` names it: epg, a whole loss, or drift, PPO's but for what keeps a policy near"""
    environments: tuple[ScoredEnvironment, ...] = ()
    """Members live in each of these, and their fitness is the mean of what it is worth; empty: in
    life.environment alone, and it is the return. Several are for losses of any shape."""
    tasks: int = pydantic.Field(4, ge=1, le=4096)
    """Lives of a member in a generation and an environment, each with a task of its own"""
    block: int = pydantic.Field(8, ge=1, le=4096)
    """Members whose lives are one program"""
    test_block: int = pydantic.Field(50, ge=1, le=4096)
    """Lives of an evaluation that are"""
    bootstrap: int = pydantic.Field(0, ge=0)
    """Generations in which the share of PPO's loss falls from 1 to 0; 0: it has none"""
    initialisation: bool = False
    """Evolve the policy's first weights too"""

    @classmethod
    def prepare(cls, data: dict[str, Any], at: Path) -> dict[str, Any]:
        if "loss" in data:
            data["loss"] = parse(data["loss"], (*at, "loss"))
        several, life = data.get("environments"), data.get("life")
        if several and isinstance(life, Mapping) and "environment" not in life:
            first = {name: value for name, value in dict(several[0]).items() if name in PLACE}
            data["life"] = {**life, "environment": first}
        return data

    @pydantic.model_validator(mode="after")
    def _shapes(self) -> "LivesSettings":
        loss: Any = self.loss
        if self.environments and not kind_of(loss).any_shape:
            raise ValueError(
                f"environments: {loss.kind} is a loss for one environment's shapes; name that "
                "in life.environment"
            )
        if self.environments and self.initialisation:
            raise ValueError(
                "initialisation: policies of several shapes have no weights in common"
            )
        return self


class Place:
    """An environment that members live in.

    Args:
        settings: The problem's.
        life: How they live.
        low: The return that counts as 0.
        high: And as 1.
    """

    def __init__(
        self, settings: LivesSettings, life: LifeSettings, low: float, high: float
    ) -> None:
        self.life, self._low, self._width = life, low, high - low
        self.spec, loss = demand_family(life), settings.loss
        self.anatomy = Anatomy(
            self.spec.observations.shape[0],
            self.spec.actions,
            life.hidden,
            value=settings.bootstrap > 0 or kind_of(loss).value,
            memory=memory_of(loss),
        )

    def worth(self, returns: Vector) -> Vector:
        return (returns - self._low) / self._width


def _places(settings: LivesSettings) -> list[Place]:
    """Where members live; life.environment as it is if no others are named."""
    if not settings.environments:
        return [Place(settings, settings.life, 0.0, 1.0)]
    found = []
    for one in settings.environments:
        here = TaskSettings(**{name: getattr(one, name) for name in PLACE})
        life = settings.life.model_copy(update={"environment": here})
        found.append(Place(settings, life, one.low, one.high))
    return found


class LivesProblem:
    """The fitness of a loss."""

    Settings = LivesSettings
    statistics_size = 0
    product, environment_seconds = "loss", 0.0

    def __init__(self, settings: LivesSettings, key: Key) -> None:
        use_threads(1)
        loss: Any = settings.loss
        self._settings, self._generation, self._kind = settings, 0, kind_of(loss)
        self.block, self.test_block = settings.block, settings.test_block
        self.episodes, self.unrolls = settings.tasks, settings.life.stretches
        self._places = _places(settings)
        self._sizes = [carry_size(place.life, place.anatomy) for place in self._places]
        self.carry_size = settings.tasks * sum(self._sizes) if self.unrolls > 1 else 0
        self._carried = np.zeros((0, 0))  # what members take along, [size, carry_size]
        first = self._places[0]
        self._network = self._kind.network(loss, first.anatomy)
        shape = first.spec.observations.shape[0]
        self.words = words(loss, first.life, shape, first.spec.actions)
        self.start = self._network.begin(key.child("loss").generator())
        if settings.initialisation:
            weights = first.anatomy.begin(key.child("policy").generator())
            policy = weights[: first.anatomy.policy_size]
            self.start = np.concatenate([self.start, policy.astype(float)])

    def evaluate(self, members: Members, tick: Tick) -> Sequence[Score]:
        tasks, numbers = self._settings.tasks, members.numbers
        keys = [members.key(n).child("life", task) for n in numbers for task in range(tasks)]
        rows = np.repeat([members.candidate(n) for n in numbers], tasks, axis=0)
        if self.unrolls == 1:
            worth, steps = self._live(rows, keys, self._share(), tick)
            carry: Sequence[Vector | None] = [None] * len(numbers)
        else:
            worth, steps, taken = self._stretch(rows, keys, list(numbers), tick)
            carry = list(taken.reshape(len(numbers), self.carry_size))
        fitness = worth.reshape(len(numbers), tasks).mean(1).tolist()
        return [
            Score(value, tasks * steps, carry=row)
            for value, row in zip(fitness, carry, strict=True)
        ]

    def _share(self) -> float:
        """PPO's, in this generation."""
        bootstrap = self._settings.bootstrap
        return max(0.0, 1.0 - self._generation / bootstrap) if bootstrap else 0.0

    def test(self, candidate: Vector, keys: Sequence[Key], tick: Tick) -> Sequence[Score]:
        rows = np.repeat(candidate[None], len(keys), axis=0)
        worth, steps = self._live(rows, keys, 0.0, tick)
        return [Score(value, steps) for value in worth.tolist()]

    def _live(
        self, rows: Vector, keys: Sequence[Key], share: float, tick: Tick
    ) -> tuple[Vector, int]:
        """Lives by the losses of these candidates [L, n] in every place: their mean worth [L],
        and the steps of each."""
        worths, steps = [], 0
        for place in self._places:
            lives = Lives(place.life, place.anatomy, tick)
            blend = self._blend(place, rows, share)
            outcome = lives.live(keys, blend, self._first(rows, keys))
            worths.append(place.worth(outcome.returns))
            steps += outcome.steps
        return np.mean(worths, 0), steps

    def _stretch(
        self, rows: Vector, keys: Sequence[Key], numbers: list[int], tick: Tick
    ) -> tuple[Vector, int, Vector]:
        """The same for a stretch of the lives of these members, and what they take along, [L, c]
        for each life."""
        number = self._generation % self.unrolls
        before = None
        if number:
            before = self._carried[numbers].reshape(len(rows), -1)
        worths, steps, taken, place_at = [], 0, [], 0
        for place, size in zip(self._places, self._sizes, strict=True):
            lives = Lives(place.life, place.anatomy, tick)
            mine = slice(place_at, place_at + size)
            outcome, carry = lives.stretch(
                keys,
                self._blend(place, rows, self._share()),
                number,
                None if before is None else torch.from_numpy(before[:, mine]),
                self._first(rows, keys),
            )
            worths.append(place.worth(outcome.returns))
            steps += outcome.steps
            taken.append(carry.numpy())
            place_at += size
        return np.mean(worths, 0), steps, np.concatenate(taken, 1)

    def _blend(self, place: Place, rows: Vector, share: float) -> Blend:
        """What lives in a place by these candidates [L, n] descend, `share` of it PPO's."""
        losses = torch.from_numpy(rows[:, : self._network.size]).float()
        loss = self._kind.loss(self._network, place.anatomy)
        other = PPO(place.anatomy) if share else None
        return blend_of(loss, losses, self._network.split, other, share)

    def _first(self, rows: Vector, keys: Sequence[Key]) -> torch.Tensor | None:
        """First weights [L, P], the policy's evolved; None where none are."""
        if not self._settings.initialisation:
            return None
        policies = torch.from_numpy(rows[:, self._network.size :]).float()
        return first_weights(self._places[0].anatomy, keys, policies)

    def merge(self, scores: Scores) -> None:
        self._carried = np.array(scores.carry)
        self._generation += 1

    def policy(self, candidate: Vector) -> State:
        size = self._network.size
        found: State = {NUMBERS: candidate[:size].astype(np.float32)}
        if self._settings.initialisation:
            found[POLICY] = candidate[size:].astype(np.float32)
        return found

    def state(self) -> State:
        return {"generation": np.array(self._generation), "carried": self._carried}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._generation = int(state["generation"])
        self._carried = state.get("carried", np.zeros((0, 0))).copy()

    def close(self) -> None:
        pass
