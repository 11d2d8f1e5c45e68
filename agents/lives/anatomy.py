"""Many small agents as rows of one matrix: which numbers of a row are whose weights.

Legend: L agents (lives), P numbers of each, O of an observation, W of what a head gives, N
samples.

Each layer of all agents is one batched product; nothing is computed agent by agent.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from veldt.platform.envs.vector import Actions


class Layout:
    """Named arrays one after another in a row."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self.shapes, self.size, self._places = shapes, 0, dict[str, slice]()
        for name, shape in shapes.items():
            self._places[name] = slice(self.size, self.size + math.prod(shape))
            self.size += math.prod(shape)

    def split(self, rows: Float[Tensor, "L P"]) -> dict[str, Tensor]:
        """Views of the rows, [L, *shape] each."""
        return {
            name: rows[:, place].reshape(len(rows), *self.shapes[name])
            for name, place in self._places.items()
        }


def perceptron_shapes(name: str, widths: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Weights and biases of layers of these widths, the input's first."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        shapes[f"{name}.{i}.weight"] = (before, after)
        shapes[f"{name}.{i}.bias"] = (after,)
    return shapes


def perceptron(
    parts: dict[str, Tensor], name: str, x: Float[Tensor, "L N O"]
) -> Float[Tensor, "L N W"]:
    """Layers with a tanh between each two."""
    i = 0
    while f"{name}.{i}.weight" in parts:
        x = torch.tanh(x) if i else x
        x = torch.baddbmm(parts[f"{name}.{i}.bias"][:, None], x, parts[f"{name}.{i}.weight"])
        i += 1
    return x


class Anatomy:
    """What an agent is made of: a policy, a value where a loss asks for one, a memory.

    Args:
        observation: O.
        actions: What it gives.
        hidden: Widths of the policy's and the value's layers.
        value: Whether it has a value.
        memory: (M, K): a memory of M numbers, each the tanh of K weights and a bias, as in the
            code released with Houthooft et al. 2018; (0, 0): none.
    """

    def __init__(
        self,
        observation: int,
        actions: Actions,
        hidden: Sequence[int],
        value: bool,
        memory: tuple[int, int] = (0, 0),
    ) -> None:
        self.observation, self.actions = observation, actions
        self.discrete = actions.kind == "discrete"
        self.choices = actions.count if self.discrete else len(actions.low)
        """numbers of an action: one-hot, or as they are"""
        self.outputs = self.choices if self.discrete else 2 * self.choices
        """of the policy: logits, or means and logarithms of deviations"""
        self.memory = memory[0]
        shapes = perceptron_shapes("policy", (observation, *hidden, self.choices))
        if not self.discrete:
            shapes["log_std"] = (self.choices,)
        self._policy_size = Layout(shapes).size
        if value:
            shapes |= perceptron_shapes("value", (observation, *hidden, 1))
        if self.memory:
            shapes |= {"memory.weight": memory, "memory.bias": memory[:1]}
        self._layout = Layout(shapes)
        self.size = self._layout.size
        """P"""

    @property
    def policy_size(self) -> int:
        """How many of P, the first ones, are the policy's."""
        return self._policy_size

    def split(self, rows: Float[Tensor, "L P"]) -> dict[str, Tensor]:
        return self._layout.split(rows)

    def begin(self, generator: np.random.Generator) -> NDArray[np.float32]:
        """The first weights of one agent, [P]."""
        found = []
        for name, shape in self._layout.shapes.items():
            if name.endswith("weight"):
                last = name == [n for n in self._layout.shapes if n.startswith("policy")][-2]
                scale = 0.01 if last else 1.0
                drawn = generator.standard_normal(shape) * scale / math.sqrt(shape[0])
                found.append(drawn.ravel())
            else:
                found.append(np.zeros(math.prod(shape)))
        return np.concatenate(found).astype(np.float32)

    def policy(
        self, parts: dict[str, Tensor], x: Float[Tensor, "L N O"]
    ) -> Float[Tensor, "L N W"]:
        """What the distributions of `agents/distributions.py` take."""
        said = perceptron(parts, "policy", x)
        if self.discrete:
            return said
        return torch.cat([said, parts["log_std"][:, None].expand_as(said)], -1)

    @staticmethod
    def value(parts: dict[str, Tensor], x: Float[Tensor, "L N O"]) -> Float[Tensor, "L N"]:
        return perceptron(parts, "value", x).squeeze(-1)

    @staticmethod
    def recall(parts: dict[str, Tensor]) -> Float[Tensor, "L M"]:
        """The memory."""
        return torch.tanh(parts["memory.weight"].sum(-1) + parts["memory.bias"])
