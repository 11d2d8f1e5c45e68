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
from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.catalogue import kind_of, memory_of, parse
from veldt.agents.lives.inner_losses import PPO
from veldt.agents.lives.learned_loss import LossSettings
from veldt.agents.lives.life import LifeSettings, Lives, Outcome, blend_of, demand_family
from veldt.agents.lives.loss_file import NUMBERS, words
from veldt.platform.keys import Key
from veldt.platform.settings import Path, Settings
from veldt.search.problems.problem import Members, Score, Scores, Tick
from veldt.search.vectors import State, Vector


class LivesSettings(Settings):
    """The lives, the loss, and how a member is scored."""

    kind: Literal["lives"] = "lives"
    life: LifeSettings
    loss: pydantic.SerializeAsAny[Settings] = LossSettings()
    """`kind` names it: epg, a whole loss, or drift, PPO's but for what keeps a policy near"""
    tasks: int = pydantic.Field(4, ge=1, le=4096)
    """Lives of a member in a generation, each with a task of its own"""
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
        return data


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
        spec = demand_family(settings.life)
        self._anatomy = Anatomy(
            spec.observations.shape[0],
            spec.actions,
            settings.life.hidden,
            value=settings.bootstrap > 0 or self._kind.value,
            memory=memory_of(loss),
        )
        self._network = self._kind.network(loss, self._anatomy)
        self.words = words(loss, settings.life, spec.observations.shape[0], spec.actions)
        self.start = self._network.begin(key.child("loss").generator())
        if settings.initialisation:
            first = self._anatomy.begin(key.child("policy").generator())
            policy = first[: self._anatomy.policy_size]
            self.start = np.concatenate([self.start, policy.astype(float)])

    def evaluate(self, members: Members, tick: Tick) -> Sequence[Score]:
        tasks, numbers = self._settings.tasks, members.numbers
        keys = [members.key(n).child("life", task) for n in numbers for task in range(tasks)]
        rows = np.repeat([members.candidate(n) for n in numbers], tasks, axis=0)
        outcome = self._live(rows, keys, self._share(), tick)
        fitness = outcome.returns.reshape(len(numbers), tasks).mean(1)
        if self._settings.shuffled:
            order = members.key(numbers[0]).child("shuffled").generator()
            fitness = order.permutation(fitness)
        return [Score(value, tasks * outcome.steps) for value in fitness.tolist()]

    def _share(self) -> float:
        """PPO's, in this generation."""
        bootstrap = self._settings.bootstrap
        return max(0.0, 1.0 - self._generation / bootstrap) if bootstrap else 0.0

    def test(self, candidate: Vector, keys: Sequence[Key], tick: Tick) -> Sequence[Score]:
        rows = np.repeat(candidate[None], len(keys), axis=0)
        outcome = self._live(rows, keys, 0.0, tick)
        return [Score(value, outcome.steps) for value in outcome.returns.tolist()]

    def _live(self, rows: Vector, keys: Sequence[Key], share: float, tick: Tick) -> Outcome:
        """Lives by the losses of these candidates, [L, n]."""
        losses = torch.from_numpy(rows[:, : self._network.size]).float()
        other = PPO(self._anatomy) if share else None
        loss = self._kind.loss(self._network, self._anatomy)
        blend = blend_of(loss, losses, self._network.split, other, share)
        first = None
        if self._settings.initialisation:
            drawn = [self._anatomy.begin(key.child("weights").generator()) for key in keys]
            first = torch.from_numpy(np.stack(drawn))
            first[:, : self._anatomy.policy_size] = torch.from_numpy(
                rows[:, self._network.size :]
            ).float()
        return Lives(self._settings.life, self._anatomy, tick).live(keys, blend, first)

    def merge(self, scores: Scores) -> None:
        self._generation += 1

    def policy(self, candidate: Vector) -> State:
        size = self._network.size
        found: State = {NUMBERS: candidate[:size].astype(np.float32)}
        if self._settings.initialisation:
            found["policy"] = candidate[size:].astype(np.float32)
        return found

    def state(self) -> State:
        return {"generation": np.array(self._generation)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._generation = int(state["generation"])

    def close(self) -> None:
        pass
