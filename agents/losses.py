"""The terms of an actor-critic loss, each `[T, B]` -> a scalar.

Espeholt et al. 2018, arXiv:1802.01561, section 4.2. The paper sums over time and
batch (its Table D.1 note); its learning rates and its clipping at 40 hold for the sum.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Reduction = Literal["sum", "mean"]
RewardClipping = Literal["none", "abs_one", "optimistic_asymmetric", "soft_asymmetric"]


def reduce(loss: Tensor, reduction: Reduction) -> Float[Tensor, ""]:
    return loss.sum() if reduction == "sum" else loss.mean()


def policy_gradient_loss(
    log_probabilities: Float[Tensor, "T B"],
    advantages: Float[Tensor, "T B"],
    reduction: Reduction,
) -> Float[Tensor, ""]:
    """-log pi(a_t|x_t) * advantage_t; the advantage carries no gradient."""
    return reduce(-log_probabilities * advantages.detach(), reduction)


def normalized(advantages: Tensor, dim: int | None = None) -> Tensor:
    """Advantages brought to mean 0 and deviation 1, all together or along one dimension."""
    away = advantages - advantages.mean(dim, keepdim=True)
    return away / (advantages.std(dim, correction=0, keepdim=True) + 1e-8)


def clipped_surrogate(ratio: Tensor, advantages: Tensor, clip_ratio: float) -> Tensor:
    """What PPO ascends at each step, of the same shape.

    Schulman et al. 2017, arXiv:1707.06347, equation 7.
    """
    near = ratio.clamp(1.0 - clip_ratio, 1.0 + clip_ratio)
    return torch.minimum(ratio * advantages, near * advantages)


def baseline_loss(errors: Float[Tensor, "T B"], reduction: Reduction) -> Float[Tensor, ""]:
    """Half the squared distance of the values from their targets."""
    return 0.5 * reduce(errors.square(), reduction)


def actor_critic_loss(
    log_probabilities: Float[Tensor, "T B"],
    advantages: Float[Tensor, "T B"],
    targets: Float[Tensor, "T B"],
    values: Float[Tensor, "T B"],
    entropy: Float[Tensor, "T B"],
    *,
    baseline_cost: float,
    entropy_cost: float,
    reduction: Reduction,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Policy gradient, baseline and entropy bonus: the sum to descend, and what it is made of."""
    policy = policy_gradient_loss(log_probabilities, advantages, reduction)
    baseline = baseline_loss(targets.detach() - values, reduction)
    total = policy + baseline_cost * baseline - entropy_cost * reduce(entropy, reduction)
    metrics = {
        "policy_loss": policy,
        "baseline_loss": baseline,
        "entropy": entropy.mean(),
        "value": values.mean(),
    }
    return total, {name: value.detach() for name, value in metrics.items()}


def clip_rewards(rewards: Tensor, how: RewardClipping) -> Tensor:
    """What the loss sees of the rewards.

    abs_one                 r clipped to [-1, 1]
    optimistic_asymmetric   0.3 min(tanh r, 0) + 5 max(tanh r, 0), figure D.1 of the paper
    soft_asymmetric         5 tanh(r / 5), times 0.3 where r < 0: the code released with it
    """
    if how == "abs_one":
        return rewards.clamp(-1.0, 1.0)
    if how == "optimistic_asymmetric":
        squeezed = torch.tanh(rewards)
        return 0.3 * squeezed.clamp(max=0.0) + 5.0 * squeezed.clamp(min=0.0)
    if how == "soft_asymmetric":
        squeezed = 5.0 * torch.tanh(rewards / 5.0)
        return torch.where(rewards < 0, 0.3 * squeezed, squeezed)
    return rewards
