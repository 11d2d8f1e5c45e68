"""What a device can do at its best: copies to it, and products of matrices on it."""

import time
from collections.abc import Callable

import numpy as np
import torch

from veldt.agents.agent import Agent
from veldt.agents.networks.actor_critic import ActorCritic
from veldt.agents.networks.precision import in_bfloat16

SIDE = 1024  # of the matrices, on a CPU; more on a GPU, which is not filled by so little


def settle(device: torch.device) -> None:
    """Waits for all that a device was told to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def arithmetic(device: torch.device, low: bool, seconds: float) -> float:
    """Floating-point operations a second in products of square matrices.

    Args:
        device: Where.
        low: In bfloat16, else in float32.
        seconds: To spend, about.
    """
    side = SIDE if device.type == "cpu" else 8 * SIDE
    one = torch.ones(side, side, device=device, dtype=torch.bfloat16 if low else torch.float32)
    return 2.0 * side**3 * _rate(lambda: torch.mm(one, one), device, seconds)


def copying(device: torch.device, size: int, seconds: float) -> float:
    """Bytes a second of copies of `size` bytes from this process's memory to a device's."""
    source = torch.from_numpy(np.ones(size, np.uint8))
    if device.type == "cuda":
        source = source.pin_memory()  # which it copies from by itself, and fastest
    target = torch.empty_like(source, device=device)
    return size * _rate(lambda: target.copy_(source), device, seconds)


def _rate(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Times a second."""
    work()
    settle(device)
    begun, times = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begun) < seconds or not times:
        work()
        settle(device)
        times += 1
    return times / elapsed


def in_low_precision(agent: Agent, device: torch.device) -> bool:
    """Whether an agent's torso computes in bfloat16 there."""
    network = agent.network
    return isinstance(network, ActorCritic) and in_bfloat16(
        network.settings.precision, device.type
    )
