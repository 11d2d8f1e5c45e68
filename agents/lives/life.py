"""Lives: agents that learn a task from nothing, by one loss, many at once.

A life is what the inner loop of Houthooft et al. 2018, arXiv:1802.04821, does (algorithm 1,
lines 4 to 12): a fresh policy and optimiser, a task drawn from a family, and every M steps some
steps of Adam down a loss of what was lived so far. Nothing is shared between lives but the time:
they are rows of one program.

Legend: L lives, U updates of M steps in each, T steps of the buffer, O of an observation, P
numbers of an agent, Q of a loss.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import pydantic
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from veldt.agents.environment_settings import TaskSettings
from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.curve import Curve
from veldt.agents.lives.inner_losses import InnerLoss, Lived, Parts
from veldt.platform.envs import catalogue
from veldt.platform.envs.families import Family
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import SettingsError, UnsupportedSpace
from veldt.platform.keys import Key
from veldt.platform.settings import Settings

FLOOR = 0.01  # of the variance that inputs are normalised by
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of Adam


class LifeSettings(Settings):
    """How long it is, and how it learns."""

    environment: TaskSettings
    """A family of tasks: `veldt list environments`"""
    hidden: tuple[int, ...] = (32, 32)
    """Widths of the policy's layers"""
    updates: int = pydantic.Field(32, ge=1, le=1_000_000)
    """U"""
    steps: int = pydantic.Field(64, ge=2, le=1_000_000)
    """M, from one update to the next"""
    buffer: int = pydantic.Field(512, ge=2, le=1_000_000)
    """T, steps that a learned loss looks back on"""
    epochs: int = pydantic.Field(1, ge=1, le=1000)
    """Passes over the newest M"""
    minibatch: int = pydantic.Field(32, ge=2, le=1_000_000)
    """Samples in a step of Adam"""
    learning_rate: float = pydantic.Field(1e-3, gt=0.0)
    """Of Adam"""
    final_episodes: int = pydantic.Field(3, ge=1, le=1000)
    """That the final policy is scored by; it learns no more"""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> "LifeSettings":
        if self.steps % self.minibatch:
            raise ValueError(f"minibatch is {self.minibatch}, which does not divide {self.steps}")
        if self.buffer < self.steps:
            raise ValueError(f"buffer is {self.buffer}, less than the {self.steps} newest steps")
        return self


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What lives came to."""

    returns: NDArray[np.float64]  # [L], mean of the final policy's episodes; NaN: it broke
    rewards: NDArray[np.float64]  # [L, U], mean of a step's between two updates
    episodes: NDArray[np.float64]  # [L, U], mean return of those that ended there; see curve.py
    alike: bool  # all episodes are as long, so that the two curves are one, but for the scale
    steps: int  # of the environment, in each life


class Blend(Protocol):
    """What is descended at an update, [L]."""

    def __call__(self, agent: Parts, lived: Lived, chosen: Tensor) -> Tensor: ...


def demand_family(settings: LifeSettings) -> EnvironmentSpec:
    """What the family looks like.

    Raises:
        SettingsError: if it is none.
        UnsupportedSpace: if small networks cannot see it, or there is no policy for it.
    """
    environments = catalogue.make(settings.environment.id, 1, settings.environment.options)
    try:
        spec = environments.spec
        if not hasattr(environments, "begin"):
            raise SettingsError(
                f"environment.id: {spec.id} is one task, not a family of them, for which "
                "vectors have `begin`; family/direction is one."
            )
    finally:
        environments.close()
    if len(spec.observations.shape) != 1 or spec.observations.dtype != "float32":
        raise UnsupportedSpace(f"{spec.id}: lives are of agents that see a row of numbers.")
    if spec.actions.kind not in ("discrete", "box"):
        raise UnsupportedSpace(f"{spec.id} takes {spec.actions.description}: no life for that.")
    return spec


def first_weights(
    anatomy: Anatomy, keys: Sequence[Key], policies: Float[Tensor, "L V"] | None = None
) -> Float[Tensor, "L P"]:
    """Agents' first weights, from the keys of their lives; but for V policy's that are given."""
    drawn = [anatomy.begin(key.child("weights").generator()) for key in keys]
    first = torch.from_numpy(np.stack(drawn))
    if policies is not None:
        first[:, : anatomy.policy_size] = policies
    return first


class Chance:
    """All that is drawn in lives, before they begin: each row from its own key."""

    def __init__(self, settings: LifeSettings, anatomy: Anatomy, keys: Sequence[Key]) -> None:
        steps = settings.updates * settings.steps
        passes = settings.updates * settings.epochs
        noise, orders = [], []
        for key in keys:
            actions = key.child("actions").generator()
            draw = actions.standard_exponential if anatomy.discrete else actions.standard_normal
            noise.append(draw((steps, anatomy.choices), np.float32))
            order = np.tile(np.arange(settings.steps), (passes, 1))
            orders.append(key.child("order").generator().permuted(order, axis=1))
        self.weights = first_weights(anatomy, keys)  # [L, P]
        self.noise = torch.from_numpy(np.stack(noise, 1))  # [U * M, L, choices]
        self.orders = torch.from_numpy(np.stack(orders, 1))  # [U * epochs, L, M]
        self.keys = keys

    def final(self, anatomy: Anatomy, steps: int) -> Tensor:
        """Noise of `steps` more, [steps, L, choices]."""
        found = []
        for key in self.keys:
            actions = key.child("final").generator()
            draw = actions.standard_exponential if anatomy.discrete else actions.standard_normal
            found.append(draw((steps, anatomy.choices), np.float32))
        return torch.from_numpy(np.stack(found, 1))


class Normaliser:
    """Means and deviations of what each life saw so far."""

    def __init__(self, lives: int, width: int) -> None:
        self._count = 0
        self._sum, self._squares = torch.zeros(2, lives, 1, width, dtype=torch.double)
        self._mean, self._scale = torch.zeros(lives, 1, width), torch.ones(lives, 1, width)

    def take(self, x: Float[Tensor, "L N W"]) -> None:
        """Takes in N more."""
        self._count += x.shape[1]
        self._sum += x.sum(1, keepdim=True, dtype=torch.double)
        self._squares += x.double().square().sum(1, keepdim=True)
        mean = self._sum / self._count
        variance = (self._squares / self._count - mean.square()).clamp(min=FLOOR)
        self._mean, self._scale = mean.float(), variance.rsqrt().float()

    def __call__(self, x: Float[Tensor, "L N W"]) -> Tensor:
        return (x - self._mean) * self._scale


class World:
    """The environments of lives, and what is seen of them as tensors.

    Args:
        settings: Of the lives.
        size: L.
    """

    def __init__(self, settings: LifeSettings, size: int) -> None:
        made: Any = catalogue.make(settings.environment.id, size, settings.environment.options)
        self._environments: Family = made
        self.alike: bool = getattr(made, "alike", False)
        """all episodes are as long, whatever is done"""
        self.now = torch.empty(0)

    def begin(self, keys: Sequence[Key]) -> None:
        self.now = torch.from_numpy(np.array(self._environments.begin(keys)))

    def step(self, action: NDArray[np.generic]) -> tuple[Tensor, Tensor, Tensor, Tensor, Any]:
        """Reward, terminated, ended, what it led to [L, O], and the episodes that ended."""
        step = self._environments.step(action)
        after = torch.from_numpy(np.array(step.observation))
        self.now = after
        if len(step.final_rows):
            after = after.clone()
            after[torch.from_numpy(step.final_rows)] = torch.from_numpy(
                np.array(step.final_observation)
            )
        reward, terminated = torch.from_numpy(step.reward), torch.from_numpy(step.terminated)
        ended = terminated | torch.from_numpy(step.truncated)
        return reward, terminated, ended, after, step.episodes

    def close(self) -> None:
        self._environments.close()


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
        world = World(self._settings, len(keys))
        try:
            return Living(self._settings, self._anatomy, world, keys, first).run(blend, self._tick)
        finally:
            world.close()


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
        self._chance = Chance(settings, anatomy, keys)
        L, T = len(keys), settings.buffer
        self.agents = (self._chance.weights if first is None else first).clone()
        self._moments = torch.zeros(2, *self.agents.shape)
        self._descended = 0
        self._seen = Normaliser(L, anatomy.observation)
        self._done = Normaliser(L, anatomy.choices)
        self._observation = torch.zeros(L, T, anatomy.observation)
        self._action = torch.zeros(L, T, anatomy.choices)
        self._told = torch.zeros(L, T, 3)  # 1, reward and done
        world.begin([key.child("world") for key in keys])

    def run(self, blend: Blend, tick: Callable[[], None]) -> Outcome:
        settings = self._settings
        rewards, curve = [], Curve(len(self.agents))
        for update in range(settings.updates):
            lived = self._live(update, curve, tick)
            rewards.append(lived.reward.double().mean(1))
            for epoch in range(settings.epochs):
                order = self._chance.orders[update * settings.epochs + epoch]
                for chosen in torch.split(order, settings.minibatch, 1):
                    self._descend(blend, lived, chosen)
                    tick()
        returns, extra = self._score(tick)
        broken = ~self.agents.isfinite().all(1).numpy()
        returns[broken] = np.nan
        return Outcome(
            returns,
            torch.stack(rewards, 1).numpy(),
            curve.rows(),
            self._world.alike,
            settings.updates * settings.steps + extra,
        )

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

    def _descend(self, blend: Blend, lived: Lived, chosen: Tensor) -> None:
        """One step of Adam, each life down its own loss."""
        agents = self.agents.requires_grad_()
        losses = blend(self._anatomy.split(agents), lived, chosen)
        (gradient,) = torch.autograd.grad(losses.sum(), agents)
        self._descended += 1
        first, second = self._moments
        first.lerp_(gradient, 1.0 - BETA1)
        second.mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)
        rate = self._settings.learning_rate / (1.0 - BETA1**self._descended)
        roots = (second / (1.0 - BETA2**self._descended)).sqrt_().add_(EPSILON)
        self.agents = agents.detach().addcdiv(first, roots, value=-rate)

    def _score(self, tick: Callable[[], None]) -> tuple[NDArray[np.float64], int]:
        """Mean returns of the final policies' next whole episodes [L], and the steps it took."""
        wanted, L = self._settings.final_episodes, len(self.agents)
        self._world.begin([key.child("world") for key in self._chance.keys])  # the same tasks
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
        return sums / wanted, steps


def blend_of(
    loss: InnerLoss,
    parameters: Float[Tensor, "L Q"] | None = None,
    split: Callable[[Tensor], Parts] = lambda rows: {},
    other: InnerLoss | None = None,
    share: float = 0.0,
) -> Blend:
    """One loss, or (1 - share) of it and `share` of another."""
    own = {} if parameters is None else split(parameters)

    def descend(agent: Parts, lived: Lived, chosen: Tensor) -> Tensor:
        found = loss(own, agent, lived, chosen)
        if other is None or share == 0.0:
            return found
        return (1.0 - share) * found + share * other({}, agent, lived, chosen)

    return descend
