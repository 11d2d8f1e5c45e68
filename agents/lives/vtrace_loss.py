"""IMPALA's loss with coefficients and a transform of the advantage that evolution chooses.

Espeholt et al. 2018, arXiv:1802.01561, section 4.2. Nine numbers; all of them 0 is the plain loss:

    rho-bar = exp(p0)   c-bar = min(exp(p1), rho-bar)   rho-bar of the policy gradient = exp(p2)
    lambda = exp(-|p3|)    1 - gamma = 0.01 exp(p4)
    weights of the baseline 0.5 exp(p5), of the entropy 0.01 exp(p6)
    advantage             |A|^exp(p7) sign A, and exp(p8) times that where A < 0

Legend: L lives, M newest steps, N samples.
"""

from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from veldt.agents import vtrace
from veldt.agents.distributions import distribution_over
from veldt.agents.lives.anatomy import Anatomy, Layout
from veldt.agents.lives.inner_losses import Descent, Lived, Parts, rows
from veldt.platform.settings import Settings

NUMBERS = 9


class VTraceSettings(Settings):
    """There is nothing to choose."""

    kind: Literal["v-trace"] = "v-trace"


class VTraceNumbers:
    """What is evolved; a row for each life.

    Args:
        settings: Of it.
        anatomy: Of the agents that descend it.
    """

    def __init__(self, settings: VTraceSettings, anatomy: Anatomy) -> None:
        self._layout = Layout({"numbers": (NUMBERS,)})
        self.size = NUMBERS
        """Q"""

    def begin(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Where evolution begins: the plain loss."""
        return np.zeros(NUMBERS)

    def split(self, rows: Float[Tensor, "L Q"]) -> Parts:
        return self._layout.split(rows)


def coefficients(numbers: Float[Tensor, "L 9"]) -> dict[str, Tensor]:
    """By their names, [L] each."""
    p = numbers.unbind(-1)
    rho = torch.exp(p[0])
    return {
        "clip_rho_threshold": rho,
        "clip_c_threshold": torch.minimum(torch.exp(p[1]), rho),
        "clip_pg_rho_threshold": torch.exp(p[2]),
        "lambda_": torch.exp(-p[3].abs()),
        "discount": 1.0 - 0.01 * torch.exp(p[4]),
        "baseline_cost": 0.5 * torch.exp(p[5]),
        "entropy_cost": 0.01 * torch.exp(p[6]),
        "exponent": torch.exp(p[7]),
        "loss_aversion": torch.exp(p[8]),
    }


def by_name(numbers: NDArray[np.float32]) -> dict[str, float]:
    """The coefficients of one loss, [9]."""
    found = coefficients(torch.from_numpy(numbers)[None])
    return {name: value.item() for name, value in found.items()}


class VTraceLoss:
    """V-trace over the newest steps, for the samples that are chosen."""

    value = True

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy = anatomy
        self._distribution = distribution_over(anatomy.actions)

    def __call__(self, loss: Parts, agent: Parts, lived: Lived) -> Descent:
        """Targets are computed at each step: the importance weights are those of the policy that
        is there then, as in IMPALA, where each step has a batch of its own."""
        found = coefficients(loss["numbers"])
        steps = lived.reward.shape[1]

        def descent(agent: Parts, chosen: Tensor) -> Tensor:
            advantages, targets = (x.gather(1, chosen) for x in self._targets(found, agent, lived))
            observation = rows(lived.observation[:, -steps:], chosen)
            policy = self._anatomy.policy(agent, observation)
            log_pi = self._distribution.log_probability(policy, rows(lived.action, chosen))
            errors = self._anatomy.value(agent, observation) - targets
            entropy = self._distribution.entropy(policy).mean(1)
            baseline = 0.5 * errors.square().mean(1)
            descended: Tensor = (
                -(log_pi * transformed(found, advantages)).mean(1)
                + found["baseline_cost"] * baseline
                - found["entropy_cost"] * entropy
            )
            return descended

        return descent

    @torch.no_grad()
    def _targets(self, found: dict[str, Tensor], agent: Parts, lived: Lived) -> tuple[Any, Any]:
        """Advantages and the values' targets, [L, M]."""
        steps = lived.reward.shape[1]
        seen = lived.observation[:, -steps:]
        policy, values = self._anatomy.policy(agent, seen), self._anatomy.value(agent, seen)
        after = self._anatomy.value(agent, lived.after)
        log_pi = self._distribution.log_probability(policy, lived.action)
        log_mu = self._distribution.log_probability(lived.behaviour, lived.action)
        named = ("clip_rho_threshold", "clip_c_threshold", "clip_pg_rho_threshold", "lambda_")
        returns = vtrace.from_importance_weights(
            (log_pi - log_mu).T,
            (found["discount"][:, None] * ~lived.terminated).T,
            lived.reward.T,
            values.T,
            after[:, -1],
            truncated=(lived.ended & ~lived.terminated).T,
            final_values=after.T,
            **{name: found[name] for name in named},
        )
        return returns.pg_advantages.T, returns.vs.T


def transformed(found: dict[str, Tensor], advantages: Float[Tensor, "L N"]) -> Tensor:
    """The advantages as the policy's loss sees them."""
    size = advantages.abs().clamp(min=1e-8) ** found["exponent"][:, None]
    aversion = torch.where(advantages < 0.0, found["loss_aversion"][:, None], 1.0)
    return aversion * size * advantages.sign()
