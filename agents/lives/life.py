"""Lives: agents that learn a task from nothing, by one loss, many at once.

A life is what the inner loop of Houthooft et al. 2018, arXiv:1802.04821, does (algorithm 1,
lines 4 to 12): a fresh policy and optimiser, a task drawn from a family, and every M steps some
steps of Adam down a loss of what was lived so far. Nothing is shared between lives but the time:
they are rows of one program.

A life may be lived in stretches, each of them a part of its updates: what an agent is, and what
it remembers, is a row that is taken along from one to the next, and at the border an episode is
cut off. A life in one go with as many stretches is the same, bit for bit.

Legend: L lives, U updates of M steps in each, T steps of the buffer, O of an observation, P
numbers of an agent, Q of a loss.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from veldt.agents.lives.anatomy import Anatomy, Layout
from veldt.agents.lives.chance import Chance
from veldt.agents.lives.curve import Curve
from veldt.agents.lives.inner_losses import Descent, InnerLoss, Lived, Parts
from veldt.agents.lives.settings import LifeSettings
from veldt.agents.lives.world import Normaliser, World
from veldt.platform.keys import Key

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of Adam


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What lives came to."""

    returns: NDArray[np.float64]  # [L], mean of the final policy's episodes; NaN: it broke
    rewards: NDArray[np.float64]  # [L, U], mean of a step's between two updates
    episodes: NDArray[np.float64]  # [L, U], mean return of those that ended there; see curve.py
    alike: bool  # all episodes are as long, so that the two curves are one, but for the scale
    steps: int  # of the environment, in each life


class Blend(Protocol):
    """What is descended at an update: see `InnerLoss`, whose own parameters are given here."""

    def __call__(self, agent: Parts, lived: Lived) -> Descent: ...


class Lives:
    """Lives of one kind.

    Args:
        settings: Of them.
        anatomy: Of the agents.
        tick: Called at least every few milliseconds.
    """

    def __init__(
        self, settings: LifeSettings, anatomy: Anatomy, tick: Callable[[], None] = lambda: None
    ) -> None:
        self._settings, self._anatomy, self._tick = settings, anatomy, tick

    def live(
        self, keys: Sequence[Key], blend: Blend, first: Float[Tensor, "L P"] | None = None
    ) -> Outcome:
        """Lives them to their ends.

        Args:
            keys: All the chance there is in each life, its task included; [L].
            blend: What they descend.
            first: The agents' first weights; None: drawn from the keys.
        """
        return self._lived(keys, blend, range(self._settings.stretches), first, None)[0]

    def stretch(
        self,
        keys: Sequence[Key],
        blend: Blend,
        number: int,
        carry: Float[Tensor, "L C"] | None,
        first: Float[Tensor, "L P"] | None = None,
    ) -> tuple[Outcome, Float[Tensor, "L C"]]:
        """Lives one stretch of them.

        Args:
            keys: Of the whole lives: the same in all stretches.
            blend: What they descend in this one.
            number: Of the stretch, from 0.
            carry: What the one before gave, [L, `carry_size`]; None in the first.
            first: As in `live`; for the first stretch.

        Returns:
            What it came to, scored by the policies it ends with, and what to take along.
        """
        return self._lived(keys, blend, range(number, number + 1), first, carry)

    def score(self, keys: Sequence[Key], carry: Float[Tensor, "L C"]) -> Outcome:
        """Whole episodes of agents as they are at the end of their lives; they learn no more.

        Args:
            keys: Of the tasks that they are tried on; [L].
            carry: What their last stretch gave.
        """
        world = World(self._settings.environment, len(keys))
        try:
            living = Living(self._settings, self._anatomy, world, keys, None)
            living.resume(self._settings.stretches, carry)
            return living.score(self._tick)
        finally:
            world.close()

    def _lived(
        self,
        keys: Sequence[Key],
        blend: Blend,
        stretches: range,
        first: Tensor | None,
        carry: Tensor | None,
    ) -> tuple[Outcome, Tensor]:
        world = World(self._settings.environment, len(keys))
        try:
            living = Living(self._settings, self._anatomy, world, keys, first)
            if carry is not None:
                living.resume(stretches.start, carry)
            return living.run(blend, self._tick, stretches), living.carry()
        finally:
            world.close()


def carry_size(settings: LifeSettings, anatomy: Anatomy) -> int:
    """Numbers that a life takes along from one stretch to the next, C."""
    return _carried(settings, anatomy).size


