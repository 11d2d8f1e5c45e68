"""IMPALA: the actor-critic of Espeholt et al. 2018, arXiv:1802.01561.

Settings carry the paper's names; defaults are its Atari values (Table G.1).
"""

from typing import Literal

import pydantic
import torch
from torch import Tensor

from veldt.agents import losses, vtrace
from veldt.agents.agent import Agent, AgentSettings, Batch, sample
from veldt.agents.networks import ActorCritic, NetworkSettings
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import UnsupportedSpace


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
    network: NetworkSettings = NetworkSettings()

    @pydantic.model_validator(mode="after")
    def _thresholds(self) -> "ImpalaSettings":
        if self.clip_c_threshold > self.clip_rho_threshold:
            raise ValueError("clip_c_threshold must be at most clip_rho_threshold (section 4.1)")
        return self


class Impala(Agent):
    """Policy gradient, baseline and entropy on V-trace targets (section 4.2)."""

    Settings = ImpalaSettings

    def __init__(self, settings: ImpalaSettings, spec: EnvironmentSpec) -> None:
        if spec.actions.kind != "discrete":
            raise UnsupportedSpace(
                f"agent impala has a categorical head and needs a Discrete action space; "
                f"{spec.id} has {spec.actions.description}. Choose an environment with "
                "discrete actions, or an agent with a head for these."
            )
        self.settings = settings
        self.network = ActorCritic(spec, settings.network)

    def act(self, observation: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        logits, _ = self.network(observation)
        return sample(logits, generator), logits

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        settings = self.settings
        logits, values = self.network(batch.observation)
        logits, bootstrap_value, values = logits[:-1], values[-1], values[:-1]
        targets = vtrace.from_logits(
            batch.behaviour_logits,
            logits,
            batch.action,
            settings.discount * (~batch.terminated).to(values.dtype),
            losses.clip_rewards(batch.reward, settings.reward_clipping),
            values.detach(),
            bootstrap_value.detach(),
            truncated=batch.truncated,
            final_values=self._final_values(batch),
            clip_rho_threshold=settings.clip_rho_threshold,
            clip_pg_rho_threshold=settings.clip_pg_rho_threshold,
            clip_c_threshold=settings.clip_c_threshold,
            lambda_=settings.lambda_,
        )
        reduction = settings.reduction
        policy_loss = losses.policy_gradient_loss(
            logits, batch.action, targets.pg_advantages, reduction
        )
        baseline_loss = losses.baseline_loss(targets.vs - values, reduction)
        entropy = losses.entropy(logits)
        total = (
            policy_loss
            + settings.baseline_cost * baseline_loss
            - settings.entropy_cost * losses.reduce(entropy, reduction)
        )
        metrics = {
            "policy_loss": policy_loss,
            "baseline_loss": baseline_loss,
            "entropy": entropy.mean(),
            "value": values.mean(),
        }
        return total, {name: value.detach() for name, value in metrics.items()}

    @torch.no_grad()
    def _final_values(self, batch: Batch) -> Tensor:
        """V of the final observations of truncated episodes at their places, else 0; `[T, B]`."""
        values = torch.zeros_like(batch.reward)
        if len(batch.final_index):
            t, b = batch.final_index.unbind(-1)
            values[t, b] = self.network(batch.final_observation)[1]
        return values
