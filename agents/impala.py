"""IMPALA: the actor-critic of Espeholt et al. 2018, arXiv:1802.01561.

Settings carry the paper's names; defaults are its Atari values (Table G.1), but for
`reward_clipping`, which there is "abs_one".
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

import pydantic
import torch
from torch import Tensor

from veldt.agents import losses, vtrace
from veldt.agents.agent import Agent, AgentSettings, Loss
from veldt.agents.inputs import Batch, minibatches
from veldt.agents.networks.actor_critic import ActorCritic
from veldt.agents.networks.settings import NetworkSettings
from veldt.agents.returns import final_values


class ImpalaSettings(AgentSettings):
    """The loss and the network."""

    name: Literal["impala"] = "impala"
    discount: float = pydantic.Field(0.99, ge=0.0, le=1.0)
    """gamma"""
    baseline_cost: float = pydantic.Field(0.5, ge=0.0)
    """Weight of the value loss."""
    entropy_cost: float = pydantic.Field(0.01, ge=0.0)
    """Weight of the entropy bonus."""
    reward_clipping: losses.RewardClipping = "none"
    """What the loss sees of the rewards; returns are always logged unclipped."""
    reduction: losses.Reduction = "sum"
    """Of the loss over time and batch; the paper sums."""
    clip_rho_threshold: float = pydantic.Field(1.0, gt=0.0)
    """rho-bar"""
    clip_pg_rho_threshold: float = pydantic.Field(1.0, gt=0.0)
    """rho-bar of the policy gradient"""
    clip_c_threshold: float = pydantic.Field(1.0, gt=0.0)
    """c-bar, at most rho-bar"""
    lambda_: float = pydantic.Field(1.0, ge=0.0, le=1.0)
    """Remark 2 of the paper"""
    minibatches: int = pydantic.Field(1, ge=1, le=4096)
    """Steps down the loss in an update, each of some of the batch's environments over all of
    their steps: more, smaller steps for the same work. The paper's is 1."""
    correction: Literal["v-trace", "none"] = "v-trace"
    """none takes what it is sent for its own policy's doing, all ratios 1: for comparison"""
    network: NetworkSettings = NetworkSettings()

    @pydantic.model_validator(mode="after")
    def _thresholds(self) -> "ImpalaSettings":
        if self.clip_c_threshold > self.clip_rho_threshold:
            raise ValueError("clip_c_threshold must be at most clip_rho_threshold (section 4.1)")
        return self


class Coefficients(NamedTuple):
    """What evolution may choose, by the names of the settings."""

    discount: float
    baseline_cost: float
    entropy_cost: float
    clip_rho_threshold: float
    clip_pg_rho_threshold: float
    clip_c_threshold: float
    lambda_: float

    @classmethod
    def among(cls, found: Mapping[str, float]) -> "Coefficients":
        return cls(**{name: found[name] for name in cls._fields})


class Impala(Agent):
    """Policy gradient, baseline and entropy on V-trace targets (section 4.2)."""

    Settings = ImpalaSettings
    learned_parts = ("v-trace",)
    settings: ImpalaSettings
    network: ActorCritic

    def loss(self, batch: Batch) -> Loss:
        return self._loss(batch)[0]

    def losses(self, batch: Batch, generator: torch.Generator) -> Iterator[Loss]:
        count = self.settings.minibatches
        parts = minibatches(batch, count, generator) if count > 1 else [None]
        for chosen in parts:
            part = batch if chosen is None else batch.columns(chosen)
            loss, targets = self._loss(part)
            yield loss
            self.network.adapt(targets, part.task, self.total)

    def _loss(self, batch: Batch) -> tuple[Loss, Tensor]:
        """The loss, and the targets of the values, [T, B]."""
        plain = Coefficients.among(dict(self.settings))
        part, share = self.learned_part, self.learned_share
        if part is None or not share:
            return self._loss_with(plain, batch)
        evolved = Coefficients.among(part.coefficients)
        loss, targets = self._loss_with(evolved, batch, part.transformed)
        if share < 1.0:
            own, own_targets = self._loss_with(plain, batch)
            loss = share * loss[0] + (1.0 - share) * own[0], own[1]
            targets = share * targets + (1.0 - share) * own_targets
        return loss, targets

    def _loss_with(
        self,
        coefficients: Coefficients,
        batch: Batch,
        transformed: Callable[[Tensor], Tensor] = lambda advantages: advantages,
    ) -> tuple[Loss, Tensor]:
        settings, distribution = self.settings, self.network.distribution
        said = self.network.unroll(batch)
        policy, values = said.policy[:-1], said.value[:-1]
        log_pi = distribution.log_probability(policy, batch.action)
        log_mu = distribution.log_probability(batch.behaviour_policy, batch.action)
        log_rhos = (log_pi - log_mu).detach()
        self.lap("forward")
        targets = vtrace.from_importance_weights(
            log_rhos if settings.correction == "v-trace" else torch.zeros_like(log_rhos),
            coefficients.discount * (~batch.terminated).to(values.dtype),
            losses.clip_rewards(batch.reward, settings.reward_clipping),
            values.detach(),
            said.value[-1].detach(),
            truncated=batch.truncated,
            final_values=final_values(batch, said.final_value),
            clip_rho_threshold=coefficients.clip_rho_threshold,
            clip_pg_rho_threshold=coefficients.clip_pg_rho_threshold,
            clip_c_threshold=coefficients.clip_c_threshold,
            lambda_=coefficients.lambda_,
        )
        self.lap("v_trace")
        advantages, goals = self.network.scaled(targets.pg_advantages, targets.vs, batch.task)
        loss = losses.actor_critic_loss(
            log_pi,
            transformed(advantages),
            goals,
            said.head[:-1],
            distribution.entropy(policy),
            baseline_cost=coefficients.baseline_cost,
            entropy_cost=coefficients.entropy_cost,
            reduction=settings.reduction,
        )
        return self.mixed(loss, batch, policy), targets.vs
