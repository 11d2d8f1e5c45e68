"""What a learned loss asks for: how it answers to a reward, and to a policy that moves.

In the middle of real lives one step is changed at a time: the reward that it brought, and the
policy's probability of what was done there. Where the loss falls towards larger ratios, it asks
for more of that action.

Legend: L lives, M newest steps, R rewards, K ratios.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from veldt.agents.lives.catalogue import kind_of
from veldt.agents.lives.drift import DriftNetwork, closed_form
from veldt.agents.lives.inner_losses import Descent, Lived, Parts
from veldt.agents.lives.learned_loss import LearnedLoss
from veldt.agents.lives.life import Lives, blend_of
from veldt.agents.lives.loss_file import Frozen
from veldt.platform.keys import Key

Row = NDArray[np.float64]  # [R] or [K]
Map = NDArray[np.float64]  # [R, K]

LIVES = 16
STEPS = 4  # of each life, spread over the newest


def loss_response(frozen: Frozen, rewards: Row, log_ratios: Row) -> Map:
    """The loss of a step, less that at a ratio of 1 and the same reward; a mean over steps.

    Args:
        frozen: A whole loss.
        rewards: That the step is said to have brought.
        log_ratios: Of the policy to the one that is there.
    """
    anatomy = frozen.anatomy()
    network = LearnedLoss(frozen.settings, anatomy)
    row = torch.from_numpy(frozen.parameters).expand(LIVES, -1)
    evolved = blend_of(kind_of(frozen.settings).loss(network, anatomy), row, network.split)
    last: list[tuple[Parts, Lived]] = []

    def watched(agent: Parts, lived: Lived) -> Descent:
        descent = evolved(agent, lived)

        def watching(agent: Parts, chosen: Tensor) -> Tensor:
            last[:] = [(agent, lived)]
            return descent(agent, chosen)

        return watching

    keys = [Key(0).child("response", life) for life in range(LIVES)]
    Lives(frozen.life, anatomy).live(keys, watched)
    agent, lived = last[0]
    with torch.no_grad():
        policy = anatomy.policy(agent, lived.observation)
        memory = anatomy.recall(agent) if anatomy.memory else None
        parts = network.split(row)
        newest, buffer = lived.reward.shape[1], lived.channels.shape[1]
        found = torch.zeros(len(rewards), len(log_ratios))
        for step in (newest * number // STEPS for number in range(STEPS)):
            place = buffer - newest + step
            chosen = torch.full((LIVES, 1), place)
            for k, log_ratio in enumerate(log_ratios.tolist()):
                moved = policy.clone()
                moved[:, place] = _moved(
                    anatomy.discrete, policy[:, place], lived.action[:, step], log_ratio
                )
                for r, reward in enumerate(rewards.tolist()):
                    channels = lived.channels.clone()
                    channels[:, place, -2] = reward
                    found[r, k] += network(parts, channels, moved, memory, chosen).mean()
        still = found[:, int(np.abs(log_ratios).argmin())]
        change: Map = ((found - still[:, None]) / STEPS).double().numpy()
        return change


def _moved(discrete: bool, policy: Tensor, action: Tensor, log_ratio: float) -> Tensor:
    """The policy [L, W] with the action's probability times e^log_ratio, as far as it can be."""
    if discrete:
        log_p = torch.log_softmax(policy, -1).gather(-1, action[:, None])
        log_p = (log_p + log_ratio).clamp(max=-1e-3)
        p, q = log_p.exp(), torch.softmax(policy, -1)
        chosen = torch.nn.functional.one_hot(action, policy.shape[-1]).bool()
        others = q.masked_fill(chosen, 0.0)
        rest = others / others.sum(-1, keepdim=True) * (1.0 - p)
        return torch.where(chosen, p, rest).clamp(min=1e-8).log()
    mean, log_std = policy.chunk(2, -1)
    z = (action - mean) * torch.exp(-log_std)
    square = z.square().sum(-1, keepdim=True)
    # A step towards the action, by the share that makes the exponent what it is to be.
    left = ((square - 2.0 * log_ratio) / square.clamp(min=1e-6)).clamp(min=0.0).sqrt()
    return torch.cat([action - left * (action - mean), log_std], -1)


def drift_response(frozen: Frozen, advantages: Row, log_ratios: Row) -> tuple[Map, Map]:
    """A drift that was evolved, cut off at 0, and the closed form of DPO."""
    network = DriftNetwork(frozen.settings, frozen.anatomy())
    parts = network.split(torch.from_numpy(frozen.parameters)[None])
    grid = (torch.from_numpy(axis).float() for axis in (advantages, log_ratios))
    whole = torch.meshgrid(*grid, indexing="ij")
    advantage, log_ratio = (part.reshape(1, -1) for part in whole)
    shape = (len(advantages), len(log_ratios))
    evolved = network.drift(parts, log_ratio, advantage).relu()
    closed = closed_form(log_ratio, advantage)
    return evolved.double().numpy().reshape(shape), closed.double().numpy().reshape(shape)
