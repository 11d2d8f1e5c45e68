"""Lives: a candidate is a loss, and is scored by what agents become that descend it.

Houthooft et al. 2018, "Evolved Policy Gradients", arXiv:1802.04821, algorithm 1: each member's
loss is lived by on several tasks of a family, and its fitness is the mean return of the policies
that these lives end with. In the first generations the agents descend PPO's loss as well, by a
share that shrinks to nothing, so that there is something to select by.

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
from veldt.agents.lives.inner_losses import PPO
from veldt.agents.lives.learned_loss import LossSettings
from veldt.agents.lives.life import LifeSettings, Lives, blend_of, demand_family, first_weights
from veldt.agents.lives.loss_file import NUMBERS, POLICY, words
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
    shuffled: bool = False
    """A control: each member gets the fitness of another"""

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
    unrolls, statistics_size, carry_size = 1, 0, 0
    product, environment_seconds = "loss", 0.0

    def __init__(self, settings: LivesSettings, key: Key) -> None:
        use_threads(1)
        loss: Any = settings.loss
        self._settings, self._generation, self._kind = settings, 0, kind_of(loss)
        self.block, self.test_block = settings.block, settings.test_block
        self.episodes = settings.tasks
        self._places = _places(settings)
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
        worth, steps = self._live(rows, keys, self._share(), tick)
        fitness = worth.reshape(len(numbers), tasks).mean(1)
        if self._settings.shuffled:
            order = members.key(numbers[0]).child("shuffled").generator()
            fitness = order.permutation(fitness)
        return [Score(value, tasks * steps) for value in fitness.tolist()]

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
        losses = torch.from_numpy(rows[:, : self._network.size]).float()
        worths, steps = [], 0
        for place in self._places:
            other = PPO(place.anatomy) if share else None
            loss = self._kind.loss(self._network, place.anatomy)
            blend = blend_of(loss, losses, self._network.split, other, share)
            first = self._first(rows, keys) if self._settings.initialisation else None
            outcome = Lives(place.life, place.anatomy, tick).live(keys, blend, first)
            worths.append(place.worth(outcome.returns))
            steps += outcome.steps
        return np.mean(worths, 0), steps

    def _first(self, rows: Vector, keys: Sequence[Key]) -> torch.Tensor:
        """First weights [L, P], the policy's evolved."""
        policies = torch.from_numpy(rows[:, self._network.size :]).float()
        return first_weights(self._places[0].anatomy, keys, policies)

    def merge(self, scores: Scores) -> None:
        self._generation += 1

    def policy(self, candidate: Vector) -> State:
        size = self._network.size
        found: State = {NUMBERS: candidate[:size].astype(np.float32)}
        if self._settings.initialisation:
            found[POLICY] = candidate[size:].astype(np.float32)
        return found

    def state(self) -> State:
        return {"generation": np.array(self._generation)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._generation = int(state["generation"])

    def close(self) -> None:
        pass
