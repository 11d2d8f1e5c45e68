"""PopArt: a value head for each task, its targets brought to one scale as they are learnt.

Hessel et al. 2018, arXiv:1809.04474, section 3; van Hasselt et al. 2016, arXiv:1602.07714.

Legend: K tasks, mu and sigma the mean and deviation of a task's returns, n normalised values.

    value = sigma n + mu
    mu <- (1 - beta) mu + beta mean(G),    nu <- (1 - beta) nu + beta mean(G^2)    (eq. 9)
    sigma = sqrt(nu - mu^2), kept within 1e-4 and 1e6
    w <- w sigma / sigma',  b <- (sigma b + mu - mu') / sigma'                      (eq. 10)

so that no value changes when the statistics do. These are float64: nu - mu^2 is the small
difference of large numbers where returns are far from 0, which float32 loses.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

SMALLEST, LARGEST = 1e-4, 1e6


class PopArt(nn.Linear):
    """Features -> n of each task, [..., K]."""

    mean: Tensor
    mean_square: Tensor

    def __init__(self, features: int, tasks: int) -> None:
        super().__init__(features, tasks)
        self.register_buffer("mean", torch.zeros(tasks, dtype=torch.float64))
        self.register_buffer("mean_square", torch.ones(tasks, dtype=torch.float64))

    @property
    def deviation(self) -> Float[Tensor, " K"]:
        """sigma"""
        return (
            (self.mean_square - self.mean.square())
            .clamp(min=SMALLEST**2)
            .sqrt()
            .clamp(max=LARGEST)
        )

    def values(self, normalised: Tensor, task: Tensor) -> Tensor:
        """n of tasks as values; both [...], the tasks' numbers int64."""
        values = self.deviation[task] * normalised + self.mean[task]
        return values.to(normalised.dtype)

    def normalise(self, returns: Tensor, task: Tensor) -> Tensor:
        """Returns of tasks on the scale of n."""
        return ((returns - self.mean[task]) / self.deviation[task]).to(returns.dtype)

    @torch.no_grad()
    def adapt(
        self,
        returns: Float[Tensor, "T B"],
        task: Tensor,
        step: float,
        total: Callable[[Tensor], Tensor] = lambda own: own,
    ) -> None:
        """Moves the statistics of the tasks that were played; all values stay what they are.

        Args:
            returns: The targets of the values.
            task: int64 [B], which task each column is of.
            step: beta
            total: The sum of a tensor over all learners that learn together.
        """
        before, mu = self.deviation.clone(), self.mean.clone()
        moments = self.mean.new_zeros(3, len(self.mean))
        for number in sorted(set(task.tolist())):
            got = returns[:, task == number].double()
            moments[:, number] = torch.stack(
                [torch.ones_like(got).sum(), got.sum(), got.square().sum()]
            )
        count, sums, squares = total(moments)
        played = count > 0
        self.mean[played] += step * (sums / count - self.mean)[played]
        self.mean_square[played] += step * (squares / count - self.mean_square)[played]
        after = self.deviation
        self.weight.mul_((before / after)[:, None])
        self.bias.copy_((before * self.bias + mu - self.mean) / after)
