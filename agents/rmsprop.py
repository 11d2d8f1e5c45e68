"""RMSProp as TensorFlow 1 computes it, which is the one the paper's settings are for.

    ms <- decay * ms + (1 - decay) * g^2         ms starts at 1, not at 0
    mom <- momentum * mom + lr * g / sqrt(ms + epsilon)
    p <- p - mom

torch.optim.RMSprop starts ms at 0 and adds epsilon outside the root: with the paper's
epsilon of 0.01 to 0.1 its steps are several times larger.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class RMSProp(torch.optim.Optimizer):
    """The optimiser; state of a parameter: "mean_square" and, with momentum, "momentum"."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        decay: float = 0.99,
        momentum: float = 0.0,
        epsilon: float = 0.01,
    ) -> None:
        defaults = {"lr": lr, "decay": decay, "momentum": momentum, "epsilon": epsilon}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One update from the gradients at hand."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            gradients = [p.grad for p in parameters]
            squares = [self._slot(p, "mean_square", 1.0) for p in parameters]
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - group["decay"])
            roots = torch._foreach_add(squares, group["epsilon"])
            torch._foreach_sqrt_(roots)
            if group["momentum"]:
                momenta = [self._slot(p, "momentum", 0.0) for p in parameters]
                torch._foreach_mul_(momenta, group["momentum"])
                torch._foreach_addcdiv_(momenta, gradients, roots, group["lr"])
                torch._foreach_sub_(parameters, momenta)
            else:
                torch._foreach_addcdiv_(parameters, gradients, roots, -group["lr"])
        return loss

    def _slot(self, parameter: Tensor, name: str, initial: float) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.full_like(parameter, initial)
        slot: Tensor = state[name]
        return slot
