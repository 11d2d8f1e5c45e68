"""V-trace: off-policy correction for actor-learner training.

Espeholt et al. 2018, "IMPALA", arXiv:1802.01561, section 4.

Legend: T time, B batch; rho and c are the truncated importance weights of section
4.1; `discounts` are gamma * (1 - terminated). At a truncation the episode goes on
where nobody looks: its value is that of its final observation, and the trace is cut,
since what comes next in the batch belongs to another episode.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from veldt.agents.distributions import Categorical

Threshold = float | Tensor | None  # a tensor [B, *rest] has one for each


class VTraceReturns(NamedTuple):
    """Targets for the values and advantages for the policy; neither carries a gradient."""

    vs: Float[Tensor, "T B *rest"]
    pg_advantages: Float[Tensor, "T B *rest"]


class VTraceFromLogitsReturns(NamedTuple):
    """The same, and what they came from; the last two carry gradients."""

    vs: Float[Tensor, "T B"]
    pg_advantages: Float[Tensor, "T B"]
    log_rhos: Float[Tensor, "T B"]
    behaviour_action_log_probs: Float[Tensor, "T B"]
    target_action_log_probs: Float[Tensor, "T B"]


@torch.no_grad()
def from_importance_weights(
    log_rhos: Float[Tensor, "T B *rest"],
    discounts: Float[Tensor, "T B *rest"],
    rewards: Float[Tensor, "T B *rest"],
    values: Float[Tensor, "T B *rest"],
    bootstrap_value: Float[Tensor, "B *rest"],
    clip_rho_threshold: Threshold = 1.0,
    clip_pg_rho_threshold: Threshold = 1.0,
    clip_c_threshold: Threshold = 1.0,
    lambda_: float | Tensor = 1.0,
    truncated: Bool[Tensor, "T B *rest"] | None = None,
    final_values: Float[Tensor, "T B *rest"] | None = None,
) -> VTraceReturns:
    """V-trace targets from the logarithms of pi(a|x) / mu(a|x).

    Names and order are those of the code released with the paper (vtrace.py of
    github.com/google-deepmind/scalable_agent), by place or by name; what it has not comes last.

    Args:
        log_rhos: log pi(a_t|x_t) - log mu(a_t|x_t).
        discounts: gamma, 0 where the episode terminated at step t.
        rewards: Of step t.
        values: V(x_t).
        bootstrap_value: V(x_T).
        clip_rho_threshold: rho-bar; None does not clip.
        clip_pg_rho_threshold: rho-bar of the policy gradient; None does not clip.
        clip_c_threshold: c-bar; None does not clip.
        lambda_: Remark 2.
        truncated: Where the episode was cut at step t without terminating.
        final_values: Where truncated, the value of the episode's final observation;
            read nowhere else.

    Returns:
        `vs` and `pg_advantages`, `[T, B, ...]`, in the type of `values`; half precision is
        computed in float32, since a sum over time would lose what a step adds.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    _check(log_rhos, discounts, rewards, values, bootstrap_value, truncated, final_values)
    given, computed = values.dtype, torch.promote_types(values.dtype, torch.float32)
    log_rhos, discounts, rewards = (x.to(computed) for x in (log_rhos, discounts, rewards))
    values, bootstrap_value = values.to(computed), bootstrap_value.to(computed)
    final_values = None if final_values is None else final_values.to(computed)
    ratios = log_rhos.exp()
    rhos = _clip(ratios, clip_rho_threshold)
    cs = lambda_ * _clip(ratios, clip_c_threshold)

    next_values = torch.cat([values[1:], bootstrap_value[None]])  # V(x_{t+1})
    traces = discounts * cs
    if truncated is not None and final_values is not None:
        next_values = torch.where(truncated, final_values, next_values)
        traces = traces.masked_fill(truncated, 0.0)
    deltas = rhos * (rewards + discounts * next_values - values)

    # v_s - V(x_s) = delta_s + gamma_s c_s (v_{s+1} - V(x_{s+1}))  (Remark 1)
    corrections = torch.empty_like(deltas)
    correction = torch.zeros_like(bootstrap_value)
    for t in range(len(deltas) - 1, -1, -1):
        correction = torch.addcmul(deltas[t], traces[t], correction)
        corrections[t] = correction
    vs = values + corrections

    next_vs = torch.cat([vs[1:], bootstrap_value[None]])
    if truncated is not None and final_values is not None:
        next_vs = torch.where(truncated, final_values, next_vs)
    pg_rhos = _clip(ratios, clip_pg_rho_threshold)
    advantages = pg_rhos * (rewards + discounts * next_vs - values)
    return VTraceReturns(vs.to(given), advantages.to(given))


