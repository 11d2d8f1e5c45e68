"""PPO: several steps on one batch, held near the policy that acted by clipping.

Schulman et al. 2017, arXiv:1707.06347, eq. 7 and algorithm 1, with the advantages of
arXiv:1506.02438. The old policy is the one that acted, whose parameters travel with the
trajectory, so that the ratio is right even if the actors are an update behind. They are one
behind at most: beyond the clip ratio an older policy would teach nothing.
"""

from collections.abc import Iterator
from typing import Literal

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


class PPO(Agent):
    """The clipped surrogate."""

    Settings = PPOSettings
    max_lag = 1
    learned_parts = ("drift",)
    settings: PPOSettings
    network: ActorCritic

    def losses(self, batch: Batch, generator: torch.Generator) -> Iterator[Loss]:
        advantages, targets = self._targets(batch)
        for _ in range(self.settings.epochs):
            for chosen in minibatches(batch, self.settings.minibatches, generator):
                yield self._loss(batch.columns(chosen), advantages[:, chosen], targets[:, chosen])
        self.network.adapt(targets, batch.task, self.total)

    def loss(self, batch: Batch) -> Loss:
        return self._loss(batch, *self._targets(batch))

    @torch.no_grad()
    def _targets(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Advantages and targets of the values, [T, B], before any step is taken."""
        settings, said = self.settings, self.network.unroll(batch)
        rewards = losses.clip_rewards(batch.reward, settings.reward_clipping)
        advantages = generalized_advantages(
            batch, rewards, said.value, said.final_value, settings.discount, settings.lambda_
        )
        return advantages, advantages + said.value[:-1]

    def _loss(self, batch: Batch, advantages: Tensor, targets: Tensor) -> Loss:
        settings, distribution = self.settings, self.network.distribution
        said = self.network.unroll(batch)
        policy, values = said.policy[:-1], said.value[:-1]
        advantages, goals = self.network.scaled(advantages, targets, batch.task)
        if settings.normalize_advantages:
            advantages = losses.normalized(advantages)
        log_pi = distribution.log_probability(policy, batch.action)
        log_mu = distribution.log_probability(batch.behaviour_policy, batch.action)
        ratio = torch.exp(log_pi - log_mu)
        policy_loss = -losses.clipped_surrogate(ratio, advantages, settings.clip_ratio).mean()
        if self.learned_part is not None:
            share = self.learned_share
            learned = self.learned_part(log_pi - log_mu, advantages).mean()
            policy_loss = share * learned + (1.0 - share) * policy_loss
        baseline_loss = losses.baseline_loss(goals - said.head[:-1], "mean")
        entropy = distribution.entropy(policy).mean()
        total = (
            policy_loss + settings.baseline_cost * baseline_loss - settings.entropy_cost * entropy
        )
        metrics = {
            "policy_loss": policy_loss,
            "baseline_loss": baseline_loss,
            "entropy": entropy,
            "value": values.mean(),
            "clipped_share": ((ratio - 1.0).abs() > settings.clip_ratio).float().mean(),
            "divergence": distribution.divergence(batch.behaviour_policy, policy).mean(),
        }
        own = total, {name: value.detach() for name, value in metrics.items()}
        return self.mixed(own, batch, policy)
