"""A2C: an advantage actor-critic on the policy that acted.

Mnih et al. 2016, arXiv:1602.01783, algorithm S3, its workers in step with one another: actors
wait for the newest weights, since nothing here corrects for older ones.
"""

from collections.abc import Iterator
from typing import Literal

import pydantic
import torch
from torch import Tensor

from veldt.agents import losses
from veldt.agents.agent import Agent, AgentSettings, Loss
from veldt.agents.inputs import Batch
from veldt.agents.networks.actor_critic import ActorCritic
from veldt.agents.networks.settings import NetworkSettings
from veldt.agents.returns import generalized_advantages


class A2CSettings(AgentSettings):
    """The loss and the network."""

    name: Literal["a2c"] = "a2c"
    discount: float = pydantic.Field(0.99, ge=0.0, le=1.0)
    """gamma"""
    lambda_: float = pydantic.Field(1.0, ge=0.0, le=1.0)
    """Of the advantages; 1 is the paper's n-step return."""
    baseline_cost: float = pydantic.Field(0.5, ge=0.0)
    """Weight of the value loss."""
    entropy_cost: float = pydantic.Field(0.01, ge=0.0)
    """Weight of the entropy bonus."""
    reward_clipping: losses.RewardClipping = "none"
    """What the loss sees of the rewards; returns are always logged unclipped."""
    reduction: losses.Reduction = "mean"
    """Of the loss over time and batch."""
    network: NetworkSettings = NetworkSettings()


class A2C(Agent):
    """Policy gradient on advantages, with a baseline and an entropy bonus."""

    Settings = A2CSettings
    max_lag = 0
    settings: A2CSettings
    network: ActorCritic

    def loss(self, batch: Batch) -> Loss:
        return self._loss(batch)[0]

    def losses(self, batch: Batch, generator: torch.Generator) -> Iterator[Loss]:
        loss, targets = self._loss(batch)
        yield loss
        self.network.adapt(targets, batch.task, self.total)

    def _loss(self, batch: Batch) -> tuple[Loss, Tensor]:
        """The loss, and the targets of the values, [T, B]."""
        settings, distribution = self.settings, self.network.distribution
        said = self.network.unroll(batch)
        policy, values = said.policy[:-1], said.value[:-1]
        rewards = losses.clip_rewards(batch.reward, settings.reward_clipping)
        advantages = generalized_advantages(
            batch, rewards, said.value, said.final_value, settings.discount, settings.lambda_
        )
        log_pi = distribution.log_probability(policy, batch.action)
        targets = advantages + values.detach()
        scaled, goals = self.network.scaled(advantages, targets, batch.task)
        loss = losses.actor_critic_loss(
            log_pi,
            scaled,
            goals,
            said.head[:-1],
            distribution.entropy(policy),
            baseline_cost=settings.baseline_cost,
            entropy_cost=settings.entropy_cost,
            reduction=settings.reduction,
        )
        return self.mixed(loss, batch, policy), targets
