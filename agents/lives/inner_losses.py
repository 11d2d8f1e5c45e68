"""What an agent can descend in its life: a loss that evolution writes, or one written by hand.

    evolved            the network of `learned_loss.py`
    policy-gradient    Williams 1992, on discounted returns less their mean
    a2c                Mnih et al. 2016, arXiv:1602.01783
    ppo                Schulman et al. 2017, arXiv:1707.06347, equation 7, with a penalty on the
                       divergence as in Houthooft et al. 2018

All are called alike, once at each update, and give what its steps descend, a loss of its own for
each of many lives. Advantages and the values' targets are computed there: they are those from
before the update's first step (Schulman et al. 2017, algorithm 1), as in `agents/ppo.py`.

Legend: L lives, T steps of the buffer, of which the newest M were just lived, N samples of a
minibatch, Q parameters of a loss.
"""

import dataclasses
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from veldt.agents import losses
from veldt.agents.distributions import Distribution, distribution_over
from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.learned_loss import LearnedLoss
from veldt.agents.returns import advantages

Parts = dict[str, Tensor]

VALUE_COST = 0.5


@dataclasses.dataclass(frozen=True)
class Lived:
    """What is known when an agent learns."""

    observation: Float[Tensor, "L T O"]  # normalised
    channels: Float[Tensor, "L T K"]  # what a learned loss reads of it; see `LearnedLoss`
    action: Tensor  # of the newest [L, M, ...], as distributions take it
    reward: Float[Tensor, "L M"]
    terminated: Tensor  # [L, M] bool
    ended: Tensor  # [L, M] bool, terminated or cut off
    behaviour: Float[Tensor, "L M W"]  # the policy that acted
    after: Float[Tensor, "L M O"]  # what a step led to, before another episode began


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Samples of a minibatch, as a policy's loss sees them."""

    log_pi: Float[Tensor, "L N"]
    advantages: Float[Tensor, "L N"]  # normalised
    policy: Float[Tensor, "L N W"]
    behaviour: Float[Tensor, "L N W"]
    action: Tensor  # [L, N, ...]


class Descent(Protocol):
    """What the steps of one update descend."""

    def __call__(self, agent: Parts, chosen: Int[Tensor, "L N"]) -> Float[Tensor, " L"]:
        """The loss of the samples that are chosen.

        Args:
            agent: The agents' parameters; gradients go there.
            chosen: Among the newest M.
        """


class InnerLoss(Protocol):
    """A loss for each of many lives."""

    value: bool
    """whether agents need a value"""

    def __call__(self, loss: Parts, agent: Parts, lived: Lived) -> Descent:
        """What an update descends.

        Args:
            loss: The loss's own parameters, empty if it has none.
            agent: The agents', before the update's first step.
            lived: Of the buffer.
        """


class Evolved:
    """A `LearnedLoss`."""

    value = False

    def __init__(self, network: LearnedLoss, anatomy: Anatomy) -> None:
        self._network, self._anatomy = network, anatomy

    def __call__(self, loss: Parts, agent: Parts, lived: Lived) -> Descent:
        older = lived.channels.shape[1] - lived.reward.shape[1]

        def descent(agent: Parts, chosen: Tensor) -> Tensor:
            policy = self._anatomy.policy(agent, lived.observation)
            memory = self._anatomy.recall(agent) if self._anatomy.memory else None
            return self._network(loss, lived.channels, policy, memory, chosen + older)

        return descent


class ByHand:
    """What losses of advantages share.

    Args:
        anatomy: Of the agents.
        discount: gamma
        lambda_: Of the advantages.
    """

    value = True

    def __init__(self, anatomy: Anatomy, discount: float = 0.99, lambda_: float = 0.95) -> None:
        self._anatomy, self._discount, self._lambda = anatomy, discount, lambda_
        self._distribution: Distribution = distribution_over(anatomy.actions)

    @torch.no_grad()
    def advantages(self, agent: Parts, lived: Lived) -> tuple[Tensor, Tensor]:
        """Generalised advantages and the targets of the values, [L, M].

        A step that was cut off bootstraps from what it led to; one that terminated, from nothing.
        """
        steps = lived.reward.shape[1]
        values = self._anatomy.value(agent, lived.observation[:, -steps:])
        after = self._anatomy.value(agent, lived.after)
        found = advantages(
            lived.reward.T,
            lived.terminated.T,
            (lived.ended & ~lived.terminated).T,
            torch.cat([values, after[:, -1:]], 1).T,
            after.T,
            self._discount,
            self._lambda,
        ).T
        return found, found + values

    def __call__(self, loss: Parts, agent: Parts, lived: Lived) -> Descent:
        whole, goals = self.advantages(agent, lived)
        steps = lived.reward.shape[1]

        def descent(agent: Parts, chosen: Tensor) -> Tensor:
            observation = rows(lived.observation[:, -steps:], chosen)
            behaviour, action = rows(lived.behaviour, chosen), rows(lived.action, chosen)
            policy = self._anatomy.policy(agent, observation)
            log_pi = self._distribution.log_probability(policy, action)
            scaled = losses.normalized(whole.gather(1, chosen), 1)
            sampled = Sampled(log_pi, scaled, policy, behaviour, action)
            found = self._policy_loss(loss, sampled).mean(1)
            if self.value:
                errors = self._anatomy.value(agent, observation) - goals.gather(1, chosen)
                found = found + VALUE_COST * 0.5 * errors.square().mean(1)
            return found

        return descent

    def _policy_loss(self, loss: Parts, sampled: Sampled) -> Float[Tensor, "L N"]:
        """Of each sample."""
        return -sampled.log_pi * sampled.advantages


class A2C(ByHand):
    """Actor and critic."""


class PolicyGradient(ByHand):
    """No value: the returns themselves, less their mean."""

    value = False

    @torch.no_grad()
    def advantages(self, agent: Parts, lived: Lived) -> tuple[Tensor, Tensor]:
        found, carried = torch.empty_like(lived.reward), torch.zeros_like(lived.reward[:, 0])
        for t in reversed(range(found.shape[1])):
            carried = lived.reward[:, t] + self._discount * carried * ~lived.ended[:, t]
            found[:, t] = carried
        return found, found


class PPO(ByHand):
    """The clipped surrogate."""

    CLIP, DIVERGENCE_COST = 0.2, 0.001

    def _policy_loss(self, loss: Parts, sampled: Sampled) -> Tensor:
        log_mu = self._distribution.log_probability(sampled.behaviour, sampled.action)
        ratio = torch.exp(sampled.log_pi - log_mu)
        divergence = self._distribution.divergence(sampled.behaviour, sampled.policy)
        surrogate = losses.clipped_surrogate(ratio, sampled.advantages, self.CLIP)
        return self.DIVERGENCE_COST * divergence - surrogate


def rows(x: Tensor, chosen: Tensor) -> Tensor:
    """The chosen steps of each life, [L, N, ...]."""
    lives = torch.arange(len(x))[:, None]
    return x[lives, chosen]
