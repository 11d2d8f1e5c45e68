"""All that is drawn in lives: each row from its own key, before the life begins.

Legend: L lives, P numbers of an agent, V of them its policy's.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from veldt.agents.lives.anatomy import Anatomy
from veldt.platform.keys import Key


def first_weights(
    anatomy: Anatomy, keys: Sequence[Key], policies: Float[Tensor, "L V"] | None = None
) -> Float[Tensor, "L P"]:
    """Agents' first weights, from the keys of their lives; but for V policy's that are given."""
    drawn = [anatomy.begin(key.child("weights").generator()) for key in keys]
    first = torch.from_numpy(np.stack(drawn))
    if policies is not None:
        first[:, : anatomy.policy_size] = policies
    return first


class Chance:
    """What agents do by chance, and in which order they look back on it.

    Args:
        anatomy: Of the agents.
        keys: Of the lives.
        updates: In a life.
        steps: From one update to the next.
        epochs: Passes over them.
    """

    def __init__(
        self, anatomy: Anatomy, keys: Sequence[Key], updates: int, steps: int, epochs: int
    ) -> None:
        noise, orders = [], []
        for key in keys:
            actions = key.child("actions").generator()
            draw = actions.standard_exponential if anatomy.discrete else actions.standard_normal
            noise.append(draw((updates * steps, anatomy.choices), np.float32))
            order = np.tile(np.arange(steps), (updates * epochs, 1))
            orders.append(key.child("order").generator().permuted(order, axis=1))
        self.weights = first_weights(anatomy, keys)  # [L, P]
        self.noise = torch.from_numpy(np.stack(noise, 1))  # [U * M, L, choices]
        self.orders = torch.from_numpy(np.stack(orders, 1))  # [U * epochs, L, M]
        self.keys = keys

    def final(self, anatomy: Anatomy, steps: int) -> Tensor:
        """Noise of `steps` more, [steps, L, choices]."""
        found = []
        for key in self.keys:
            actions = key.child("final").generator()
            draw = actions.standard_exponential if anatomy.discrete else actions.standard_normal
            found.append(draw((steps, anatomy.choices), np.float32))
        return torch.from_numpy(np.stack(found, 1))
