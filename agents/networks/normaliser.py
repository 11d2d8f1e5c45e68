"""Observations brought to mean 0 and deviation 1, by what has been learnt from so far.

    m, v <- mean and variance of all observations of all updates
    x -> clip((x - m) / sqrt(v + 1e-8), -10, 10)

Chan et al. 1983, "Algorithms for computing the sample variance", eq. 2.1. The statistics are
the network's, so that actors, checkpoints and evaluations have them with the weights.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

CLIP, SMALLEST = 10.0, 1e-8
MEMORY = 1e7  # observations; with more the statistics forget, instead of standing still


class Normaliser(nn.Module):
    """Float observations [..., *shape] -> the same, normalised; as they are before any `adapt`."""

    count: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))

    def forward(self, observation: Tensor) -> Tensor:
        normal = (observation - self.mean) / (self.variance + SMALLEST).sqrt()
        return normal.clamp(-CLIP, CLIP)

    @torch.no_grad()
    def adapt(
        self, observation: Tensor, total: Callable[[Tensor], Tensor] = lambda own: own
    ) -> None:
        """Takes in observations [..., *shape].

        Args:
            observation: What was learnt from.
            total: The sum of a tensor over all learners that learn together.
        """
        rows = observation.reshape(-1, *self.mean.shape).double()
        moments = torch.stack([torch.ones_like(rows).sum(0), rows.sum(0), rows.square().sum(0)])
        count, sums, squares = total(moments)
        mean, before = sums / count, self.mean.double()
        variance = (squares / count - mean.square()).clamp(min=0.0)
        rate = count / (self.count + count)
        away = mean - before
        self.mean.copy_(before + rate * away)
        old = self.variance.double()
        self.variance.copy_(old + rate * (variance - old) + rate * (1.0 - rate) * away.square())
        self.count.copy_((self.count + count.flatten()[0]).clamp(max=MEMORY))
