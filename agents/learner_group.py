"""Several learners that learn as one: each on its part of every batch, all with the same weights.

    learner 0   trains, and keeps the run's folder             followers   only learn
        exchange   what each has to tell, before an update
        sum        gradients, and statistics of a batch, during it

Synchronous data parallelism: sums of gradients over parts are the gradient over the whole, so
N learners do what one would do with their batches side by side, but for the order of sums.
On one host they meet by torch.distributed: gloo, which listens on loopback only, and nccl between
GPUs; as ranks of a job by MPI (rank_learners.py). What is exchanged is JSON.
"""

import contextlib
import datetime
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed
from torch import Tensor
from torch.distributed import FileStore  # type: ignore[attr-defined]

from veldt.platform.errors import LearnerDied
from veldt.platform.tickets import Place

POLL_S = 0.0002
PATIENCE = datetime.timedelta(hours=24)  # those who hang are killed, not waited out


class LearnerGroup(Protocol):
    """One learner's end; at most one in a process."""

    place: Place
    """Which of them this is"""

    def exchange(
        self, message: dict[str, Any], idle: Callable[[], None] = lambda: None
    ) -> list[dict[str, Any]]:
        """What all of them have to tell, in their order.

        Args:
            message: This one's, plain JSON.
            idle: Called again and again while others are waited for; it may raise.

        Raises:
            LearnerDied, RankLost: if one of them is gone.
        """

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Makes each of some float tensors the sum of all learners' ones, the same bits for each.

        Raises:
            LearnerDied, RankLost: if one of them is gone.
        """

    def total(self, tensor: Tensor) -> Tensor:
        """The sum of all learners' tensors."""

    def close(self) -> None: ...


class HostGroup:
    """Of learners on one host.

    Args:
        place: Which of them this is.
        meeting: A file that is not there yet, the same for all.
        device: Where its network lives.
    """

    def __init__(self, place: Place, meeting: Path, device: torch.device) -> None:
        self.place, self._device = place, device
        os.environ["GLOO_SOCKET_IFNAME"] = "lo" if sys.platform == "linux" else "lo0"
        store = FileStore(str(meeting), place.learners)
        with _as_death():
            torch.distributed.init_process_group(
                "gloo",
                store=store,
                rank=place.learner,
                world_size=place.learners,
                timeout=PATIENCE,
            )
            cuda = device.type == "cuda"
            self._between = torch.distributed.new_group(backend="nccl") if cuda else None

    def exchange(
        self, message: dict[str, Any], idle: Callable[[], None] = lambda: None
    ) -> list[dict[str, Any]]:
        text = torch.frombuffer(bytearray(json.dumps(message).encode()), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.place.learners)]
        self._gather(sizes, torch.tensor([len(text)]), idle)
        longest = max(int(size) for size in sizes)
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(text)] = text
        texts = [torch.zeros_like(padded) for _ in sizes]
        self._gather(texts, padded, idle)
        return [
            json.loads(bytes(text[: int(size)].tolist()))
            for text, size in zip(texts, sizes, strict=True)
        ]

    @staticmethod
    def _gather(found: list[Tensor], own: Tensor, idle: Callable[[], None]) -> None:
        with _as_death():
            work = torch.distributed.all_gather(found, own, async_op=True)
        while not work.is_completed():
            idle()
            time.sleep(POLL_S)
        with _as_death():
            work.wait()

    def sum(self, tensors: Sequence[Tensor]) -> None:
        flat = in_one(tensors)
        with _as_death():
            torch.distributed.all_reduce(flat, group=self._between)
        apart(flat, tensors)

    def total(self, tensor: Tensor) -> Tensor:
        found = tensor.clone()
        self.sum([found])
        return found

    def close(self) -> None:
        torch.distributed.destroy_process_group()


def in_one(tensors: Sequence[Tensor]) -> Tensor:
    """All their numbers, one after another."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def apart(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """`in_one`, undone, into these tensors."""
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


@contextlib.contextmanager
def _as_death() -> Iterator[None]:
    """What torch says of a lost connection, as our error."""
    try:
        yield
    except RuntimeError as error:
        raise LearnerDied(f"another learner is gone ({str(error).splitlines()[0]}).") from error
