"""Returns of on-policy agents, and the values at truncations that all agents need.

Schulman et al. 2016, arXiv:1506.02438, eq. 16: A_t = sum_l (gamma lambda)^l delta_{t+l}. It
is V-trace with all ratios 1: v_t - V(x_t), with c = lambda.

Legend: T steps, B environments, K truncations.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from veldt.agents import vtrace
from veldt.agents.inputs import Batch


def final_values(batch: Batch, values: Float[Tensor, " K"]) -> Float[Tensor, "T B"]:
    """The values of the truncated episodes' final observations at their places, else 0."""
    found = torch.zeros_like(batch.reward)
    t, b = batch.final_index.unbind(-1)
    found[t, b] = values.to(found.dtype)
    return found


def generalized_advantages(
    batch: Batch,
    rewards: Float[Tensor, "T B"],
    values: Float[Tensor, "T+1 B"],
    final_value: Float[Tensor, " K"],
    discount: float,
    lambda_: float,
) -> Float[Tensor, "T B"]:
    """How much better the actions were than the values said; plus the values, their targets.

    Args:
        batch: Where episodes end.
        rewards: As the loss sees them.
        values: V(x_0) to V(x_T); no gradient is taken.
        final_value: Of the truncated episodes' final observations.
        discount: gamma
        lambda_: 1 looks as far as the batch goes, 0 a single step.
    """
    return advantages(
        rewards,
        batch.terminated,
        batch.truncated,
        values,
        final_values(batch, final_value),
        discount,
        lambda_,
    )


def advantages(
    rewards: Float[Tensor, "T B"],
    terminated: Bool[Tensor, "T B"],
    truncated: Bool[Tensor, "T B"],
    values: Float[Tensor, "T+1 B"],
    final: Float[Tensor, "T B"],
    discount: float,
    lambda_: float,
) -> Float[Tensor, "T B"]:
    """The same, of what is not a batch.

    Args:
        rewards: Of each step.
        terminated: Where an episode ended by itself.
        truncated: Where it was cut off.
        values: V(x_0) to V(x_T); no gradient is taken.
        final: Where truncated, the value of the episode's final observation; read nowhere else.
        discount: gamma
        lambda_: As above.
    """
    now = values[:-1].detach()
    targets = vtrace.from_importance_weights(
        torch.zeros_like(rewards),
        discount * (~terminated).to(now.dtype),
        rewards,
        now,
        values[-1].detach(),
        truncated=truncated,
        final_values=final,
        lambda_=lambda_,
    )
    return targets.vs - now
