"""Blocks of images side by side, each on a thread; forward, and back.

    forward    images -> blocks -> on threads: look, with a graph of its own -> one tensor
    back       its gradient -> parts -> on threads: each graph -> parameters' gradients, summed

Torch's own threads share out every operation and meet after each, which on a few cores that others
use as well is slower than one; these meet once. Blocks are the same, and their gradients are
summed in the same order, however many threads there are: so are the bits.
"""

import concurrent.futures
import functools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

MOST = 256  # threads
Item = TypeVar("Item")
Found = TypeVar("Found")
Look = Callable[[Tensor], Tensor]


def see(
    look: Look, blocks: Sequence[Tensor], parameters: Iterable[Tensor], threads: int
) -> Tensor:
    """What `look` makes of all blocks, one after another along the first dimension.

    Args:
        look: Of a block; a function of these parameters and of nothing else that has a gradient.
        blocks: At least one.
        threads: At most.
    """
    wanted = tuple(parameters)
    if torch.is_grad_enabled() and any(parameter.requires_grad for parameter in wanted):
        seen: Tensor = _SideBySide.apply(look, blocks, threads, *wanted)  # type: ignore[no-untyped-call]
        return seen
    return torch.cat(_each(_as_here(look, False), blocks, threads))


class _SideBySide(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, look: Look, blocks: Sequence[Tensor], threads: int, *parameters: Tensor
    ) -> Tensor:
        ctx.seen = _each(_as_here(look, True), blocks, threads)
        ctx.threads, ctx.wanted = threads, [p.requires_grad for p in parameters]
        ctx.parameters = [p for p in parameters if p.requires_grad]
        return torch.cat([part.detach() for part in ctx.seen])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        parts = torch.split(gradient, [len(part) for part in ctx.seen])
        pairs = list(zip(ctx.seen, parts, strict=True))
        ctx.seen = None  # a graph can be walked once

        def back(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
            found: tuple[Tensor, ...] = torch.autograd.grad(pair[0], ctx.parameters, pair[1])
            return found

        first, *rest = _each(back, pairs, ctx.threads)
        for found in rest:
            for total, own in zip(first, found, strict=True):
                total.add_(own)
        sums = iter(first)
        return None, None, None, *(next(sums) if wanted else None for wanted in ctx.wanted)


def _as_here(look: Look, graph: bool) -> Look:
    """`look` as on this thread, on any: modes are each thread's own."""
    low = torch.is_autocast_enabled("cpu")
    dtype, inference = torch.get_autocast_dtype("cpu"), torch.is_inference_mode_enabled()

    def found(block: Tensor) -> Tensor:
        # What is cast would be kept for all threads, of one thread's graph.
        cast = torch.autocast("cpu", dtype, low, cache_enabled=False)
        with torch.inference_mode(inference), torch.set_grad_enabled(graph), cast:
            return look(block)

    return found


def _each(work: Callable[[Item], Found], items: Sequence[Item], threads: int) -> list[Found]:
    """What the work makes of each, in their order."""
    count = min(threads, len(items))
    if count == 1:
        return [work(item) for item in items]
    found: dict[int, Found] = {}
    places = iter(range(len(items)))

    def take() -> None:
        if torch.get_num_threads() > 1:
            torch.set_num_threads(1)
        for place in places:  # whichever nobody has yet
            found[place] = work(items[place])

    here = torch.get_num_threads()
    jobs = [_pool(os.getpid()).submit(take) for _ in range(count)]
    concurrent.futures.wait(jobs)
    if here > 1:  # what a thread sets for itself, later ones begin with
        torch.set_num_threads(here)
    for job in jobs:
        job.result()
    return [found[place] for place in range(len(items))]


@functools.cache
def _pool(process: int) -> concurrent.futures.ThreadPoolExecutor:
    """Of a process: its children have none of its threads. They are started as they are needed."""
    return concurrent.futures.ThreadPoolExecutor(MOST, f"veldt-blocks-{process}")
