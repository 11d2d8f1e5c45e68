"""PPO: several steps on one batch, held near the policy that acted by clipping.

Schulman et al. 2017, arXiv:1707.06347, eq. 7 and algorithm 1, with the advantages of
arXiv:1506.02438. The old policy is the one that acted, whose parameters travel with the
trajectory, so that the ratio is right even if the actors are an update behind. They are one
behind at most: beyond the clip ratio an older policy would teach nothing.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import pydantic
import torch
from torch import Tensor

from veldt.agents import losses
from veldt.agents.agent import Agent, AgentSettings, Loss
from veldt.agents.inputs import Batch, minibatches
from veldt.agents.networks.actor_critic import ActorCritic
from veldt.agents.networks.settings import NetworkSettings
from veldt.agents.returns import generalized_advantages


class PPOSettings(AgentSettings):
    """The loss, the passes over a batch, and the network."""

    name: Literal["ppo"] = "ppo"
    discount: float = pydantic.Field(0.99, ge=0.0, le=1.0)
    """gamma"""
    lambda_: float = pydantic.Field(0.95, ge=0.0, le=1.0)
    """Of the advantages"""
    clip_ratio: float = pydantic.Field(0.2, gt=0.0)
    """epsilon"""
    epochs: int = pydantic.Field(4, ge=1, le=1000)
    """Passes over a batch"""
    minibatches: int = pydantic.Field(4, ge=1, le=4096)
    """In a pass; each is some of the environments, over all of their steps."""
    normalize_advantages: bool = True
    """To mean 0 and deviation 1 in a minibatch."""
    baseline_cost: float = pydantic.Field(0.5, ge=0.0)
    """Weight of the value loss."""
    entropy_cost: float = pydantic.Field(0.0, ge=0.0)
    """Weight of the entropy bonus."""
    reward_clipping: losses.RewardClipping = "none"
    """What the loss sees of the rewards; returns are always logged unclipped."""
    network: NetworkSettings = NetworkSettings()


class Sought(NamedTuple):
    """What stays the same while a batch is stepped on, each [T, B]."""

    advantages: Tensor
    """on the scale of the value's head"""
    goals: Tensor
    """of the value's head"""
    log_mu: Tensor
    """log mu(a_t|x_t), of the policy that acted"""


class PPO(Agent):
    """The clipped surrogate."""

    Settings = PPOSettings
    max_lag = 1
    learned_parts = ("drift",)
    settings: PPOSettings
    network: ActorCritic

    def losses(self, batch: Batch, generator: torch.Generator) -> Iterator[Loss]:
        sought, targets = self._sought(batch)
        batch = batch.without_finals()  # they are in the targets now
        for _ in range(self.settings.epochs):
            for chosen in minibatches(batch, self.settings.minibatches, generator):
                part = Sought(*(each[:, chosen] for each in sought))
                yield self._loss(batch.columns(chosen), part)
        self.network.adapt(targets, batch.task, self.total)

    def loss(self, batch: Batch) -> Loss:
        return self._loss(batch, self._sought(batch)[0])

    @torch.no_grad()
    def _sought(self, batch: Batch) -> tuple["Sought", Tensor]:
        """What all steps on a batch are taken for, and the targets of the values, [T, B]."""
        settings, said = self.settings, self.network.unroll(batch)
        rewards = losses.clip_rewards(batch.reward, settings.reward_clipping)
        advantages = generalized_advantages(
            batch, rewards, said.value, said.final_value, settings.discount, settings.lambda_
        )
        targets = advantages + said.value[:-1]
        scaled, goals = self.network.scaled(advantages, targets, batch.task)
        log_mu = self.network.distribution.log_probability(batch.behaviour_policy, batch.action)
        return Sought(scaled, goals, log_mu), targets

    def _loss(self, batch: Batch, sought: "Sought") -> Loss:
        settings, distribution = self.settings, self.network.distribution
        said = self.network.unroll(batch)
        policy, advantages = said.policy[:-1], sought.advantages
        if settings.normalize_advantages:
            advantages = losses.normalized(advantages)
        log_pi = distribution.log_probability(policy, batch.action)
        log_ratio = log_pi - sought.log_mu
        ratio = torch.exp(log_ratio)
        policy_loss = -losses.clipped_surrogate(ratio, advantages, settings.clip_ratio).mean()
        if self.learned_part is not None:
            share = self.learned_share
            learned = self.learned_part(log_ratio, advantages).mean()
            policy_loss = share * learned + (1.0 - share) * policy_loss
        baseline_loss = losses.baseline_loss(sought.goals - said.head[:-1], "mean")
        entropy = distribution.entropy(policy).mean()
        total = (
            policy_loss + settings.baseline_cost * baseline_loss - settings.entropy_cost * entropy
        )
        with torch.no_grad():
            metrics = {
                "policy_loss": policy_loss.detach(),
                "baseline_loss": baseline_loss.detach(),
                "entropy": entropy.detach(),
                "value": said.value[:-1].mean(),
                "clipped_share": ((ratio - 1.0).abs() > settings.clip_ratio).float().mean(),
                "divergence": distribution.divergence(batch.behaviour_policy, policy).mean(),
            }
        return self.mixed((total, metrics), batch, policy)
