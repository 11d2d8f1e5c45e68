"""The three terms of an actor-critic loss, each `[T, B]` -> a scalar.

Espeholt et al. 2018, arXiv:1802.01561, section 4.2. The paper sums over time and
batch (its Table D.1 note); its learning rates and its clipping at 40 hold for the sum.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from veldt.agents.vtrace import log_probability

Reduction = Literal["sum", "mean"]
RewardClipping = Literal["none", "abs_one"]


def reduce(loss: Tensor, reduction: Reduction) -> Float[Tensor, ""]:
    return loss.sum() if reduction == "sum" else loss.mean()


def policy_gradient_loss(
    logits: Float[Tensor, "T B A"],
    actions: Tensor,
    advantages: Float[Tensor, "T B"],
    reduction: Reduction,
) -> Float[Tensor, ""]:
    """-log pi(a_t|x_t) * advantage_t; the advantage carries no gradient."""
    return reduce(-log_probability(logits, actions) * advantages.detach(), reduction)


def baseline_loss(errors: Float[Tensor, "T B"], reduction: Reduction) -> Float[Tensor, ""]:
    """Half the squared distance of the values from their targets."""
    return 0.5 * reduce(errors.square(), reduction)


def entropy(logits: Float[Tensor, "T B A"]) -> Float[Tensor, "T B"]:
    """Of the categorical policy, in nats."""
    log_pi = torch.log_softmax(logits, -1)
    return -(log_pi.exp() * log_pi).sum(-1)


def clip_rewards(rewards: Tensor, how: RewardClipping) -> Tensor:
    """What the loss sees of the rewards; "abs_one" clips to [-1, 1]."""
    return rewards.clamp(-1.0, 1.0) if how == "abs_one" else rewards
