"""Optimisers on named parameters: RMSProp, as the paper's and as torch's, and Adam.

    RMSProp   ms <- decay * ms + (1 - decay) * g^2             ms starts at 1, not at 0
              mom <- momentum * mom + lr * g / sqrt(ms + epsilon)
              p <- p - mom

    as torch  ms starts at 0
              mom <- momentum * mom + g / (sqrt(ms) + epsilon)
              p <- p - lr * mom

    Adam      Kingma and Ba 2015, arXiv:1412.6980, algorithm 1

With the paper's epsilon of 0.01 to 0.1 the steps of the two differ several times over. None
of torch.optim is used, because making one imports torch's compiler, 1.5 seconds in each
process of a search.
"""

import abc
from collections.abc import Iterable

import torch
from torch import Tensor


class Optimizer(abc.ABC):
    """Moves parameters along their gradients; its state is named arrays.

    Args:
        parameters: (name, parameter), as a module's `named_parameters()` gives them.
    """

    SLOTS: tuple[tuple[str, float], ...]  # name and initial value, one of each a parameter

    def __init__(self, parameters: Iterable[tuple[str, Tensor]]) -> None:
        named = list(parameters)
        self._names = [name for name, _ in named]
        self._parameters = [parameter for _, parameter in named]
        self._slots = {
            slot: [torch.full_like(p, initial, requires_grad=False) for p in self._parameters]
            for slot, initial in self.SLOTS
        }
        self._steps = 0

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """One step; a parameter without a gradient counts as one with a gradient of 0."""
        self._steps += 1
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        self._move(gradients, learning_rate)

    @abc.abstractmethod
    def _move(self, gradients: list[Tensor], learning_rate: float) -> None:
        """Changes the slots and the parameters."""

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """SLOT/PARAMETER -> tensor, and "steps"."""
        state = {"steps": torch.tensor(self._steps)}
        for slot, tensors in self._slots.items():
            state |= {
                f"{slot}/{name}": tensor for name, tensor in zip(self._names, tensors, strict=True)
            }
        return state

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Takes up a state of the same optimiser and the same parameters.

        Raises:
            ValueError: if it is of others.
        """
        mine = self.state()
        shapes = {name: tensor.shape for name, tensor in mine.items()}
        if {name: tensor.shape for name, tensor in state.items()} != shapes:
            raise ValueError("the optimiser's state is of other parameters")
        self._steps = int(state["steps"])
        for name, tensor in mine.items():
            tensor.copy_(state[name])


class RMSProp(Optimizer):
    """TensorFlow 1's."""

    SLOTS = (("mean_square", 1.0), ("momentum", 0.0))

    def __init__(
        self,
        parameters: Iterable[tuple[str, Tensor]],
        decay: float = 0.99,
        momentum: float = 0.0,
        epsilon: float = 0.01,
    ) -> None:
        super().__init__(parameters)
        self._decay, self._momentum, self._epsilon = decay, momentum, epsilon

    def _move(self, gradients: list[Tensor], learning_rate: float) -> None:
        squares, momenta = self._slots["mean_square"], self._slots["momentum"]
        torch._foreach_mul_(squares, self._decay)
        torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - self._decay)
        roots = torch._foreach_add(squares, self._epsilon)
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(momenta, self._momentum)
        torch._foreach_addcdiv_(momenta, gradients, roots, learning_rate)
        torch._foreach_sub_(self._parameters, momenta)


class TorchRMSProp(RMSProp):
    """torch.optim.RMSprop's, not centred."""

    SLOTS = (("mean_square", 0.0), ("momentum", 0.0))

    def _move(self, gradients: list[Tensor], learning_rate: float) -> None:
        squares, momenta = self._slots["mean_square"], self._slots["momentum"]
        torch._foreach_mul_(squares, self._decay)
        torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - self._decay)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, self._epsilon)
        torch._foreach_mul_(momenta, self._momentum)
        torch._foreach_addcdiv_(momenta, gradients, roots)
        torch._foreach_add_(self._parameters, momenta, alpha=-learning_rate)


class Adam(Optimizer):
    """With the paper's names: beta1, beta2, epsilon outside the root."""

    SLOTS = (("first_moment", 0.0), ("second_moment", 0.0))

    def __init__(
        self,
        parameters: Iterable[tuple[str, Tensor]],
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters)
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon

    def _move(self, gradients: list[Tensor], learning_rate: float) -> None:
        first, second = self._slots["first_moment"], self._slots["second_moment"]
        torch._foreach_lerp_(first, gradients, 1.0 - self._beta1)
        torch._foreach_mul_(second, self._beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1.0 - self._beta2)
        roots = torch._foreach_div(second, 1.0 - self._beta2**self._steps)
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, self._epsilon)
        rate = learning_rate / (1.0 - self._beta1**self._steps)
        torch._foreach_addcdiv_(self._parameters, first, roots, -rate)
