"""Virtual batch normalisation: batch normalisation by a batch that never changes.

Salimans et al. 2017, arXiv:1703.03864, section 2.2: the statistics are those of a reference
batch, chosen at the start and fixed. They are taken with the same parameters as normalise
what comes later, so a new parameter vector needs the reference batch run through it, layer
by layer. Unlike Salimans et al. 2016, arXiv:1606.03498, section 3.4, the example at hand
does not count. Formula and epsilon: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1.

Legend: B examples, C features (channels); whatever follows C is averaged over too.
"""

import torch
from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-5


class VirtualBatchNorm:
    """gain (x - mean) / sqrt(variance + epsilon) + bias, feature by feature.

    Args:
        reference: What the layer gives for the reference batch; None: mean 0, variance 1.
        gain: The layer's gamma.
        bias: Its beta.
    """

    def __init__(
        self,
        reference: Float[Tensor, "B C *rest"] | None,
        gain: Float[Tensor, "C"],
        bias: Float[Tensor, "C"],
    ) -> None:
        self._scale, self._shift = gain, bias
        if reference is not None:
            others = [dimension for dimension in range(reference.dim()) if dimension != 1]
            variance, mean = torch.var_mean(reference, others, correction=0)
            self._scale = gain * torch.rsqrt(variance + EPSILON)
            self._shift = bias - mean * self._scale

    def __call__(self, x: Float[Tensor, "B C *rest"]) -> Float[Tensor, "B C *rest"]:
        column = (-1, *[1] * (x.dim() - 2))
        return torch.addcmul(self._shift.view(column), x, self._scale.view(column))

    def fold(
        self, weight: Float[Tensor, "C *inputs"]
    ) -> tuple[Float[Tensor, "C *inputs"], Float[Tensor, "C"]]:
        """Weight and bias of the one layer that is the layer without bias, and this after it."""
        column = (-1, *[1] * (weight.dim() - 1))
        return weight * self._scale.view(column), self._shift.clone()