def _carried(settings: LifeSettings, anatomy: Anatomy) -> Layout:
    seen, done, buffer = anatomy.observation, anatomy.choices, settings.buffer
    return Layout(
        {
            "agents": (anatomy.size,),
            "moments": (2, anatomy.size),
            "seen": (2, 1, seen),
            "done": (2, 1, done),
            "observation": (buffer, seen),
            "action": (buffer, done),
            "told": (buffer, 3),
        }
    )


class Living:
    """Lives that are being lived."""

    def __init__(
        self,
        settings: LifeSettings,
        anatomy: Anatomy,
        world: World,
        keys: Sequence[Key],
        first: Tensor | None,
    ) -> None:
        self._settings, self._anatomy, self._world = settings, anatomy, world
        self._chance = Chance(anatomy, keys, settings.updates, settings.steps, settings.epochs)
        L, T = len(keys), settings.buffer
        self.agents = (self._chance.weights if first is None else first).clone()
        self._moments = torch.zeros(2, *self.agents.shape)
        self._descended = 0
        self._seen = Normaliser(L, anatomy.observation)
        self._done = Normaliser(L, anatomy.choices)
        self._observation = torch.zeros(L, T, anatomy.observation)
        self._action = torch.zeros(L, T, anatomy.choices)
        self._told = torch.zeros(L, T, 3)  # 1, reward and done

    def carry(self) -> Float[Tensor, "L C"]:
        """What a later stretch needs of this one; float64, which holds all of it exactly."""
        parts = {
            "agents": self.agents,
            "moments": self._moments.transpose(0, 1),
            "seen": self._seen.sums.transpose(0, 1),
            "done": self._done.sums.transpose(0, 1),
            "observation": self._observation,
            "action": self._action,
            "told": self._told,
        }
        return torch.cat([part.double().flatten(1) for part in parts.values()], 1)

    def resume(self, stretch: int, carry: Float[Tensor, "L C"]) -> None:
        """Becomes what `carry` was taken from, before this stretch."""
        settings, parts = self._settings, _carried(self._settings, self._anatomy).split(carry)
        updates = stretch * settings.updates // settings.stretches
        self.agents = parts["agents"].float()
        self._moments = parts["moments"].float().transpose(0, 1).contiguous()
        self._observation, self._action, self._told = (
            parts[name].float() for name in ("observation", "action", "told")
        )
        self._descended = updates * settings.epochs * (settings.steps // settings.minibatch)
        for name, normaliser in (("seen", self._seen), ("done", self._done)):
            normaliser.resume(updates * settings.steps, parts[name].transpose(0, 1).clone())

    def run(self, blend: Blend, tick: Callable[[], None], stretches: range) -> Outcome:
        """Lives some stretches, one after another; they are scored at the end of the last."""
        settings = self._settings
        rewards, curve = [], Curve(len(self.agents))
        length = settings.updates // settings.stretches
        for update in range(stretches.start * length, stretches.stop * length):
            if update % length == 0:
                self._begin(curve)
            lived = self._live(update, curve, tick)
            rewards.append(lived.reward.double().mean(1))
            descent = blend(self._anatomy.split(self.agents), lived)
            for epoch in range(settings.epochs):
                order = self._chance.orders[update * settings.epochs + epoch]
                for chosen in torch.split(order, settings.minibatch, 1):
                    self._descend(descent, chosen)
                    tick()
        scored = self.score(tick)
        return dataclasses.replace(
            scored,
            rewards=torch.stack(rewards, 1).numpy(),
            episodes=curve.rows(),
            steps=len(stretches) * length * settings.steps + scored.steps,
        )

    def _begin(self, curve: Curve | None = None) -> None:
        """Begins an episode in each life's task."""
        self._world.begin([key.child("world") for key in self._chance.keys])
        if curve is not None:
            curve.begin()

    @torch.no_grad()
    def _act(self, parts: Parts, noise: Tensor) -> tuple[Tensor, Tensor]:
        """What the agents do now [L, choices], and the policy it is drawn from [L, W]."""
        policy = self._anatomy.policy(parts, self._seen(self._world.now[:, None]))[:, 0]
        if self._anatomy.discrete:
            chosen = (torch.softmax(policy, -1) / noise).argmax(-1)
            return torch.nn.functional.one_hot(chosen, self._anatomy.choices).float(), policy
        mean, log_std = policy.chunk(2, -1)
        action = (mean + log_std.exp() * noise).nan_to_num(0.0, 1e6, -1e6)
        return action, policy

    def _taken(self, action: Tensor) -> NDArray[np.generic]:
        """As the environment takes it."""
        found: NDArray[np.generic] = (
            action.argmax(-1) if self._anatomy.discrete else action
        ).numpy()
        return found

    def _live(self, update: int, curve: Curve, tick: Callable[[], None]) -> Lived:
        """M steps, and what is known after them."""
        M = self._settings.steps
        parts = self._anatomy.split(self.agents)
        rows: list[tuple[Tensor, ...]] = []
        for step in range(M):
            now = self._world.now
            action, policy = self._act(parts, self._chance.noise[update * M + step])
            reward, terminated, ended, after, episodes = self._world.step(self._taken(action))
            curve.take(reward.numpy(), episodes)
            rows.append((now, action, policy, reward, terminated, ended, after))
            tick()
        observation, action, policy, reward, terminated, ended, after = (
            torch.stack(column, 1) for column in zip(*rows, strict=True)
        )
        curve.update()
        if (update + 1) % (self._settings.updates // self._settings.stretches) == 0 and (
            update + 1 < self._settings.updates
        ):
            ended[:, -1] = True  # the border of a stretch cuts it off
        self._seen.take(observation)
        self._done.take(action)
        told = torch.stack([torch.ones_like(reward), reward, ended.float()], -1)
        self._observation = torch.cat([self._observation[:, M:], observation], 1)
        self._action = torch.cat([self._action[:, M:], action], 1)
        self._told = torch.cat([self._told[:, M:], told], 1)
        # What was not lived yet is zeros, not what zeros are normalised to.
        there = self._told[..., :1]
        normalised = self._seen(self._observation) * there
        return Lived(
            observation=normalised,
            channels=torch.cat([normalised, self._done(self._action) * there, self._told], -1),
            action=action.argmax(-1) if self._anatomy.discrete else action,
            reward=reward,
            terminated=terminated,
            ended=ended,
            behaviour=policy,
            after=self._seen(after),
        )

    def _descend(self, descent: Descent, chosen: Tensor) -> None:
        """One step of Adam, each life down its own loss."""
        agents = self.agents.requires_grad_()
        losses = descent(self._anatomy.split(agents), chosen)
        (gradient,) = torch.autograd.grad(losses.sum(), agents)
        self._descended += 1
        first, second = self._moments
        first.lerp_(gradient, 1.0 - BETA1)
        second.mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)
        rate = self._settings.learning_rate / (1.0 - BETA1**self._descended)
        roots = (second / (1.0 - BETA2**self._descended)).sqrt_().add_(EPSILON)
        self.agents = agents.detach().addcdiv(first, roots, value=-rate)

    @torch.no_grad()
    def score(self, tick: Callable[[], None]) -> Outcome:
        """What the policies are worth that there are now, by their next whole episodes."""
        wanted, L = self._settings.final_episodes, len(self.agents)
        self._begin()
        parts, sums, counts = self._anatomy.split(self.agents), np.zeros(L), np.zeros(L, np.int64)
        steps, block = 0, self._settings.steps
        noise = torch.empty(0)
        while counts.min() < wanted:
            if steps % block == 0:
                more = self._chance.final(self._anatomy, steps + block)
                noise = more[steps:]
            action, _ = self._act(parts, noise[steps % block])
            episodes = self._world.step(self._taken(action))[-1]
            for episode in episodes:
                if counts[episode.environment] < wanted:
                    sums[episode.environment] += episode.episode_return
                    counts[episode.environment] += 1
            steps += 1
            tick()
        returns = sums / wanted
        returns[~self.agents.isfinite().all(1).numpy()] = np.nan
        mean = (returns * wanted / steps)[:, None]
        return Outcome(returns, mean, returns[:, None], self._world.alike, steps)


def blend_of(
    loss: InnerLoss,
    parameters: Float[Tensor, "L Q"] | None = None,
    split: Callable[[Tensor], Parts] = lambda rows: {},
    other: InnerLoss | None = None,
    share: float = 0.0,
) -> Blend:
    """One loss, or (1 - share) of it and `share` of another."""
    own = {} if parameters is None else split(parameters)

    def begin(agent: Parts, lived: Lived) -> Descent:
        first = loss(own, agent, lived)
        if other is None or share == 0.0:
            return first
        second = other({}, agent, lived)
        return lambda agent, chosen: (
            (1.0 - share) * first(agent, chosen) + share * second(agent, chosen)
        )

    return begin