def from_logits(
    behaviour_policy_logits: Float[Tensor, "T B A"],
    target_policy_logits: Float[Tensor, "T B A"],
    actions: Tensor,
    discounts: Float[Tensor, "T B"],
    rewards: Float[Tensor, "T B"],
    values: Float[Tensor, "T B"],
    bootstrap_value: Float[Tensor, " B"],
    clip_rho_threshold: Threshold = 1.0,
    clip_pg_rho_threshold: Threshold = 1.0,
    clip_c_threshold: Threshold = 1.0,
    lambda_: float | Tensor = 1.0,
    truncated: Bool[Tensor, "T B"] | None = None,
    final_values: Float[Tensor, "T B"] | None = None,
) -> VTraceFromLogitsReturns:
    """V-trace for categorical policies; `actions` are int64 `[T, B]`, the rest as above.

    Probabilities too are computed in float32 from logits in half precision.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    if (
        target_policy_logits.shape != behaviour_policy_logits.shape
        or actions.shape != target_policy_logits.shape[:-1]
    ):
        raise ValueError(
            f"behaviour and target logits must be [T, B, A] and actions [T, B]; got "
            f"{[*behaviour_policy_logits.shape]}, {[*target_policy_logits.shape]}, "
            f"{[*actions.shape]}."
        )
    policy = Categorical(target_policy_logits.shape[-1])
    wide = torch.promote_types(target_policy_logits.dtype, torch.float32)
    log_pi = policy.log_probability(target_policy_logits.to(wide), actions)
    log_mu = policy.log_probability(behaviour_policy_logits.to(wide), actions)
    log_rhos = (log_pi - log_mu).detach()
    targets = from_importance_weights(
        log_rhos,
        discounts,
        rewards,
        values,
        bootstrap_value,
        clip_rho_threshold,
        clip_pg_rho_threshold,
        clip_c_threshold,
        lambda_,
        truncated,
        final_values,
    )
    return VTraceFromLogitsReturns(*targets, log_rhos, log_mu, log_pi)


def _clip(ratios: Tensor, threshold: Threshold) -> Tensor:
    return ratios if threshold is None else ratios.clamp(max=threshold)


def _check(
    log_rhos: Tensor,
    discounts: Tensor,
    rewards: Tensor,
    values: Tensor,
    bootstrap_value: Tensor,
    truncated: Tensor | None,
    final_values: Tensor | None,
) -> None:
    if (truncated is None) != (final_values is None):
        raise ValueError("truncated and final_values are given together or not at all.")
    expected = {"log_rhos": log_rhos, "discounts": discounts, "rewards": rewards}
    if truncated is not None and final_values is not None:
        expected |= {"truncated": truncated, "final_values": final_values}
    for name, tensor in expected.items():
        if tensor.shape != values.shape:
            raise ValueError(
                f"{name} must have the shape of values, {[*values.shape]}; got {[*tensor.shape]}."
            )
    if bootstrap_value.shape != values.shape[1:]:
        raise ValueError(
            f"bootstrap_value must be {[*values.shape[1:]]}; got {[*bootstrap_value.shape]}."
        )
